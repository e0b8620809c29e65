"""Average precision per label, and its mean under the protocols that papers use.

Definition (Everingham et al., "The PASCAL Visual Object Classes Challenge: A Retrospective", IJCV 2015, without
interpolation): with the videos sorted by falling score, AP is the mean, over the positives of a label, of the precision
at the place of that positive. Videos with the same score have no order, so the precision of each is taken at the end
of their tie; the value then depends on the scores alone and never on the order of the rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, TypedDict, get_args

import numpy as np
import torch
from torch import Tensor

from metrics.ranking import Ranking, mean_precision

Absent = Literal["skip", "zero", "nonzero"]
Unlabelled = Literal["negative", "minus_inf"]
Variant = Literal["plain", "charades", "zero", "nonzero"]


class Protocol(TypedDict):
    """The choices of `mean_average_precision` by which published video mAPs differ."""

    absent: Absent
    unlabelled: Unlabelled


# by name, as in mean_average_precision(preds, labels, **VARIANTS["charades"])
VARIANTS: dict[Variant, Protocol] = {
    "plain": {"absent": "skip", "unlabelled": "negative"},
    "charades": {"absent": "skip", "unlabelled": "minus_inf"},
    "zero": {"absent": "zero", "unlabelled": "negative"},
    "nonzero": {"absent": "nonzero", "unlabelled": "negative"},
}

# cells widened at a time: bounds the scratch memory whatever the number of videos and labels
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


def check_precision(preds: Tensor) -> None:
    """Refuse half precision, which rounds different scores to one and so moves their rank.

    Raises:
        ValueError: preds are float16 or bfloat16.
    """
    if preds.dtype in (torch.float16, torch.bfloat16):
        raise ValueError(
            f"preds must be float32 or float64, got {preds.dtype}, which ties scores that differ: call logits.float() "
            "before the sigmoid"
        )


def average_precision(preds: Tensor, labels: Tensor) -> Tensor:
    """Average precision of each label, tied scores grouped; equal to scikit-learn's `average_precision_score`.

    Only the order of the scores within a column counts: probabilities, logits or any rising function of them give the
    same value, as long as the function does not round two scores to one (half precision does). Computed on the CPU by
    `metrics.ranking.mean_precision`.

    Args:
        preds: scores, (n, K), any floating-point dtype and device; -inf ranks last.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.

    Returns:
        (K,) float64 in [0, 1], on the device of preds; NaN for a label without positives.

    Raises:
        ValueError: see `check_scores`.
    """
    values = [mean_precision(ranking.scores, ranking.hits) for ranking in video_rankings(preds, labels)]
    return torch.tensor(values, dtype=torch.float64).to(preds.device)


def video_rankings(preds: Tensor, labels: Tensor, *, unlabelled: Unlabelled = "negative") -> Iterator[Ranking]:
    """The ranked list of each label, whose units are the rows: for `metrics.bootstrap` and `metrics.ranking.areas`.

    Args:
        preds: scores, (n, K), any floating-point dtype and device; -inf ranks last.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.
        unlabelled: see `mean_average_precision`.

    Yields:
        K rankings of n rows, in the order of the labels.

    Raises:
        ValueError: an unknown choice; see `check_scores`.
    """
    check_protocol("skip", unlabelled)
    check_scores(preds, labels)
    preds = preds.detach()
    if unlabelled == "minus_inf":
        preds = preds.masked_fill((labels == 0).all(dim=1, keepdim=True), -torch.inf)
    videos, num_labels = preds.shape
    units = np.arange(videos)
    columns = max(1, _CELLS // max(1, videos))
    for first in range(0, num_labels, columns):
        part = slice(first, first + columns)
        scores = preds[:, part].T.cpu()
        if scores.dtype != torch.float64:
            scores = scores.to(torch.float32)  # numpy has no bfloat16; widening keeps the order
        hits = labels[:, part].T.cpu().to(torch.bool)
        for score, hit in zip(scores.contiguous().numpy(), hits.contiguous().numpy(), strict=True):
            yield Ranking(score, hit, units, hit.astype(np.int64))


def mean_average_precision(
    preds: Tensor, labels: Tensor, *, absent: Absent = "skip", unlabelled: Unlabelled = "negative"
) -> Tensor:
    """Mean over labels of the average precision, under a named protocol.

    Published numbers differ by two choices that few papers state; `VARIANTS` names the usual pairs. The official
    Charades script (Sigurdsson et al., "Hollywood in Homes", ECCV 2016) is `absent="skip", unlabelled="minus_inf"`; its
    users mostly report `absent="skip", unlabelled="negative"`; torchmetrics' macro average is `absent="zero",
    unlabelled="negative"`; the training script of MS-TCT (Dai et al., CVPR 2022) is `absent="nonzero"`.

    Args:
        preds: scores, (n, K), any floating-point dtype; -inf ranks last.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.
        absent: see `mean_over_labels`. Here every video is in the list, so that a label with a positive has an AP of
            1 / n at least and "nonzero" is the same as "skip"; the two differ where a miss counts 0 (detections).
        unlabelled: a video without any label is a negative of every label ("negative"), or its scores are sent to -inf
            so that it never stands above a positive ("minus_inf").

    Returns:
        Scalar float64; NaN with "skip" or "nonzero" when no label occurs at all.

    Raises:
        ValueError: an unknown choice; see `check_scores`.
    """
    check_protocol(absent, unlabelled)
    rankings = video_rankings(preds, labels, unlabelled=unlabelled)
    values = [mean_precision(ranking.scores, ranking.hits) for ranking in rankings]
    return mean_over_labels(torch.tensor(values, dtype=torch.float64), absent).to(preds.device)


def weighted_average_precision(preds: Tensor, labels: Tensor, *, unlabelled: Unlabelled = "negative") -> Tensor:
    """Mean over labels of the average precision, each label weighted by its number of positives.

    The second figure that the official Charades scripts print ("WAP").

    Args:
        preds: scores, (n, K), any floating-point dtype; -inf ranks last.
        labels: multi-hot truth of 0 and 1, (n, K), integer or bool.
        unlabelled: see `mean_average_precision`.

    Returns:
        Scalar float64; NaN when no label occurs at all.

    Raises:
        ValueError: an unknown choice; see `check_scores`.
    """
    rankings = video_rankings(preds, labels, unlabelled=unlabelled)
    values = [mean_precision(ranking.scores, ranking.hits) for ranking in rankings]
    return weighted_mean(torch.tensor(values, dtype=torch.float64), labels.sum(dim=0).cpu()).to(preds.device)


def mean_over_labels(values: Tensor, absent: Absent = "skip") -> Tensor:
    """Mean of the average precisions of all labels.

    Args:
        values: (K,) float64; NaN for a label without positives.
        absent: a label without positives is left out of the mean ("skip") or counts as 0 ("zero"); "nonzero" leaves out
            labels whose value is not above 0, which flatters a method that fails on a label altogether.

    Returns:
        Scalar float64; NaN if every label is left out.

    Raises:
        ValueError: an unknown choice.
    """
    check_protocol(absent, "negative")
    if absent == "zero":
        return values.nan_to_num(nan=0.0).mean()
    return values[values > 0].mean() if absent == "nonzero" else values.nanmean()


def weighted_mean(values: Tensor, positives: Tensor) -> Tensor:
    """Mean of the values of the labels that occur, weighted by their positives: (K,) and (K,) -> scalar float64."""
    weights = positives.to(torch.float64)
    return (values.nan_to_num(nan=0.0) * weights).sum() / weights.sum()


def check_protocol(absent: str, unlabelled: str) -> None:
    """Refuse a protocol that `mean_average_precision` does not know.

    Raises:
        ValueError: absent or unlabelled is not one of its choices.
    """
    for name, value, kind in (("absent", absent, Absent), ("unlabelled", unlabelled, Unlabelled)):
        if value not in get_args(kind):
            raise ValueError(f"{name} must be one of {', '.join(get_args(kind))}, got {value!r}")
