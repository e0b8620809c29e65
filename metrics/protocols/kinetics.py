"""Kinetics: accuracy over clips that have one label each (Kay et al., https://arxiv.org/abs/1705.06950)."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import numpy as np
import torch

from annotations.kinetics import read_kinetics
from annotations.label_names import label_names
from metrics.accuracy import label_accuracy, mean_top_error
from metrics.label_groups import group_means
from metrics.protocols.coverage import cover
from metrics.protocols.report import Report, Row, per_class
from metrics.protocols.truth import refuse_folders
from metrics.results import read_video_scores
from metrics.top_k import top_k_accuracy

EDITIONS = ("kinetics400", "kinetics600", "kinetics700")


def add_arguments(parser: ArgumentParser) -> None:
    """Options of the protocol."""
    parser.add_argument(
        "--truth", type=Path, nargs="+", required=True, metavar="FILE", help="validate.csv of the edition"
    )
    parser.add_argument("--labels", choices=EDITIONS, default=EDITIONS[0], help="edition (default: %(default)s)")


def classify(args: Namespace) -> Report:
    """Score lines `id s0 s1 ...`."""
    if len(args.truth) != 1:
        raise ValueError(f"--truth: expected one CSV file, got {', '.join(map(str, args.truth))}")
    refuse_folders(args.truth)
    names = label_names(args.labels)
    truth = {video.name: video for video in read_kinetics(args.truth[0], names)}
    unlabelled = next((video for video in truth.values() if not len(video.labels)), None)
    if unlabelled is not None:
        raise ValueError(
            f"{unlabelled.where}: no label; expected a file with a column `label`; those of test have none"
        )
    result = read_video_scores(args.predictions, len(names))
    found = cover(truth, result.path, result.where, allow_missing=args.allow_missing, missing_are="count as wrong")
    lowest = np.full(len(names), -np.inf)
    preds = torch.from_numpy(np.stack([result.scores.get(name, lowest) for name in truth]))
    numbers = torch.tensor([int(video.labels[0]) for video in truth.values()])
    labels = torch.nn.functional.one_hot(numbers, len(names))
    values = label_accuracy(preds, labels).numpy()
    counts = labels.sum(dim=0).numpy()
    rows = [
        Row(
            "top_1",
            float(top_k_accuracy(preds, labels, 1)),
            "clips whose label has the highest score; ties count against it",
        ),
        Row("top_5", float(top_k_accuracy(preds, labels, 5)), "clips whose label is among the 5 highest"),
        Row(
            "mean_error",
            float(mean_top_error(preds, labels)) / 100,
            "the challenge's: mean of the errors 1 - top_1, 1 - top_5",
        ),
        Row("mean_class", float(np.nanmean(values)), "top_1 of each label, mean over the labels"),
    ]
    for group, value in group_means(values, counts).items():
        rows.append(Row(f"mean_class_{group}", value, f"as mean_class, the {group} third of the labels by frequency"))
    notes = [*found.notes, *(["no bootstrap intervals: this protocol has no mAP"] if args.bootstrap else [])]
    return Report(rows, len(truth), notes, "mean_class", per_class(names, values, counts), found.facts)
