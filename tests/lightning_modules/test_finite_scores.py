from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_modules import ActivitySpecific
from lightning_modules.finite_scores import check_finite
from tests.conftest import EXPERIMENTS, Run

TEST = EXPERIMENTS / "multi_rate_test.yaml"


class Batch:
    """Three videos of two views; the second cannot be read."""

    index = torch.tensor([4, 7, 9])

    def unfold(self, rows: Tensor) -> Tensor:
        out = rows.new_full((3, 2, rows.shape[1]), -torch.inf)
        out[[0, 2]] = rows.view(2, 2, -1)
        return out


@pytest.mark.parametrize(
    ("view", "label", "value", "refused"),
    [
        (3, 1, torch.nan, "9 \\(1 of its views\\)"),
        (0, 2, torch.inf, "4 \\(1 of its views\\)"),
        (slice(2, 4), slice(None), -torch.inf, "9 \\(2 of its views\\)"),
        (slice(None), 0, torch.nan, "4 \\(2 of its views\\), 9 \\(2 of its views\\)"),
        (1, 1, -torch.inf, None),  # a network may rule a label out
        (1, 1, 1e30, None),
    ],
)
def test_only_scores_that_rank_nothing_are_refused(view: Any, label: Any, value: float, refused: str | None) -> None:
    logits = torch.zeros(4, 3)
    logits[view, label] = value
    if refused is None:
        check_finite(logits, Batch(), None)
    else:
        with pytest.raises(ValueError, match=f"scores NaN or infinity for {refused}: look for NaN in the weights"):
            check_finite(logits, Batch(), None)


@pytest.mark.parametrize(
    ("command", "video"), [("test", "test_2.mp4"), ("validate", "val_2.mp4"), ("predict", "val_0.mp4")]
)
def test_video_is_named(
    run: Run, stage1: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch, command: str, video: str
) -> None:
    forward, calls = ActivitySpecific.forward, []

    def third_is_nan(self: ActivitySpecific, clips: Tensor) -> Tensor:
        calls.append(len(clips))
        return forward(self, clips) * (torch.nan if len(calls) == (1 if command == "predict" else 3) else 1)

    monkeypatch.setattr(ActivitySpecific, "forward", third_is_nan)
    options = {"test": [], "validate": [], "predict": [f"--data.predict={tiny / video}"]}[command]
    configs = (TEST,) if command == "test" else ()
    with pytest.raises(ValueError, match=rf"infinity for \S*{video} \(\d of its views\)"):
        run(command, f"--ckpt_path={stage1}", "--data.test_views={4: [2, 1]}", *options, configs=configs)
