"""Average precision per label, and its mean under the protocols that papers use.

Definition (Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015, without
interpolation): with the videos sorted by falling score, AP is the mean, over the positives of a label, of the precision
at the place of that positive. Videos with the same score have no order, so the precision of each is taken at the end
of their tie; the value then depends on the scores alone and never on the order of the rows.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

Absent = Literal["skip", "zero"]
Unlabelled = Literal["negative", "minus_inf"]

# cells sorted at a time: bounds the scratch memory (about 40 bytes a cell) whatever the number of videos and labels
_CELLS = 1 << 22


def check_scores(preds: Tensor, labels: Tensor) -> None:
    """Refuse scores and labels that no metric of this room can rank.

    Args:
        preds: floating-point scores, (n, K); -inf marks a video that could not be read.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.

    Raises:
        ValueError: the shapes differ, preds hold NaN or are not floating point, or labels hold something but 0 and 1.
    """
    if preds.ndim != 2 or preds.shape != labels.shape:
        raise ValueError(
            f"preds and labels must both have shape (videos, labels), got {tuple(preds.shape)} and "
            f"{tuple(labels.shape)}: pass one row for each video"
        )
    if not preds.is_floating_point():
        raise ValueError(f"preds must be floating point, got {preds.dtype}: pass scores, not decisions")
    if labels.is_floating_point() or labels.is_complex():
        raise ValueError(f"labels must be integer or bool, got {labels.dtype}: call labels.long()")
    if bool(((labels != 0) & (labels != 1)).any()):
        raise ValueError("labels must hold 0 and 1 only (multi-hot): pass one column for each label")
    bad = preds.isnan().any(dim=1)
    if bool(bad.any()):
        raise ValueError(
            f"preds hold NaN in {int(bad.sum())} of {len(preds)} rows, first in row {int(bad.nonzero()[0])}: NaN has "
            "no rank; look for a diverged model, and give a video that could not be read the score -inf"
        )


def average_precision(preds: Tensor, labels: Tensor) -> Tensor:
    """Average precision of each label, tied scores grouped; equal to scikit-learn's `average_precision_score`.

    Only the order of the scores within a column counts: probabilities, logits or any rising function of them give the
    same value, as long as the function does not round two scores to one (half precision does).

    Args:
        preds: scores, (n, K), any floating-point dtype; -inf ranks last.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.

    Returns:
        (K,) float64 in [0, 1]; NaN for a label without positives.

    Raises:
        ValueError: see `check_scores`.
    """
    check_scores(preds, labels)
    videos, num_labels = preds.shape
    result = torch.full((num_labels,), torch.nan, dtype=torch.float64, device=preds.device)
    if videos == 0:
        return result
    columns = max(1, _CELLS // videos)
    for first in range(0, num_labels, columns):
        part = slice(first, first + columns)
        result[part] = _tied_precision(preds[:, part].T.contiguous(), labels[:, part].T.contiguous())
    return result


def _tied_precision(preds: Tensor, labels: Tensor) -> Tensor:
    """AP of each row: preds and labels (K, n), one row for each label -> (K,) float64."""
    videos = preds.shape[1]
    ranked, order = preds.sort(dim=1, descending=True)
    hits = labels.gather(1, order).to(torch.float64)
    place = torch.arange(videos, device=preds.device).expand_as(order)
    ends_tie = torch.ones_like(ranked, dtype=torch.bool)
    ends_tie[:, :-1] = ranked[:, :-1] != ranked[:, 1:]
    # the end of the tie that holds each place is the nearest end at or below it: a running minimum from the last place
    tie_end = torch.where(ends_tie, place, videos).flip(1).cummin(dim=1).values.flip(1)
    precision = hits.cumsum(dim=1).gather(1, tie_end) / (tie_end + 1)
    return (precision * hits).sum(dim=1) / hits.sum(dim=1)


def mean_average_precision(
    preds: Tensor, labels: Tensor, *, absent: Absent = "skip", unlabelled: Unlabelled = "negative"
) -> Tensor:
    """Mean over labels of the average precision, under a named protocol.

    Published numbers differ by two choices that few papers state. The official Charades script (Sigurdsson et al.,
    "Hollywood in Homes", ECCV 2016) is `absent="skip", unlabelled="minus_inf"`; its users mostly report
    `absent="skip", unlabelled="negative"`; torchmetrics' macro average is `absent="zero", unlabelled="negative"`.

    Args:
        preds: scores, (n, K), any floating-point dtype; -inf ranks last.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.
        absent: a label that no video has is left out of the mean ("skip") or counts as 0 ("zero").
        unlabelled: a video without any label is a negative of every label ("negative"), or its scores are sent to -inf
            so that it never stands above a positive ("minus_inf").

    Returns:
        Scalar float64; NaN with "skip" when no label occurs at all.

    Raises:
        ValueError: an unknown choice; see `check_scores`.
    """
    check_protocol(absent, unlabelled)
    if unlabelled == "minus_inf":
        check_scores(preds, labels)
        preds = preds.masked_fill((labels == 0).all(dim=1, keepdim=True), -torch.inf)
    values = average_precision(preds, labels)
    return values.nanmean() if absent == "skip" else values.nan_to_num(nan=0.0).mean()


def check_protocol(absent: str, unlabelled: str) -> None:
    """Refuse a protocol that `mean_average_precision` does not know.

    Raises:
        ValueError: absent or unlabelled is not one of its choices.
    """
    for name, value, kind in (("absent", absent, Absent), ("unlabelled", unlabelled, Unlabelled)):
        if value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}")
