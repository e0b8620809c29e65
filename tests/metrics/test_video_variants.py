from typing import get_args

import pytest
import torch
from sklearn.metrics import average_precision_score

from metrics.average_precision import (
    VARIANTS,
    Variant,
    average_precision,
    mean_average_precision,
    mean_over_labels,
    video_rankings,
    weighted_average_precision,
)
from metrics.bootstrap import bootstrap
from metrics.ranking import areas
from metrics.video_map import VideoMeanAveragePrecision

# four videos, three labels: video 1 has no label, and no video has label 2
PREDS = torch.tensor([[0.9, 0.2, 0.5], [0.8, 0.7, 0.6], [0.7, 0.6, 0.1], [0.1, 0.5, 0.2]])
LABELS = torch.tensor([[1, 0, 0], [0, 0, 0], [1, 1, 0], [0, 1, 0]])
# label 0: hits at the places 1 and 3; label 1: at 2 and 3. Without video 1: at 1 and 2, and at 1 and 2
PLAIN = ((1 + 2 / 3) / 2, (1 / 2 + 2 / 3) / 2)
BY_HAND = {
    "plain": sum(PLAIN) / 2,
    "charades": 1.0,
    "zero": sum(PLAIN) / 3,
    "nonzero": sum(PLAIN) / 2,
}


@pytest.mark.parametrize("variant", get_args(Variant))
def test_video_map_variants_by_hand(variant: Variant) -> None:
    expected = pytest.approx(BY_HAND[variant], abs=1e-15)
    assert mean_average_precision(PREDS, LABELS, **VARIANTS[variant]).item() == expected
    metric = VideoMeanAveragePrecision(**VARIANTS[variant])
    metric.update(torch.arange(4), PREDS, LABELS)
    assert metric.compute().item() == pytest.approx(BY_HAND[variant], abs=1e-7)


def test_video_map_variants_are_all_named() -> None:
    assert list(VARIANTS) == list(get_args(Variant)) == list(BY_HAND)


@pytest.mark.parametrize(("absent", "expected"), [("skip", 0.25), ("zero", 1 / 6), ("nonzero", 0.5)])
def test_mean_over_labels_by_hand(absent: str, expected: float) -> None:
    # a label that was never found, as happens with detections, and one that does not occur
    values = torch.tensor([0.5, 0.0, torch.nan], dtype=torch.float64)
    assert mean_over_labels(values, absent).item() == pytest.approx(expected, abs=1e-15)  # type: ignore[arg-type]


@pytest.mark.parametrize("absent", ["skip", "nonzero"])
def test_mean_over_no_labels_is_nan(absent: str) -> None:
    assert mean_over_labels(torch.full((2,), torch.nan, dtype=torch.float64), absent).isnan()  # type: ignore[arg-type]


def test_weighted_average_precision_by_hand() -> None:
    preds, labels = torch.cat([PREDS, PREDS[:1] - 0.05]), torch.cat([LABELS, torch.tensor([[0, 1, 0]])])
    # label 0: places 1 and 4 of 2 hits; label 1: places 2, 3 and 5
    first, second = (1 + 2 / 4) / 2, (1 / 2 + 2 / 3 + 3 / 5) / 3
    assert weighted_average_precision(preds, labels).item() == pytest.approx((2 * first + 3 * second) / 5, abs=1e-15)
    official = weighted_average_precision(PREDS, LABELS, unlabelled="minus_inf")
    assert official.item() == 1
    assert weighted_average_precision(PREDS, torch.zeros_like(LABELS)).isnan()


def test_video_rankings_have_the_average_precisions_and_a_unit_a_row() -> None:
    generator = torch.Generator().manual_seed(0)
    preds = (torch.rand(50, 6, generator=generator) * 9).round() / 9
    labels = (torch.rand(50, 6, generator=generator) < 0.2).long()
    labels[:9], labels[:, 4] = 0, 0
    for unlabelled in ("negative", "minus_inf"):
        rankings = list(video_rankings(preds, labels, unlabelled=unlabelled))
        values = torch.tensor([areas(ranking, "mean_precision")[0] for ranking in rankings])
        shown = preds.clone()
        if unlabelled == "minus_inf":
            shown[labels.sum(dim=1) == 0] = -1  # below all others, as scikit-learn refuses -inf
        for label, value in enumerate(values.tolist()):
            if label == 4:
                assert value != value
            else:
                expected = average_precision_score(labels[:, label], shown[:, label])
                assert value == pytest.approx(expected, abs=1e-12)
        assert all(ranking.units.tolist() == list(range(50)) for ranking in rankings)
        assert all(
            ranking.positives.tolist() == hits for ranking, hits in zip(rankings, labels.T.tolist(), strict=True)
        )


def test_video_rankings_bootstrap_around_the_mean() -> None:
    generator = torch.Generator().manual_seed(1)
    labels = (torch.rand(80, 5, generator=generator) < 0.3).long()
    preds = torch.rand(80, 5, generator=generator) + 0.4 * labels
    interval = bootstrap(video_rankings(preds, labels), 80, resamples=200)
    value = mean_average_precision(preds, labels).item()
    assert interval.low < value < interval.high
    assert interval.high - interval.low < 0.3


def test_video_rankings_of_bfloat16_scores_keep_their_order() -> None:
    preds = torch.tensor([[0.5], [0.25], [0.75]], dtype=torch.bfloat16)
    (ranking,) = video_rankings(preds, torch.tensor([[1], [0], [0]]))
    assert ranking.scores.tolist() == [0.5, 0.25, 0.75]
    assert average_precision(preds, torch.tensor([[1], [0], [0]])).item() == 0.5


def test_video_rankings_refuse_unknown_choice() -> None:
    with pytest.raises(ValueError, match="unlabelled must be one of negative, minus_inf, got 'drop'"):
        list(video_rankings(PREDS, LABELS, unlabelled="drop"))  # type: ignore[arg-type]
