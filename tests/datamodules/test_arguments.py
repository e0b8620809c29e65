"""Arguments that are refused by their own name, before a file is read or a worker started."""

from typing import Any

import pytest

from clips.targets import Video
from datamodules.base import Split, VideoDataModule


class Nothing(VideoDataModule):
    def read_split(self, split: Split) -> list[Video]:
        raise AssertionError("read before the arguments were checked")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_rates": []}, r"train_rates must be positive rates and at least one, got \[\]"),
        ({"train_rates": [4, 0]}, r"train_rates must be positive .* got \[4, 0\]"),
        ({"train_rates": [float("inf")]}, "train_rates must be positive"),
        ({"train_rates": [float("nan")]}, "train_rates must be positive"),
        ({"val_views": {float("nan"): (3, 1)}}, "val_views maps a positive rate"),
        ({"fps": -24.0}, r"fps must be positive and finite, or null, got -24\.0"),
        ({"fps": 0.0}, "fps must be positive"),
        ({"fps": float("nan")}, "fps must be positive"),
        ({"folder_fps": 0.0}, "folder_fps must be positive"),
        ({"num_workers": -1}, "num_workers must be at least 0, got -1"),
        ({"past_end_tolerance": -0.5}, r"past_end_tolerance must be at least 0, got -0\.5"),
        ({"past_end_tolerance": float("nan")}, "past_end_tolerance must be at least 0, got nan"),
        ({"crop_size": 0}, "crop_size must be at least 1, got 0"),
        ({"std": (0.2, 0.0, 0.2)}, r"std must be positive, .* got \[0\.2, 0\.0, 0\.2\]"),
        ({"std": (0.2,)}, r"std must be three numbers, of red, green and blue, got \[0\.2\]"),
        ({"mean": (0.4, 0.4)}, "mean must be three numbers"),
        ({"mean": (0.4, 0.4, float("nan"))}, "mean must be three numbers"),
    ],
)
def test_an_argument_out_of_range_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Nothing(**changes)


def test_arguments_at_their_ends_are_taken() -> None:
    data = Nothing(num_workers=0, past_end_tolerance=0, fps=None, folder_fps=None, train_rates=[0.5], mean=(0, 0, 0))
    assert data.train_rates == [0.5] and data.spec.past_end_tolerance == 0
