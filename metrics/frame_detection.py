"""AVA's frame-mAP: average precision of labelled person boxes in single images at an IoU of 0.5.

The official program (`get_ava_performance.py` over TensorFlow's object detection evaluation; Gu et al., "AVA", CVPR 2018)
is PASCAL VOC's, and its ways are kept here:

- only the listed labels count, in truth and predictions alike; excluded seconds are left out of both;
- of each image only the 50 labelled boxes with the highest scores are read, all labels together (`capacity`);
- a predicted box whose sides are not positive is dropped, neither right nor wrong, after it took its place among the 50;
- each prediction looks at one ground truth alone, the one of its label that it overlaps most. If IoU >= 0.5 and no
  prediction before it had that one, it is a hit; there is no second choice, other than in temporal detection;
- boxes in an image without truth are false positives;
- AP is interpolated, and labels without truth are left out of the mean.

Where the program goes by the order of the file, ties go here by the higher label and coordinates for the 50, by the lower
coordinates for the ground truth, and predictions with one score have one place in the ranking.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from annotations.ava import AvaBoxes
from metrics.matching import Indices, check_numbers, equal_pairs, greedy_matches
from metrics.ranking import Ranking, areas
from metrics.step_labels import MAX_SECONDS

CAPACITY = 50
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ImageBoxes:
    """Labelled boxes of many images as columns, in any order.

    Args:
        images: (n,) int64, number of the image.
        videos: (n,) int64, number of its video, 0 .. U-1.
        labels: (n,) int64, 0 .. K-1.
        boxes: (n, 4) float64, x1, y1, x2, y2 in any unit.
        scores: (n,) float64; not read where the boxes are ground truth.

    Raises:
        ValueError: the columns do not fit together, a box is not finite, or a score is NaN.
    """

    images: Indices
    videos: Indices
    labels: Indices
    boxes: Floats
    scores: Floats

    def __post_init__(self) -> None:
        """Refuse columns that cannot be scored."""
        n = len(self.images)
        columns = (self.images, self.videos, self.labels, self.boxes, self.scores)
        if [np.shape(column) for column in columns] != [(n,), (n,), (n,), (n, 4), (n,)]:
            raise ValueError(
                "images, videos, labels, boxes and scores must be (n,), (n,), (n,), (n, 4) and (n,), got "
                f"{[np.shape(column) for column in columns]}"
            )
        bad = ~np.isfinite(self.boxes).all(axis=1) | np.isnan(self.scores)
        if bad.any():
            row = int(np.flatnonzero(bad)[0])
            raise ValueError(
                f"boxes must be finite and scores not NaN, got box {self.boxes[row].tolist()} with score "
                f"{self.scores[row]} in row {row}: look for a diverged model"
            )

    def take(self, rows: npt.NDArray[Any]) -> ImageBoxes:
        """These rows, in this order."""
        return ImageBoxes(self.images[rows], self.videos[rows], self.labels[rows], self.boxes[rows], self.scores[rows])


def box_iou(left: Floats, right: Floats) -> Floats:
    """Intersection over union of pairs of boxes, (n, 4) and (n, 4) -> (n,) in [0, 1]; 0 where they share no area."""
    sides = np.minimum(left[:, 2:], right[:, 2:]) - np.maximum(left[:, :2], right[:, :2])
    shared = np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)
    area = [(box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1]) for box in (left, right)]
    iou = np.zeros(len(left))
    np.divide(shared, area[0] + area[1] - shared, out=iou, where=shared > 0)
    return iou


def image_rankings(
    truth: ImageBoxes,
    predictions: ImageBoxes,
    num_videos: int,
    num_labels: int,
    *,
    capacity: int | None = CAPACITY,
    threshold: float = 0.5,
) -> list[Ranking]:
    """Ranked lists of the boxes of each label, whose units are the numbers of the videos.

    Args:
        truth: annotated boxes.
        predictions: scored boxes.
        num_videos: U.
        num_labels: K.
        capacity: labelled boxes read of each image, those with the highest scores; all when None.
        threshold: of IoU, in (0, 1].

    Raises:
        ValueError: a number is out of range, or a box of the truth is reversed.
    """
    if (capacity is not None and capacity < 1) or not 0 < threshold <= 1:
        raise ValueError(f"capacity must be positive and threshold in (0, 1], got {capacity} and {threshold}")
    for name, part in (("truth", truth), ("predictions", predictions)):
        check_numbers(f"videos of {name}", part.videos, num_videos)
        check_numbers(f"labels of {name}", part.labels, num_labels)
    reversed_rows = np.flatnonzero((truth.boxes[:, :2] > truth.boxes[:, 2:]).any(axis=1))
    if len(reversed_rows):
        row = int(reversed_rows[0])
        raise ValueError(
            f"boxes of truth must be x1, y1, x2, y2 with x1 <= x2 and y1 <= y2, got {truth.boxes[row].tolist()}"
        )
    if capacity is not None:
        predictions = predictions.take(_highest(predictions, capacity))
    predictions = predictions.take(np.flatnonzero((predictions.boxes[:, :2] < predictions.boxes[:, 2:]).all(axis=1)))
    # the order of the rows ends here
    truth = truth.take(np.lexsort((*truth.boxes.T[::-1], truth.labels)))
    predictions = predictions.take(np.lexsort((-predictions.scores, predictions.labels)))
    found = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0))]
    keys = [part.images * num_labels + part.labels for part in (predictions, truth)]
    for left, right in equal_pairs(*keys):
        iou = box_iou(predictions.boxes[left], truth.boxes[right])
        near = iou >= threshold
        found.append((left[near], right[near], iou[near]))
    left, right, iou = (np.concatenate(parts) for parts in zip(*found, strict=True))
    order = np.lexsort((right, -iou, left))
    left, right = left[order], right[order]
    nearest = np.unique(left, return_index=True)[1]
    hits = greedy_matches(left[nearest], right[nearest], len(predictions.images), len(truth.images))
    bounds = np.searchsorted(predictions.labels, np.arange(num_labels + 1))
    rankings = []
    for label in range(num_labels):
        rows = slice(bounds[label], bounds[label + 1])
        positives = np.bincount(truth.videos[truth.labels == label], minlength=num_videos)
        rankings.append(Ranking(predictions.scores[rows], hits[rows], predictions.videos[rows], positives))
    return rankings


def _highest(boxes: ImageBoxes, capacity: int) -> Indices:
    """Rows of the `capacity` highest scores of each image; ties by the higher label, then y1, x1, y2, x2."""
    x1, y1, x2, y2 = boxes.boxes.T
    order = np.lexsort((x2, y2, x1, y1, boxes.labels, boxes.scores, boxes.images))
    ends = np.searchsorted(boxes.images[order], boxes.images[order], side="right")
    return order[np.arange(len(order)) >= ends - capacity]


def box_rankings(
    truth: AvaBoxes,
    predictions: AvaBoxes,
    labels: Sequence[int],
    excluded: Collection[tuple[str, int]] = (),
    *,
    capacity: int | None = CAPACITY,
) -> list[Ranking]:
    """Ranked lists of the boxes of two AVA files, in the order of `labels`, at an IoU of 0.5.

    Args:
        truth: the annotations.
        predictions: the detections.
        labels: official numbers of the labels that count, as in the label map; boxes of other labels are not read.
        excluded: (video, second) of the images that are left out.
        capacity: see `image_rankings`.

    Returns:
        K rankings. Units are numbers of videos, of all that either file names, in the order of their names.

    Raises:
        ValueError: labels repeat or there are none; a second is beyond 1e9; see `image_rankings`.
    """
    if not labels or len(set(labels)) != len(labels):
        raise ValueError(f"labels must be the numbers of the label map, each once, got {list(labels)}")
    strange = next((pair for pair in excluded if not -MAX_SECONDS <= pair[1] <= MAX_SECONDS), None)
    if strange is not None:
        raise ValueError(
            f"excluded must be seconds up to {MAX_SECONDS:g}, got {str(strange[1])[:20]} for {strange[0]!r}: correct the list"
        )
    names = {name: number for number, name in enumerate(sorted({*truth.videos, *predictions.videos}))}
    for part in (truth, predictions):
        far = np.flatnonzero((part.seconds < -MAX_SECONDS) | (part.seconds > MAX_SECONDS))
        if len(far):
            raise ValueError(
                f"{part.path}, line {part.lines[far[0]]}: the second is {part.seconds[far[0]]}; expected one up to "
                f"{MAX_SECONDS:g}, such as 902; check the order of the columns"
            )
    seconds = [
        int(second)
        for part in (truth, predictions)
        for second in (part.seconds.min(initial=0), part.seconds.max(initial=0))
    ]
    low, span = min(seconds), max(seconds) - min(seconds) + 1
    keys = [
        names[name] * span + second - low for name, second in excluded if name in names and 0 <= second - low < span
    ]
    ids = np.sort(np.array(labels, np.int64))
    parts: list[ImageBoxes] = []
    for part in (truth, predictions):
        videos = np.array([names[name] for name in part.videos], np.int64)
        images = videos * span + part.seconds - low
        places = np.searchsorted(ids, part.actions).clip(max=len(ids) - 1)
        rows = (ids[places] == part.actions) & ~np.isin(images, keys)
        parts.append(ImageBoxes(images[rows], videos[rows], places[rows], part.boxes[rows], part.scores[rows]))
    rankings = image_rankings(parts[0], parts[1], len(names), len(labels), capacity=capacity)
    return [rankings[place] for place in np.searchsorted(ids, labels)]


def box_average_precision(
    truth: AvaBoxes,
    predictions: AvaBoxes,
    labels: Sequence[int],
    excluded: Collection[tuple[str, int]] = (),
    *,
    capacity: int | None = CAPACITY,
) -> Floats:
    """Average precision of each label, (K,) float64, NaN without truth; AVA's mAP is its `numpy.nanmean`."""
    rankings = box_rankings(truth, predictions, labels, excluded, capacity=capacity)
    return np.array([areas(ranking, "interpolated")[0] for ranking in rankings])
