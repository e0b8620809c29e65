from pathlib import Path

import numpy as np
import pytest

from clips.targets import Target, Video

VIDEO = Video(
    "a.mp4",
    Path("a.mp4"),
    np.array([0, 0, 1, 3]),
    np.array([[1.0, 3.0], [2.0, 5.0], [8.0, 9.0], [0.0, np.inf]]),
)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (0.0, 0.9, [0, 0, 0, 1]),
        (0.0, 1.0, [1, 0, 0, 1]),  # the last sampled frame is the first of the activity
        (4.99, 7.99, [1, 0, 0, 1]),
        (5.0, 8.0, [0, 1, 0, 1]),  # an interval excludes its end
        (0.0, 20.0, [1, 1, 0, 1]),  # gaps between sampled frames are covered
    ],
)
def test_overlap_is_the_union_over_the_span(start: float, end: float, expected: list[int]) -> None:
    assert VIDEO.clip_labels(start, end, 4, "overlap").tolist() == expected


def test_fraction_is_the_covered_share_of_the_span_counted_once() -> None:
    assert VIDEO.clip_labels(0.0, 10.0, 4, "fraction").tolist() == pytest.approx([0.4, 0.1, 0.0, 1.0])
    assert VIDEO.clip_labels(4.0, 6.0, 4, "fraction").tolist() == pytest.approx([0.5, 0.0, 0.0, 1.0])
    assert VIDEO.clip_labels(2.0, 2.0, 4, "fraction").tolist() == [1, 0, 0, 1]


def test_fraction_equals_a_fine_count_of_instants() -> None:
    random = np.random.default_rng(0)
    for _ in range(20):
        begins = random.uniform(0, 9, 6)
        video = Video(
            "a", Path("a"), random.integers(0, 3, 6), np.stack([begins, begins + random.uniform(0.1, 4, 6)], 1)
        )
        instants = np.linspace(2.0, 8.0, 60001)
        counted = np.zeros(3)
        for k in range(3):
            inside = np.zeros(len(instants), bool)
            for low, high in video.intervals[video.labels == k]:
                inside |= (instants >= low) & (instants < high)
            counted[k] = inside.mean()
        assert video.clip_labels(2.0, 8.0, 3, "fraction") == pytest.approx(counted, abs=1e-3)


@pytest.mark.parametrize("target", ["overlap", "video", "fraction"])
def test_video_without_labels_gives_zeros(target: Target) -> None:
    empty = Video("a", Path("a"), np.empty(0, np.int64), np.empty((0, 2)))
    assert empty.clip_labels(0.0, 3.0, 2, target).tolist() == [0, 0]


def test_video_target_is_the_whole_video_and_bad_arguments_are_named() -> None:
    assert VIDEO.clip_labels(6.0, 7.0, 4, "video").tolist() == [1, 1, 0, 1]
    with pytest.raises(ValueError, match=r"target must be one of .*, got 'union'"):
        VIDEO.clip_labels(0.0, 1.0, 4, "union")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="must not end before it starts"):
        VIDEO.clip_labels(2.0, 1.0, 4, "overlap")


@pytest.mark.parametrize("interval", [(5.0, 5.0), (6.0, 4.0)])
@pytest.mark.parametrize("target", ["overlap", "fraction"])
def test_interval_without_an_instant_is_a_label_of_the_video_but_of_no_clip(
    interval: tuple[float, float], target: Target
) -> None:
    video = Video("a", Path("a"), np.array([1]), np.array([interval]))
    for start, end in ((0.0, 10.0), (4.5, 5.5), (5.0, 5.0)):
        assert video.clip_labels(start, end, 2, target).tolist() == [0, 0]
    assert video.clip_labels(0.0, 1.0, 2, "video").tolist() == video.video_labels(2).tolist() == [0, 1]
