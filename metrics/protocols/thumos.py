"""THUMOS'14 and MultiTHUMOS temporal detection, by the official kit and in the way of later papers, side by side."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np

from annotations.interval_files import read_interval_files
from annotations.label_names import label_names
from metrics.detection import (
    MULTITHUMOS_THRESHOLDS,
    THUMOS14_THRESHOLDS,
    Matching,
    Segments,
    detection_rankings_at,
)
from metrics.protocols.coverage import cover
from metrics.protocols.means import variant_rows
from metrics.protocols.report import Report, per_class
from metrics.protocols.segments import Detections, detection_rows, predicted_segments, repeats_note, truth_segments
from metrics.protocols.truth import Truth, add_truth, subset_notes, thumos_truth, truth_files
from metrics.ranking import Area
from metrics.results import read_segment_lines

# the 20 labels of THUMOS'14 detection keep the numbers that they have among its 101 labels of recognition
THUMOS14_NUMBERS = (7, 9, 12, 21, 22, 23, 24, 26, 31, 33, 36, 40, 45, 51, 68, 79, 85, 92, 93, 97)
AVERAGES = {
    "thumos14": {"average": (0.3, 0.7), "average_0.1_0.7": (0.1, 0.7), "average_0.1_0.5": (0.1, 0.5)},
    "multithumos": {"average": (0.1, 0.9)},
}
THRESHOLDS = {"thumos14": THUMOS14_THRESHOLDS, "multithumos": MULTITHUMOS_THRESHOLDS}


def add_arguments(parser: ArgumentParser) -> None:
    """Options of the protocol."""
    files = "folder of the text files of the labels (BaseballPitch_test.txt, ...; Ambiguous_test.txt if there), or the files"
    add_truth(parser, files, "testing")
    parser.add_argument(
        "--labels",
        choices=tuple(THRESHOLDS),
        default="thumos14",
        help="thumos14: 20 labels, official numbers 7 to 97, tIoU 0.1 to 0.7; multithumos: 65 labels, numbers 1 to 65, tIoU "
        "0.1 to 0.9 (default: %(default)s)",
    )


def detect(args: Namespace) -> Report:
    """Score lines `video start end label score`."""
    names, thresholds, averages = label_names(args.labels), THRESHOLDS[args.labels], AVERAGES[args.labels]
    files, ambiguous_files = _files(args)
    truth = thumos_truth(args, names, files)
    result = read_segment_lines(args.predictions)
    counted = "count as videos without predictions"
    found = cover(truth, result.path, result.where, allow_missing=args.allow_missing, missing_are=counted)
    numbers = THUMOS14_NUMBERS if args.labels == "thumos14" else range(1, len(names) + 1)
    known = {name: k for k, name in enumerate(names)} | {str(number): k for k, number in enumerate(numbers)}
    true, predicted = truth_segments(truth), predicted_segments(result, truth, known)
    ambiguous = _ambiguous(truth, ambiguous_files)
    notes = [*subset_notes(args, truth), *found.notes, *repeats_note(result)]
    if ambiguous is not None:
        notes.append(f"{len(ambiguous)} ambiguous segments: official_* leaves out false positives that overlap one")

    def scores(name: str, meaning: str, area: Area, matching: Matching, ambiguous: Segments | None) -> Detections:
        return detection_rows(
            lambda: detection_rankings_at(
                true, predicted, len(truth), len(names), thresholds, matching=matching, ambiguous=ambiguous
            ),
            thresholds,
            {f"{name}_{key}": ends for key, ends in averages.items()},
            lambda threshold: f"{name}_{threshold:.1f}",
            meaning,
            area=area,
            num_videos=len(truth),
            resamples=args.bootstrap,
        )

    later = scores(
        "map",
        "each prediction takes a truth, interpolated AP (ActivityNet's program, ActionFormer)",
        "interpolated",
        "prediction_first",
        None,
    )
    official = scores(
        "official_map",
        "official kit: each truth takes a prediction, AP as it is",
        "mean_precision",
        "truth_first",
        ambiguous,
    )
    values, counts = later.averages["map_average"], np.bincount(true.labels, minlength=len(names))
    rows = [*later.rows, *variant_rows("map_average", values, counts), *official.rows]
    return Report(rows, len(truth), notes, "map_average", per_class(names, values, counts), found.facts)


def _files(args: Namespace) -> tuple[list[Path], list[Path]]:
    """The files of the labels, and those of ambiguous segments; the kit's own list of labels is neither."""
    files = [path for path in truth_files(args.truth) if path.name != "detclasslist.txt"]
    ambiguous = [path for path in files if path.stem.split("_")[0] == "Ambiguous"]
    return [path for path in files if path not in ambiguous], ambiguous


def _ambiguous(truth: Truth, files: list[Path]) -> Segments | None:
    """The ambiguous segments of the truth's videos; None without such files."""
    if not files:
        return None
    found = {video.name: video for video in read_interval_files(files, ["Ambiguous"])}
    segments = truth_segments({name: found[name] for name in truth if name in found})
    places = np.array([i for i, name in enumerate(truth) if name in found], np.int64)
    return Segments(places[segments.videos], segments.labels, segments.intervals, segments.scores)
