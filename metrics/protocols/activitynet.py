"""ActivityNet 1.3: untrimmed classification, temporal proposals and temporal detection (Caba Heilbron et al., CVPR 2015)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from annotations.activitynet import read_activitynet
from annotations.label_names import label_names
from metrics.activitynet import Scored, classification, classification_rankings
from metrics.detection import ACTIVITYNET_THRESHOLDS, detection_rankings_at
from metrics.proposals import MAX_LARGEST, proposal_recall
from metrics.protocols.coverage import Coverage, cover
from metrics.protocols.means import interval, mean_row, variant_rows
from metrics.protocols.report import Report, Row, per_class
from metrics.protocols.segments import (
    detection_rows,
    label_numbers,
    predicted_rows,
    predicted_segments,
    repeats_note,
    truth_segments,
    video_numbers,
)
from metrics.protocols.truth import Truth, add_truth, refuse_folders, restricted, subset_notes
from metrics.ranking import Ranking
from metrics.results import ResultSegments, read_segment_json

NUM_LABELS = 200
HITS = (1, 3)  # the official program prints 3 as top-k; 1 is the usual accuracy
_FALSE = "the official program counts their predictions as false positives"
_ASIDE = "the official program counts their proposals when it takes a share of all"
NUMBERS = (1, 5, 10, 50, 100)  # average numbers of proposals that papers print


def add_arguments(parser: ArgumentParser) -> None:
    """Options of the three protocols."""
    files = "official activity_net.v1-3.min.json; or the reduced JSON and the CSV file of its subsets"
    add_truth(parser, files, "validation")


def add_proposals(parser: ArgumentParser) -> None:
    """Options of activitynet-proposal."""
    add_arguments(parser)
    parser.add_argument(
        "--largest",
        type=int,
        default=100,
        metavar="N",
        help="the average number of proposals a video up to which the curve goes (default: %(default)s, as officially)",
    )


def classify(args: Namespace) -> Report:
    """Score labels of whole videos."""
    truth = _truth(args)
    result = read_segment_json(args.predictions, labels=True, segments=False)
    _refuse_repeats(result)
    found = _cover(args, truth, result)
    names = label_names("activitynet")
    segments, rows = truth_segments(truth), predicted_rows(result, truth)
    labels = label_numbers(result, rows, {name: k for k, name in enumerate(names)})
    true = Scored(segments.videos, segments.labels, segments.scores)
    predicted = Scored(video_numbers(result, truth, rows), labels, result.scores[rows])
    scores = classification(true, predicted, len(truth), NUM_LABELS, HITS)
    values = scores.average_precision
    pairs = np.unique(np.stack([true.labels, true.videos]), axis=1)
    counts = np.bincount(pairs[0], minlength=NUM_LABELS)
    rankings = classification_rankings(true, predicted, len(truth), NUM_LABELS)
    span = interval(rankings, len(truth), args.bootstrap, "interpolated")
    table = [mean_row("map", "official program: interpolated AP, a video has each of its labels once", values, span)]
    table += variant_rows("map", values, counts)
    for k in HITS:
        table.append(Row(f"hit_at_{k}", scores.hit[k], f"videos with one of their labels among the {k} first"))
        table.append(
            Row(f"average_hit_at_{k}", scores.average_hit[k], f"share of a video's labels among the {k} first")
        )
    return Report(table, len(truth), found.notes, "map", per_class(names, values, counts), found.facts)


def propose(args: Namespace) -> Report:
    """Score segments without labels."""
    if not 1 <= args.largest <= MAX_LARGEST:
        raise ValueError(
            f"--largest must be an average number of proposals from 1 to {MAX_LARGEST}, got {str(args.largest)[:20]}; "
            "officially it is 100"
        )
    truth = _truth(args)
    result = read_segment_json(args.predictions, labels=False, segments=True)
    found = _cover(args, truth, result, _ASIDE)
    predicted = predicted_segments(result, truth, None)
    recall = proposal_recall(truth_segments(truth), predicted, len(truth), largest=args.largest)
    meaning = "average recall over tIoU 0.5 to 0.95"
    rows = [
        Row(
            "auc",
            recall.area / 100,
            f"official: area under average recall over {args.largest / 100:g} to {args.largest} proposals",
        )
    ]
    first, last = recall.numbers[0] - 1e-9, recall.numbers[-1] + 1e-9  # the numbers of the curve are rounded
    for number in (number for number in NUMBERS if first <= number <= last):
        value = float(np.interp(number, recall.numbers, recall.average_recall))
        rows.append(Row(f"ar_at_{number}", value, f"{meaning} at {number} proposals a video on average"))
    notes = [*found.notes, *repeats_note(result)]
    if args.bootstrap:
        notes.append("no bootstrap intervals: the number of proposals kept of a video depends on all others")
    return Report(rows, len(truth), notes, facts=found.facts)


def detect(args: Namespace) -> Report:
    """Score labelled segments."""
    truth = _truth(args)
    result = read_segment_json(args.predictions, labels=True, segments=True)
    found = _cover(args, truth, result)
    names, true = label_names("activitynet"), truth_segments(truth)
    predicted = predicted_segments(result, truth, {name: k for k, name in enumerate(names)})

    def rankings() -> Iterator[list[Ranking]]:
        return detection_rankings_at(true, predicted, len(truth), NUM_LABELS, ACTIVITYNET_THRESHOLDS)

    scores = detection_rows(
        rankings,
        ACTIVITYNET_THRESHOLDS,
        {"map_average": (0.5, 0.95)},
        lambda threshold: f"map_{threshold:.2f}",
        "official program: interpolated AP",
        area="interpolated",
        num_videos=len(truth),
        resamples=args.bootstrap,
    )
    values, counts = scores.averages["map_average"], np.bincount(true.labels, minlength=NUM_LABELS)
    rows = [*scores.rows, *variant_rows("map_average", values, counts)]
    classes = per_class(names, values, counts)
    return Report(rows, len(truth), found.notes + repeats_note(result), "map_average", classes, found.facts)


def _truth(args: Namespace) -> Truth:
    """The annotated videos of the subset, from one JSON file and perhaps the CSV file of its subsets.

    Raises:
        ValueError: other files are given, or no video of the subset has an annotation.
    """
    refuse_folders(args.truth)
    tables = [path for path in args.truth if path.suffix == ".csv"]
    jsons = [path for path in args.truth if path.suffix != ".csv"]
    if len(jsons) != 1 or len(tables) > 1:
        raise ValueError(
            f"--truth: expected one JSON file and at most one CSV file of subsets, got {', '.join(map(str, args.truth))}"
        )
    videos = read_activitynet(jsons[0], label_names("activitynet"), tables[0] if tables else None)
    if not any(video.subset for video in videos):
        raise ValueError(
            f"--truth {jsons[0]} does not say which video is of the subset {args.subset!r}; give the CSV file of the "
            "subsets (video_info_new.csv) too"
        )
    truth = restricted(args, videos, may_be_unlabelled=False)
    if not any(len(video.labels) for video in truth.values()):
        raise ValueError(f"--truth {jsons[0]}: no video of {args.subset!r} has an annotation; choose another --subset")
    return truth


def _cover(args: Namespace, truth: Truth, result: ResultSegments, unknown_are: str = _FALSE) -> Coverage:
    counted = "count as videos without predictions"
    found = cover(
        truth,
        result.path,
        result.where,
        allow_missing=args.allow_missing,
        missing_are=counted,
        unknown_are=f"left out ({unknown_are})",
    )
    return replace(found, notes=[*subset_notes(args, truth), *found.notes])


def _refuse_repeats(result: ResultSegments) -> None:
    """Refuse a label that a video has twice: which of the two scores is meant is not known.

    Raises:
        ValueError: naming both places.
    """
    seen: dict[tuple[str, str], str] = {}
    for row, name, label in zip(result.rows, result.videos, result.labels, strict=True):
        first = seen.setdefault((name, label), row)
        if first != row:
            raise ValueError(
                f"{result.path}, {row}: label {label!r} of this video stands in {first} already; keep one of them"
            )
