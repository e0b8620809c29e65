"""The protocols of `python -m metrics`, by name: which files each takes, and what it prints."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from metrics.protocols import activitynet, ava, charades, kinetics, steps, thumos
from metrics.protocols.report import Report


class Protocol(NamedTuple):
    """One protocol.

    Args:
        summary: one line for the list of protocols.
        predictions: what the file of predictions looks like, for its own help.
        missing: what --allow-missing does with a truth video without predictions.
        add_arguments: adds `--truth` and the options of the protocol.
        run: scores the files that the options name.
    """

    summary: str
    predictions: str
    missing: str
    add_arguments: Callable[[ArgumentParser], None]
    run: Callable[[Namespace], Report]


_STEPS = """\
a .npz with one array (steps, labels) for each video under its name, and the seconds of a step under `step`; row i is scored
at i * step seconds. Written by:
    numpy.savez("steps.npz", step=0.1, **{name: scores for name, scores in ...})"""
_LOWEST = "ranks last (-inf), as in the official script"
_LEFT_OUT = "is left out too, as its number of steps is not known"
_NOTHING = "counts as a video without predictions"

PROTOCOLS: dict[str, Protocol] = {
    "charades-classify": Protocol(
        "mean average precision over videos, 157 labels",
        "the official submission, one line a video, id and 157 scores separated by blanks:\n"
        "    YSKX3 0.013 0.000 ... 0.227",
        _LOWEST,
        charades.add_arguments,
        charades.classify,
    ),
    "charades-localize": Protocol(
        "mean average precision over 25 frames a video, 157 labels",
        "the official submission, 25 lines a video, id, frame (1 to 25) and 157 scores separated by blanks:\n"
        "    YSKX3 1 0.013 0.000 ... 0.227",
        _LOWEST,
        charades.add_arguments,
        charades.localize,
    ),
    "charades-fmap": Protocol(
        "mean average precision over the steps of a dense prediction, 157 labels",
        _STEPS,
        _LEFT_OUT,
        steps.add_charades,
        partial(steps.fmap, dataset="charades"),
    ),
    "multithumos-fmap": Protocol(
        "mean average precision over the steps of a dense prediction, 65 labels",
        _STEPS,
        _LEFT_OUT,
        steps.add_multithumos,
        partial(steps.fmap, dataset="multithumos"),
    ),
    "action-conditional": Protocol(
        "precision, recall, F1 and mAP of one label given another some steps away (MLAD)",
        _STEPS,
        _LEFT_OUT,
        steps.add_conditional,
        steps.conditional,
    ),
    "activitynet-classification": Protocol(
        "labels of untrimmed videos, 200 labels: mAP and hits",
        'the official submission, ids without v_:\n    {"version": "VERSION 1.3", "external_data": {}, "results":\n'
        '      {"5n7NCViB5TU": [{"label": "Discus throw", "score": 0.9}, ...], ...}}',
        _NOTHING,
        activitynet.add_arguments,
        activitynet.classify,
    ),
    "activitynet-proposal": Protocol(
        "segments without labels: average recall and area under the curve",
        'the official submission, ids without v_:\n    {"version": "VERSION 1.3", "external_data": {}, "results":\n'
        '      {"5n7NCViB5TU": [{"score": 0.9, "segment": [24.2, 38.1]}, ...], ...}}',
        _NOTHING,
        activitynet.add_proposals,
        activitynet.propose,
    ),
    "activitynet-detection": Protocol(
        "labelled segments, 200 labels: mAP at tIoU 0.5 to 0.95",
        'the official submission, ids without v_:\n    {"version": "VERSION 1.3", "external_data": {}, "results":\n'
        '      {"5n7NCViB5TU": [{"label": "Discus throw", "score": 0.9, "segment": [24.2, 38.1]}, ...], ...}}',
        _NOTHING,
        activitynet.add_arguments,
        activitynet.detect,
    ),
    "thumos14-detection": Protocol(
        "labelled segments of THUMOS'14 or MultiTHUMOS: mAP by tIoU",
        "one line a segment, video, start and end in seconds, number or name of the label, score:\n"
        "    video_test_0000004 12.4 15.9 24 0.87",
        _NOTHING,
        thumos.add_arguments,
        thumos.detect,
    ),
    "ava": Protocol(
        "actions in boxes of persons at keyframes: mAP at IoU 0.5",
        "CSV without a header, video, second, box as shares of the frame, action, score:\n"
        "    1j20qq1JyX4,0902,0.002,0.118,0.714,0.977,12,0.91",
        _NOTHING,
        ava.add_arguments,
        ava.detect,
    ),
    "kinetics": Protocol(
        "accuracy over clips with one label each",
        "one line a clip, its name and one score a label separated by blanks, in the order of the label list; a clip with\n"
        "a score of -inf counts as not read, and so as wrong:\n"
        "    0wR5jVB-WPk_000417_000427 0.013 0.000 ... 0.227",
        "counts as wrong",
        kinetics.add_arguments,
        kinetics.classify,
    ),
}
