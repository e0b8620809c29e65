"""What ActivityNet and THUMOS'14 share: segments as numbered columns, and rows of average precision by threshold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import chain

import numpy as np
import numpy.typing as npt

from metrics.detection import Segments
from metrics.protocols.means import interval, mean_row
from metrics.protocols.report import Row
from metrics.protocols.truth import Truth
from metrics.ranking import Area, Ranking, areas
from metrics.results import ResultSegments
from metrics.step_labels import MAX_SECONDS

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Detections:
    """Average precision of each label at each threshold, as rows of a table.

    Args:
        rows: averages first, then the thresholds.
        averages: name of the row of an average -> (K,) float64, that of each label; NaN for an absent label.
    """

    rows: list[Row]
    averages: dict[str, Floats]


def truth_segments(truth: Truth) -> Segments:
    """The annotated segments, the videos numbered in the order of the truth.

    Raises:
        ValueError: a segment is so far out that sums of seconds could overflow.
    """
    videos = list(truth.values())
    far = next((video for video in videos if (np.abs(video.intervals) > MAX_SECONDS).any()), None)
    if far is not None:
        raise ValueError(
            f"{far.where}: video {far.name!r} has a segment beyond {MAX_SECONDS:g} s; expected seconds; correct the file"
        )
    return Segments(
        np.repeat(np.arange(len(videos)), [len(video.labels) for video in videos]),
        np.concatenate([np.empty(0, np.int64), *(video.labels for video in videos)]),
        np.concatenate([np.empty((0, 2)), *(video.intervals for video in videos)]),
        np.ones(sum(len(video.labels) for video in videos)),
    )


def predicted_rows(result: ResultSegments, truth: Truth) -> npt.NDArray[np.int64]:
    """Rows of the file whose video is in the truth."""
    return np.array([row for row, name in enumerate(result.videos) if name in truth], np.int64)


def video_numbers(result: ResultSegments, truth: Truth, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Number of the video of each of these rows, in the order of the truth."""
    places = {name: i for i, name in enumerate(truth)}
    return np.array([places[result.videos[row]] for row in rows], np.int64)


def label_numbers(
    result: ResultSegments, rows: npt.NDArray[np.int64], numbers: Mapping[str, int]
) -> npt.NDArray[np.int64]:
    """Number of the label of each of these rows; the labels of all rows are checked.

    Raises:
        ValueError: a label is not among `numbers`.
    """
    for row, label in enumerate(result.labels):
        if label not in numbers:
            near = get_close_matches(label, numbers, 1, cutoff=0.7)
            hint = f"did you mean {near[0]!r}?" if near else "check the spelling and the data set"
            raise ValueError(
                f"{result.path}, {result.rows[row]}: unknown label {label!r}; expected one of {len(numbers)} known ones, "
                f"such as {next(iter(numbers))!r}; {hint}"
            )
    return np.array([numbers[result.labels[row]] for row in rows], np.int64)


def predicted_segments(result: ResultSegments, truth: Truth, numbers: Mapping[str, int] | None) -> Segments:
    """The predicted segments of the truth's videos, numbered like them.

    Args:
        result: the file; rows of other videos are left out.
        truth: the annotations.
        numbers: label as written -> label number; None where the file has no labels (all become 0).

    Raises:
        ValueError: a label is not among `numbers`.
    """
    rows = predicted_rows(result, truth)
    labels = np.zeros(len(rows), np.int64) if numbers is None else label_numbers(result, rows, numbers)
    return Segments(video_numbers(result, truth, rows), labels, result.intervals[rows], result.scores[rows])


def repeats_note(result: ResultSegments) -> list[str]:
    """A note on predictions that repeat another one in video, label, segment and score; none without any.

    They are not refused: the official sample of ActivityNet has some.
    """
    intervals = map(tuple, result.intervals.tolist())
    seen: dict[tuple[object, ...], str] = {}
    found = []
    for row, *key in zip(result.rows, result.videos, result.labels, intervals, result.scores.tolist(), strict=True):
        first = seen.setdefault(tuple(key), row)
        if first != row:
            found.append(f"{row} repeats {first}")
    return [f"{len(found)} predictions repeat another one exactly ({found[0]}): each counts"] if found else []


def detection_rows(
    make: Callable[[], Iterator[list[Ranking]]],
    thresholds: Sequence[float],
    averages: Mapping[str, tuple[float, float]],
    name: Callable[[float], str],
    meaning: str,
    *,
    area: Area,
    num_videos: int,
    resamples: int,
) -> Detections:
    """Mean average precision at each threshold of tIoU, and averages over thresholds.

    Args:
        make: gives, each time it is called, for each threshold the rankings of the labels.
        thresholds: of tIoU.
        averages: name of a row -> the first and the last threshold of its average.
        name: threshold -> name of its row.
        meaning: of the rows, without the thresholds.
        area: see `metrics.ranking.areas`.
        num_videos: units of the rankings.
        resamples: of the bootstrap; 0 for none.
    """
    values, spans = [], []
    for rankings in make():
        values.append([areas(ranking, area)[0] for ranking in rankings])
        spans.append(interval(rankings, num_videos, resamples, area))
    table = np.array(values)
    rows, means = [], {}
    for key, (first, last) in averages.items():
        inside = [first - 1e-9 < threshold < last + 1e-9 for threshold in thresholds]
        chosen = chain.from_iterable(rankings for rankings, keep in zip(make(), inside, strict=True) if keep)
        span = interval(chosen, num_videos, resamples, area)
        text = f"{meaning}, mean over {sum(inside)} thresholds of tIoU, {first:g} to {last:g}"
        means[key] = table[inside].mean(axis=0)
        rows.append(mean_row(key, text, means[key], span))
    for threshold, row, span in zip(thresholds, table, spans, strict=True):
        rows.append(mean_row(name(threshold), f"{meaning}, tIoU {threshold:g}", row, span))
    return Detections(rows, means)
