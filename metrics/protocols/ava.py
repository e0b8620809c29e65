"""AVA: average precision of actions in boxes of persons at keyframes (Gu et al., "AVA", CVPR 2018)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from annotations.ava import AvaBoxes, read_boxes, read_excluded, read_label_map
from metrics.frame_detection import CAPACITY, box_rankings
from metrics.protocols.coverage import cover
from metrics.protocols.means import interval, mean_row, variant_rows
from metrics.protocols.report import Report, Row, per_class
from metrics.protocols.truth import refuse_folders
from metrics.ranking import areas

# the official numbers stand in this order: label_type of the full label map
TYPES = {"person_movement": (1, 14), "object_manipulation": (15, 63), "person_interaction": (64, 80)}


def add_arguments(parser: ArgumentParser) -> None:
    """Options of the protocol."""
    parser.add_argument("--truth", type=Path, nargs="+", required=True, metavar="FILE", help="ava_val_v2.2.csv")
    parser.add_argument(
        "--labels",
        type=Path,
        required=True,
        metavar="FILE",
        help="label map with the actions that count: ava_action_list_v2.2_for_activitynet_2019.pbtxt (60 of 80)",
    )
    parser.add_argument(
        "--exclude",
        type=Path,
        metavar="FILE",
        help="keyframes that do not count: ava_val_excluded_timestamps_v2.2.csv (default: all count)",
    )


def detect(args: Namespace) -> Report:
    """Score rows `video,second,x1,y1,x2,y2,action,score`."""
    if len(args.truth) != 1:
        raise ValueError(f"--truth: expected one CSV file, got {', '.join(map(str, args.truth))}")
    refuse_folders(args.truth)
    truth, result = read_boxes(args.truth[0], scored=False), read_boxes(args.predictions, scored=True)
    names = read_label_map(args.labels)
    excluded = read_excluded(args.exclude) if args.exclude is not None else set()
    _check_rows(result)
    where = {name: f"line {line}" for name, line in zip(result.videos[::-1], result.lines[::-1], strict=True)}
    videos = dict.fromkeys(truth.videos)
    counted = "count as videos without predictions"
    found = cover(videos, result.path, where, allow_missing=args.allow_missing, missing_are=counted)
    result = _rows(result, np.array([name in videos for name in result.videos], np.bool_))
    labels = sorted(names)
    rankings = box_rankings(truth, result, labels, excluded)
    values = np.array([areas(ranking, "interpolated")[0] for ranking in rankings])
    counts = np.array([ranking.positives.sum() for ranking in rankings])
    span = interval(rankings, len(videos), args.bootstrap, "interpolated")
    rows = [mean_row("map", f"official program: IoU 0.5, the {CAPACITY} highest scores of each image", values, span)]
    rows += variant_rows("map", values, counts)
    everything = box_rankings(truth, result, labels, excluded, capacity=None)
    all_values = np.array([areas(ranking, "interpolated")[0] for ranking in everything])
    all_span = interval(everything, len(videos), args.bootstrap, "interpolated")
    rows.append(mean_row("map_all_boxes", "as map, all scores of each image", all_values, all_span))
    rows += _types(np.array(labels), values)
    notes = [
        *found.notes,
        *_left_out(truth, "truth", labels, excluded),
        *_left_out(result, "predicted", labels, excluded),
    ]
    classes = per_class([names[label] for label in labels], values, counts)
    return Report(rows, len(videos), notes, "map", classes, found.facts)


def _check_rows(result: AvaBoxes) -> None:
    """Refuse a row without an action, and one that repeats another exactly.

    Raises:
        ValueError: naming the line.
    """
    bad = np.flatnonzero(result.actions < 0)
    if len(bad):
        raise ValueError(
            f"{result.path}, line {result.lines[bad[0]]}: the row has no action, as {len(bad)} rows; expected one of 1 to 80 "
            "with its score; is this a file of person boxes?"
        )
    boxes = map(tuple, result.boxes.tolist())
    rows = zip(
        result.videos, result.seconds.tolist(), boxes, result.actions.tolist(), result.scores.tolist(), strict=True
    )
    seen: dict[tuple[object, ...], int] = {}
    for line, row in zip(result.lines.tolist(), rows, strict=True):
        first = seen.setdefault(row, line)
        if first != line:
            raise ValueError(f"{result.path}, line {line}: repeats line {first}; remove it")


def _types(labels: npt.NDArray[np.int64], values: npt.NDArray[np.float64]) -> list[Row]:
    """The mean of each kind of action."""
    rows = []
    for name, (first, last) in TYPES.items():
        inside = (first <= labels) & (labels <= last)
        text = f"as map, the {inside.sum()} actions of the kind {name.replace('_', ' ')} ({first} to {last})"
        rows.append(mean_row(f"map_{name}", text, values[inside]))
    return rows


def _left_out(boxes: AvaBoxes, kind: str, labels: list[int], excluded: set[tuple[str, int]]) -> list[str]:
    """What the protocol does not look at, counted."""
    notes = []
    other = int((~np.isin(boxes.actions, labels)).sum())
    if other:
        notes.append(
            f"{other} of {len(boxes.videos)} {kind} rows are of actions outside the label map and do not count"
        )
    if excluded:
        there = sum(key in excluded for key in zip(boxes.videos, boxes.seconds.tolist(), strict=True))
        notes.append(f"{there} of {len(boxes.videos)} {kind} rows are at excluded keyframes and do not count")
    return notes


def _rows(boxes: AvaBoxes, keep: npt.NDArray[np.bool_]) -> AvaBoxes:
    """These rows of a file."""
    return replace(
        boxes,
        videos=[name for name, kept in zip(boxes.videos, keep.tolist(), strict=True) if kept],
        seconds=boxes.seconds[keep],
        boxes=boxes.boxes[keep],
        actions=boxes.actions[keep],
        scores=boxes.scores[keep],
        lines=boxes.lines[keep],
    )
