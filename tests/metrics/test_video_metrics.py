import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from metrics import (
    Absent,
    Unlabelled,
    VideoMeanAveragePrecision,
    VideoScores,
    VideoTopK,
    mean_average_precision,
    top_k_accuracy,
)
from metrics.base import _gather_device

ROOT = Path(__file__).resolve().parents[2]


def videos(n: int = 9, views: int = 3, num_labels: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(n, views, num_labels, generator=generator)
    labels = (torch.rand(n, num_labels, generator=generator) < 0.4).long()
    return torch.arange(n), logits, labels


@pytest.mark.parametrize(
    "batches",
    [[[0, 1, 2, 3, 4, 5, 6, 7, 8]], [[8, 2], [5, 1, 0], [3, 7, 6, 4]], [[4, 3, 2, 1, 0], [], [5, 6, 7, 8]]],
)
def test_video_scores_do_not_depend_on_order_or_batches(batches: list[list[int]]) -> None:
    index, logits, labels = videos()
    metric = VideoScores()
    for batch in batches:
        seen = torch.tensor(batch, dtype=torch.int64)
        metric.update(index[seen], logits[seen], labels[seen])
    rows = metric.compute()
    assert len(rows) == 9
    for got, expected in zip(rows, (index, logits, labels), strict=True):
        assert got.dtype == expected.dtype
        torch.testing.assert_close(got, expected, rtol=0, atol=0)


def test_video_scores_keep_the_first_of_repeated_videos() -> None:
    index, logits, labels = videos(4)
    metric = VideoScores()
    metric.update(index + 10, logits, labels)
    metric.update(torch.tensor([12, 10]), torch.zeros(2, 3, 4), labels[[2, 0]])  # padding of a sampler
    got_index, got_logits, _ = metric.compute()
    assert got_index.tolist() == [10, 11, 12, 13]
    torch.testing.assert_close(got_logits, logits, rtol=0, atol=0)


def test_video_scores_of_one_video_keep_all_axes() -> None:
    metric = VideoScores()
    metric.update(torch.tensor([7]), torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.int64))
    index, logits, labels = metric.compute()
    assert (index.shape, logits.shape, labels.shape) == ((1,), (1, 1, 1), (1, 1))


def test_video_scores_are_copies_in_float32() -> None:
    index, logits, labels = videos(2)
    kept = logits.clone()
    metric = VideoScores()
    metric.update(index, logits, labels)
    logits.zero_()
    torch.testing.assert_close(metric.compute().scores, kept, rtol=0, atol=0)
    half = VideoScores()
    half.update(index, kept.bfloat16().requires_grad_(), labels)
    assert half.compute().scores.dtype == torch.float32
    assert not half.compute().scores.requires_grad


def test_video_scores_reset_forgets() -> None:
    metric = VideoScores()
    metric.update(*videos(3))
    metric.reset()
    metric.update(*videos(2))
    assert len(metric.compute()) == 2


def test_video_scores_refuse_repeats_with_other_labels() -> None:
    index, logits, labels = videos(3)
    metric = VideoScores()
    metric.update(index, logits, labels)
    metric.update(index[1:2], logits[1:2], 1 - labels[1:2])
    with pytest.raises(ValueError, match="index 1 came with two different rows of labels"):
        metric.compute()


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_video_scores_refuse_compute_without_videos() -> None:
    with pytest.raises(ValueError, match="VideoScores has seen no video: call update before compute"):
        VideoScores().compute()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(2, 4)}, r"logits must have shape \(B, V, K\), got \(2, 4\)"),
        ({"logits": torch.zeros(3, 1, 4)}, "must describe the same videos"),
        ({"logits": torch.zeros(2, 1, 5)}, "must describe the same videos"),
        ({"logits": torch.zeros(2, 1, 4, dtype=torch.int64)}, "scores must be floating point"),
        ({"index": torch.zeros(2)}, r"index must be \(B,\) integers"),
        ({"index": torch.zeros(2, 1, dtype=torch.int64)}, r"index must be \(B,\) integers"),
        ({"labels": torch.zeros(2, 4)}, r"labels must be \(B, K\) integers"),
        ({"logits": torch.zeros(2, 2, 4)}, r"rows of one shape, got \(2, 4\) after \(1, 4\)"),
    ],
)
def test_video_scores_refuse_bad_batches_by_message(change: dict[str, Tensor], message: str) -> None:
    batch = {
        "index": torch.arange(2),
        "logits": torch.zeros(2, 1, 4),
        "labels": torch.zeros(2, 4, dtype=torch.int64),
    }
    metric = VideoScores()
    metric.update(**batch)
    with pytest.raises(ValueError, match=message):
        metric.update(**(batch | change))


@pytest.mark.parametrize("unlabelled", ["negative", "minus_inf"])
@pytest.mark.parametrize("absent", ["skip", "zero"])
def test_video_map_equals_the_function_and_ignores_repeats(absent: Absent, unlabelled: Unlabelled) -> None:
    index, logits, labels = videos(30)
    labels[4] = 0
    labels[:, 2] = 0
    preds = logits[:, 0].sigmoid()
    metric = VideoMeanAveragePrecision(absent=absent, unlabelled=unlabelled)
    for rows in (slice(20, 30), slice(0, 12), slice(8, 25)):
        metric.update(index[rows], preds[rows], labels[rows])
    expected = mean_average_precision(preds, labels, absent=absent, unlabelled=unlabelled)
    assert metric.compute().dtype == torch.float64
    assert metric.compute() == expected


def test_video_map_puts_unreadable_videos_last() -> None:
    index, logits, labels = videos(12)
    preds = logits[:, 0].sigmoid()
    preds[3] = -torch.inf
    metric = VideoMeanAveragePrecision()
    metric.update(index, preds, labels)
    assert metric.compute() == mean_average_precision(preds.masked_fill(preds == -torch.inf, 0.0), labels)


def test_video_map_refuses_unknown_choice() -> None:
    with pytest.raises(ValueError, match="absent must be one of skip, zero, nonzero, got 'drop'"):
        VideoMeanAveragePrecision(absent="drop")  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [1, 2])
def test_video_top_k_equals_the_function_and_ignores_repeats(k: int) -> None:
    index, logits, _ = videos(20)
    labels = torch.nn.functional.one_hot(torch.arange(20) % 4, 4)
    preds = logits[:, 0].softmax(dim=1)
    metric = VideoTopK(k)
    for rows in (slice(5, 20), slice(0, 8)):
        metric.update(index[rows], preds[rows], labels[rows])
    assert metric.compute() == top_k_accuracy(preds, labels, k)


def test_video_top_k_refuses_k_below_one() -> None:
    with pytest.raises(ValueError, match="k must be positive, got 0"):
        VideoTopK(0)


@pytest.mark.parametrize("metric", [VideoMeanAveragePrecision(), VideoTopK()])
@pytest.mark.parametrize(
    ("preds", "message"),
    [
        (
            torch.zeros(2, 4, dtype=torch.bfloat16),
            r"torch.bfloat16, which ties scores that differ: call logits.float\(\)",
        ),
        (torch.zeros(2, 1, 4), r"preds must have shape \(B, K\), got \(2, 1, 4\): reduce the views first"),
    ],
)
def test_video_metrics_refuse_preds_that_cannot_be_ranked(
    metric: VideoMeanAveragePrecision | VideoTopK, preds: Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        metric.update(torch.arange(2), preds, torch.ones(2, 4, dtype=torch.int64))


def test_video_metrics_on_two_processes_equal_one(tmp_path: Path) -> None:
    script = Path(__file__).with_name("gather_script.py")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(tmp_path)], env=environment) for rank in range(2)
    ]
    try:
        codes = [process.wait(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0]
    alone = runpy.run_path(str(script))
    expected = alone["compute"](alone["CASES"]["one process"][0])
    assert expected["index"].tolist() == list(range(11))
    for rank in range(2):
        results = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert list(results) == ["uneven", "second is empty", "first is empty"]
        for case, result in results.items():
            for name, value in expected.items():
                message = f"{name} differs on rank {rank}, case {case}"
                torch.testing.assert_close(result[name], value, rtol=0, atol=0, msg=message)


@pytest.mark.parametrize(
    ("backend", "accelerator", "expected"),
    [
        ("gloo", "cuda", "cpu"),
        ("nccl", "cuda", "cuda:3"),
        ("cpu:gloo,cuda:nccl", "cuda", "cpu"),
        ("xccl", "xpu", "xpu:3"),
        ("gloo", None, "cpu"),
    ],
)
def test_gather_sends_from_the_device_of_the_backend(
    monkeypatch: pytest.MonkeyPatch, backend: str, accelerator: str | None, expected: str
) -> None:
    # scores lie on the CPU, which NCCL cannot send from; the choice is all that can be tested without two GPUs
    device = None if accelerator is None else torch.device(accelerator)
    monkeypatch.setattr(torch.distributed, "get_backend", lambda group: backend)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: device)
    monkeypatch.setattr(torch.accelerator, "current_device_index", lambda: 3)
    assert _gather_device(None) == torch.device(expected)
