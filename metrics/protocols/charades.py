"""Charades: the official classification and localization protocols (Sigurdsson et al., "Hollywood in Homes", ECCV 2016)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from functools import partial

import numpy as np
import numpy.typing as npt
import torch

from annotations.label_names import label_names
from metrics.average_precision import Unlabelled, video_rankings
from metrics.frame_map import frame_average_precision, frame_rankings
from metrics.localization import NUM_FRAMES, localization_labels
from metrics.protocols.coverage import cover
from metrics.protocols.means import interval, mean_row, variant_rows, weighted_row
from metrics.protocols.report import Report, Row, per_class
from metrics.protocols.truth import add_truth, charades_truth, subset_notes
from metrics.ranking import mean_precision
from metrics.results import read_frame_scores, read_video_scores

NUM_LABELS = 157
VARIANTS: tuple[tuple[str, Unlabelled, str], ...] = (
    ("map_official", "minus_inf", "official script: videos without any label rank last; absent labels left out"),
    ("map", "negative", "videos without any label are negatives, as most code has it; absent labels left out"),
)
TRUTH = "Charades_v1_test.csv, or charades.json"


def add_arguments(parser: ArgumentParser) -> None:
    """Options of both protocols."""
    add_truth(parser, TRUTH, "testing")


def classify(args: Namespace) -> Report:
    """Score lines `id s0 ... s156`."""
    truth = charades_truth(args)
    result = read_video_scores(args.predictions, NUM_LABELS)
    found = cover(truth, result.path, result.where, allow_missing=args.allow_missing, missing_are="rank last (-inf)")
    lowest = np.full(NUM_LABELS, -np.inf)
    preds = np.stack([result.scores.get(name, lowest) for name in truth])
    labels = np.stack([np.bincount(video.labels, minlength=NUM_LABELS) > 0 for video in truth.values()])
    counts, unlabelled = labels.sum(axis=0), int((labels.sum(axis=1) == 0).sum())
    rows: list[Row] = []
    tables: dict[str, npt.NDArray[np.float64]] = {}
    for name, choice, meaning in VARIANTS:
        rankings = partial(video_rankings, torch.from_numpy(preds), torch.from_numpy(labels), unlabelled=choice)
        values = np.array([mean_precision(ranking.scores, ranking.hits) for ranking in rankings()])
        span = interval(rankings(), len(truth), args.bootstrap, "mean_precision")
        rows += [mean_row(name, meaning, values, span), *variant_rows(name, values, counts)]
        rows.append(weighted_row(name.replace("map", "wap"), name, values, counts))
        tables[name] = values
    notes = [f"{unlabelled} truth videos have no label: they rank last in map_official and are negatives in map"]
    classes = per_class(label_names("charades"), tables["map_official"], counts)
    return Report(
        rows, len(truth), [*notes, *subset_notes(args, truth), *found.notes], "map_official", classes, found.facts
    )


def localize(args: Namespace) -> Report:
    """Score lines `id frame s0 ... s156`."""
    truth = charades_truth(args)
    result = read_frame_scores(args.predictions, NUM_LABELS, NUM_FRAMES, allow_missing=args.allow_missing)
    found = cover(truth, result.path, result.where, allow_missing=args.allow_missing, missing_are="rank last (-inf)")
    lowest = np.full((NUM_FRAMES, NUM_LABELS), -np.inf)
    preds = [result.scores.get(name, lowest) for name in truth]
    labels = [localization_labels(video, NUM_LABELS) for video in truth.values()]
    values = frame_average_precision(preds, labels)
    counts = np.sum([part.sum(axis=0) for part in labels], axis=0)
    span = interval(frame_rankings(preds, labels), len(truth), args.bootstrap, "mean_precision")
    rows = [
        mean_row("map", "official script: 25 equally spaced frames a video; absent labels left out", values, span),
        *variant_rows("map", values, counts),
        weighted_row("wap", "map", values, counts),
    ]
    classes = per_class(label_names("charades"), values, counts)
    return Report(
        rows, len(truth), [*result.notes, *subset_notes(args, truth), *found.notes], "map", classes, found.facts
    )
