import math

import pytest
import torch
from torch import Tensor

from metrics import VideoMean


def test_each_video_counts_once_and_those_without_a_value_not_at_all() -> None:
    metric = VideoMean()
    values = {3: 0.25, 0: 1.5, 7: math.nan, 5: -2.0}
    for batch in ([3, 0], [7], [5, 3], [0]):
        metric.update(torch.tensor(batch), torch.tensor([values[video] for video in batch]))
    assert float(metric.compute()) == (0.25 + 1.5 - 2.0) / 3


def test_mean_is_taken_in_float64() -> None:
    values = torch.rand(1000, generator=torch.Generator().manual_seed(0))
    metric = VideoMean()
    metric.update(torch.arange(1000), values)
    assert metric.compute().dtype == torch.float64
    assert float(metric.compute()) == pytest.approx(math.fsum(values.tolist()) / 1000, rel=1e-14)


def test_no_video_with_a_value_gives_nan() -> None:
    metric = VideoMean()
    metric.update(torch.tensor([1]), torch.tensor([torch.nan]))
    assert metric.compute().isnan()


@pytest.mark.parametrize(
    ("index", "values", "message"),
    [
        (torch.arange(2), torch.rand(2, 1), r"values must have shape \(B,\), one for each video, got \(2, 1\)"),
        (torch.arange(2), torch.rand(3), "must describe the same videos"),
        (torch.arange(2), torch.ones(2, dtype=torch.int64), "must be floating point"),
    ],
)
def test_bad_argument_is_named(index: Tensor, values: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        VideoMean().update(index, values)


def test_nothing_seen_is_refused() -> None:
    with pytest.warns(UserWarning, match="compute"), pytest.raises(ValueError, match="has seen no video"):
        VideoMean().compute()
