"""From the logits of many views to one score for each video, and the same for every choice of rates.

The published speed-invariant test adds up the predictions of all views at all rates; "mean" ranks the videos alike.
The functions are pure: they take gathered or saved logits, so that a rule or a choice of rates is evaluated again in
seconds without a video.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, get_args

import torch
from torch import Tensor

from metrics.average_precision import Absent, Unlabelled, check_protocol, mean_average_precision
from metrics.top_k import top_k_accuracy

Reduction = Literal["mean", "max", "mean_logits"]

# logits widened to float64 at a time
_CELLS = 1 << 22


def reduce_views(
    logits: Tensor, *, reduction: Reduction = "mean", weights: Tensor | None = None, single_label: bool = False
) -> Tensor:
    """One score for each video and label, from the logits of its views, computed in float64.

    With p the sigmoid (softmax over the labels if single_label) and w the weights:
    "mean" is sum_v w_v p(x_v) / sum_v w_v, "max" is max_v p(x_v), "mean_logits" is p(sum_v w_v x_v / sum_v w_v).

    Args:
        logits: (n, V, K) floating point; a view whose K logits are all -inf marks a video that could not be read.
        reduction: the rule above.
        weights: (V,), finite, not negative, not all 0; all alike when None; not with "max".
        single_label: each video has exactly one label.

    Returns:
        (n, K) float64 probabilities; all -inf for a video that could not be read, so that it ranks below the others.

    Raises:
        ValueError: a wrong shape, an unknown reduction, weights that cannot be used, or logits with NaN or +inf.
    """
    if logits.ndim != 3 or not logits.is_floating_point() or logits.shape[1] == 0:
        raise ValueError(
            f"logits must be floating point of shape (n, V, K) with V > 0, got {tuple(logits.shape)} and {logits.dtype}"
        )
    if reduction not in get_args(Reduction):
        raise ValueError(f"reduction must be one of {', '.join(get_args(Reduction))}, got {reduction!r}")
    bad = (logits.isnan() | (logits == torch.inf)).flatten(1).any(dim=1)
    if bool(bad.any()):
        raise ValueError(
            f"logits hold NaN or +inf in {int(bad.sum())} of {len(logits)} videos, first in row "
            f"{int(bad.nonzero()[0])}: look for a diverged model or an overflow in half precision"
        )
    weights = _checked_weights(weights, logits.shape[1], reduction).to(logits.device)
    unreadable = (logits == -torch.inf).all(dim=2).any(dim=1)
    voting = weights > 0  # 0 times -inf is NaN: views without a vote are left out, not multiplied
    share = (weights[voting] / weights[voting].sum())[:, None]
    preds = torch.empty(len(logits), logits.shape[2], dtype=torch.float64, device=logits.device)
    rows = max(1, _CELLS // max(1, logits.shape[1] * logits.shape[2]))
    for first in range(0, len(logits), rows):
        part = slice(first, first + rows)
        x = logits[part][:, voting].to(torch.float64)
        if reduction == "mean":
            preds[part] = (_probabilities(x, single_label) * share).sum(dim=1)
        elif reduction == "max":
            preds[part] = _probabilities(x, single_label).amax(dim=1)
        else:
            preds[part] = _probabilities((x * share).sum(dim=1), single_label)
    return preds.masked_fill(unreadable[:, None], -torch.inf)


def _probabilities(x: Tensor, single_label: bool) -> Tensor:
    return x.softmax(dim=-1) if single_label else x.sigmoid()


def _checked_weights(weights: Tensor | None, views: int, reduction: str) -> Tensor:
    """The weights as (V,) float64, 1 for each view when None."""
    if weights is None:
        return torch.ones(views, dtype=torch.float64)
    if reduction == "max":
        raise ValueError("weights have no meaning with reduction 'max': leave them out, or use 'mean'")
    if weights.shape != (views,):
        raise ValueError(f"weights must have shape ({views},), one for each view, got {tuple(weights.shape)}")
    weights = weights.to(torch.float64)
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()) or float(weights.sum()) <= 0:
        raise ValueError(f"weights must be finite, not negative and not all 0, got {weights.tolist()}")
    return weights


def rate_subsets(rates: Iterable[float]) -> list[tuple[float, ...]]:
    """The choices of rates that a table compares: each rate, each pair, all; rising, none twice.

    Raises:
        ValueError: there is no rate.
    """
    known = sorted(set(rates))
    if not known:
        raise ValueError("rates must name at least one rate, got none")
    subsets = [subset for size in (1, 2) for subset in combinations(known, size)]
    return subsets if len(known) <= 2 else [*subsets, tuple(known)]


@dataclass(frozen=True)
class RateRow:
    """One line of the table over rates.

    Args:
        rates: the rates whose views vote.
        num_views: how many views of a video those are.
        map: mean average precision, for several labels; else None.
        top1: accuracy, for a single label; else None.
        top5: top-5 accuracy, for a single label out of more than 5; else None.
    """

    rates: tuple[float, ...]
    num_views: int
    map: float | None = None
    top1: float | None = None
    top5: float | None = None


def rate_table(
    logits: Tensor,
    labels: Tensor,
    view_rates: Tensor | Sequence[float],
    *,
    reduction: Reduction = "mean",
    rate_weights: Mapping[float, float] | None = None,
    single_label: bool = False,
    absent: Absent = "skip",
    unlabelled: Unlabelled = "negative",
) -> list[RateRow]:
    """What each rate, each pair of rates and all rates together score.

    Args:
        logits: (n, V, K) floating point, see `reduce_views`.
        labels: (n, K) integer or bool, multi-hot.
        view_rates: (V,) frames between two sampled frames, for each view.
        reduction: see `reduce_views`.
        rate_weights: vote of one view of each rate, positive; 1 each when None, which is the papers' sum over all
            views. Give 1 / (views of the rate) to let the rates, not the views, vote alike.
        single_label: each video has exactly one label: the table holds accuracies instead of mAP.
        absent: see `mean_average_precision`.
        unlabelled: see `mean_average_precision`.

    Returns:
        One row for each of `rate_subsets`, in that order.

    Raises:
        ValueError: view_rates and logits disagree, a rate has no weight, or as in the functions named above.
    """
    check_protocol(absent, unlabelled)
    of_view = [float(rate) for rate in view_rates]
    if logits.ndim != 3 or len(of_view) != logits.shape[1]:
        raise ValueError(
            f"view_rates must name the rate of each of the V views of logits (n, V, K), got {len(of_view)} rates for "
            f"logits of shape {tuple(logits.shape)}"
        )
    weights = None if rate_weights is None else view_weights(of_view, rate_weights)
    rows = []
    for rates in rate_subsets(of_view):
        chosen = [view for view, rate in enumerate(of_view) if rate in rates]
        votes = None if weights is None else weights[chosen]
        preds = reduce_views(logits[:, chosen], reduction=reduction, weights=votes, single_label=single_label)
        if single_label:
            top5 = float(top_k_accuracy(preds, labels, 5)) if labels.shape[1] > 5 else None
            rows.append(RateRow(rates, len(chosen), top1=float(top_k_accuracy(preds, labels, 1)), top5=top5))
        else:
            score = mean_average_precision(preds, labels, absent=absent, unlabelled=unlabelled)
            rows.append(RateRow(rates, len(chosen), map=float(score)))
    return rows


def view_weights(of_view: Iterable[float], rate_weights: Mapping[float, float]) -> Tensor:
    """(V,) float64: the weight of each view's rate."""
    weights = []
    for rate in of_view:
        # a rate that went through float32 or a file still finds its weight
        found = [weight for known, weight in rate_weights.items() if math.isclose(known, rate, rel_tol=1e-6)]
        if not found:
            raise ValueError(f"rate_weights has no weight for rate {rate:g}, got {dict(rate_weights)}")
        if not (math.isfinite(found[0]) and found[0] > 0):
            raise ValueError(
                f"rate_weights must be positive, got {found[0]} for rate {rate:g}: leave a rate out by testing without it"
            )
        weights.append(found[0])
    return torch.tensor(weights, dtype=torch.float64)
