"""Dense predictions of Charades and MultiTHUMOS: average precision over steps, and the action-conditional measures."""

from __future__ import annotations

import math
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from annotations.label_names import label_names
from metrics.action_conditional import action_conditional
from metrics.frame_map import frame_average_precision, frame_rankings
from metrics.protocols.coverage import Coverage, cover
from metrics.protocols.means import interval, mean_row, variant_rows
from metrics.protocols.report import Report, Row, per_class
from metrics.protocols.truth import Truth, add_truth, charades_truth, subset_notes, thumos_truth, truth_files
from metrics.results import StepScores, read_step_scores
from metrics.step_labels import Boundary, step_instants, step_labels

BOUNDARIES: dict[Boundary, tuple[str, str]] = {
    "<": ("fmap_open", "a step has a label if start < t < end (TGM, PDAN, MS-TCT)"),
    "<=": ("fmap_closed", "a step has a label if start <= t <= end (MLAD)"),
}
DATASETS = ("charades", "multithumos")
TRUTH = {
    "charades": "Charades_v1_test.csv, or charades.json",
    "multithumos": "folder of the 65 text files, or the files, or multithumos.json",
}
_PER_CLASS = "which of the two comparisons of a step with start and end of an interval the value of each label is for"


@dataclass(frozen=True)
class Steps:
    """Scores and truth of the steps of n videos.

    Args:
        names: n names of the videos.
        preds: n arrays (T, K) float64.
        truth: the annotations of these videos.
        step: seconds.
        label_names: K names.
        coverage: how truth and predictions cover each other.
        notes: what a reader has to know.
    """

    names: list[str]
    preds: list[npt.NDArray[np.float64]]
    truth: Truth
    step: float
    label_names: list[str]
    coverage: Coverage
    notes: list[str]

    def labels(self, boundary: Boundary) -> list[npt.NDArray[np.bool_]]:
        """Arrays (T, K) bool, one a video: the labels at `step_instants`, exact multiples of the step."""
        return [
            step_labels(
                self.truth[name].labels,
                self.truth[name].intervals,
                len(self.label_names),
                step_instants(len(scores), self.step),
                boundary,
            )
            for name, scores in zip(self.names, self.preds, strict=True)
        ]


def add_charades(parser: ArgumentParser) -> None:
    """Options of charades-fmap."""
    _add(parser, TRUTH["charades"], "<", _PER_CLASS)


def add_multithumos(parser: ArgumentParser) -> None:
    """Options of multithumos-fmap."""
    _add(parser, TRUTH["multithumos"], "<", _PER_CLASS)


def add_conditional(parser: ArgumentParser) -> None:
    """Options of action-conditional."""
    parser.add_argument("--labels", choices=DATASETS, required=True, help="data set whose truth and labels these are")
    files = "; ".join(f"{dataset}: {files}" for dataset, files in TRUTH.items())
    _add(parser, files, "<=", "how a step compares with start and end of an interval whose label it has; MLAD: <=")
    parser.add_argument(
        "--tau",
        type=int,
        nargs="+",
        default=[0, 20, 40],
        metavar="STEPS",
        help="how many steps the given label may lie back, or ahead where negative (default: 0 20 40)",
    )
    parser.add_argument(
        "--threshold", type=float, default=0.5, help="score from which a label is predicted (default: %(default)s)"
    )
    parser.add_argument(
        "--pair", nargs=2, metavar=("LABEL", "GIVEN"), help="also print the values of one label given another"
    )


def fmap(args: Namespace, dataset: str) -> Report:
    """Average precision of each label over all steps of all videos."""
    steps = _steps(args, dataset)
    rows: list[Row] = []
    classes: dict[str, tuple[float, int]] = {}
    for boundary, (name, meaning) in BOUNDARIES.items():
        labels = steps.labels(boundary)
        values = frame_average_precision(steps.preds, labels)
        counts = np.sum([part.sum(axis=0) for part in labels], axis=0)
        span = interval(frame_rankings(steps.preds, labels), len(labels), args.bootstrap, "mean_precision")
        rows += [
            mean_row(name, f"{meaning}; absent labels left out", values, span),
            *variant_rows(name, values, counts),
        ]
        if boundary == args.boundary:
            classes = per_class(steps.label_names, values, counts)
    facts = {"step_seconds": steps.step, "num_steps": sum(map(len, steps.preds)), **steps.coverage.facts}
    return Report(rows, len(steps.names), steps.notes, BOUNDARIES[args.boundary][0], classes, facts)


def conditional(args: Namespace) -> Report:
    """Precision, recall, F1 and mAP of label i at the steps near which label j is (MLAD, Tirupattur et al., CVPR 2021)."""
    if not math.isfinite(args.threshold):
        raise ValueError(f"--threshold must be a finite score, got {args.threshold}; 0.5 is usual for probabilities")
    if len(set(args.tau)) < len(args.tau):
        raise ValueError(f"--tau names a number twice: {args.tau}; give each once")
    steps = _steps(args, args.labels)
    names, labels = steps.label_names, steps.labels(args.boundary)
    pair = [_label(names, name) for name in args.pair or ()]
    rows: list[Row] = []
    table: list[Sequence[Any]] = [["tau", "label", "given", "precision", "recall", "f1", "average_precision"]]
    for tau in args.tau:
        found = action_conditional(steps.preds, labels, tau, args.threshold)
        rows += [
            Row(f"{name}_tau_{tau}", value, f"{name}, mean over pairs, tau {tau}")
            for name, value in found.means().items()
        ]
        parts = (found.precision, found.recall, found.f1, found.average_precision)
        if pair:
            i, j = pair
            rows += [
                Row(
                    f"{name}_pair_tau_{tau}", float(part[i, j]), f"{name} of {names[i]!r} given {names[j]!r}, tau {tau}"
                )
                for name, part in zip(table[0][3:], parts, strict=True)
            ]
        for i, j in np.argwhere(~np.isnan(found.recall)):
            table.append([tau, names[i], names[j], *(float(part[i, j]) for part in parts)])
    notes = [
        *steps.notes,
        f"boundary {args.boundary}",
        "the values of all pairs are in the file .pairs.csv beside the JSON file",
    ]
    if args.bootstrap:
        notes.append("no bootstrap intervals: this protocol has none")
    facts = {"step_seconds": steps.step, "threshold": args.threshold, **steps.coverage.facts}
    return Report(rows, len(labels), notes, facts=facts, table=table)


def _add(parser: ArgumentParser, files: str, boundary: Boundary, what: str) -> None:
    add_truth(parser, files, "testing")
    parser.add_argument(
        "--boundary", choices=tuple(BOUNDARIES), default=boundary, help=f"{what} (default: %(default)s)"
    )


def _steps(args: Namespace, dataset: str) -> Steps:
    names = label_names(dataset)
    truth = charades_truth(args) if dataset == "charades" else thumos_truth(args, names, truth_files(args.truth))
    result = read_step_scores(args.predictions, len(names))
    coverage = cover(truth, result.path, result.where, allow_missing=args.allow_missing, missing_are="are left out too")
    scored = [name for name in truth if name in result.scores]
    preds = [result.scores[name] for name in scored]
    notes = [f"steps of {result.step:g} s, as many as each video has predictions", *subset_notes(args, truth)]
    notes += _past_end(result, truth, scored)
    return Steps(scored, preds, truth, result.step, names, coverage, notes + coverage.notes)


def _past_end(result: StepScores, truth: Truth, scored: list[str]) -> list[str]:
    """How many steps lie past the end of their videos, if any and if the truth knows."""
    past = 0
    for name in scored:
        duration = truth[name].duration
        if duration is not None:
            past += int((step_instants(len(result.scores[name]), result.step) > duration).sum())
    return [f"{past} steps lie past the annotated end of their video and count like the others"] if past else []


def _label(names: list[str], name: str) -> int:
    if name not in names:
        raise ValueError(f"--pair: unknown label {name!r}; expected one of {', '.join(names[:4])}, ...")
    return names.index(name)
