"""`python -m metrics PROTOCOL`: score a result file of any system against official annotations."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from metrics.bootstrap import MAX_RESAMPLES
from metrics.protocols import PROTOCOLS, Protocol
from metrics.protocols.report import as_json, as_text, free_outputs, write

DESCRIPTION = """Score a result file of any system against the official annotations: prints the official metric with its
variants side by side, and writes them as JSON. `python -m metrics PROTOCOL --help` shows the form of the files. Equal scores
have no order here: they share one place, where official programs go by the order of the file."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        argv: the words after `python -m metrics`; those of the process when None.

    Returns:
        0, or 2 where the files or options cannot be scored; one message on stderr then says why.
    """
    parser = _parser()
    args = parser.parse_args(argv)
    try:
        output = args.output or Path(f"{args.predictions.stem}.{args.protocol}.json")
        free_outputs(output)
        if not 0 <= args.bootstrap <= MAX_RESAMPLES:
            raise ValueError(
                f"--bootstrap must be a number of resamples up to {MAX_RESAMPLES}, got {str(args.bootstrap)[:20]}; 1000 is "
                "usual, 0 is none"
            )
        report = PROTOCOLS[args.protocol].run(args)
        written = write(report, as_json(report, args.protocol, args.truth, args.predictions), output)
        _print(f"{as_text(report, with_classes=args.per_class)}\nwritten: {', '.join(map(str, written))}")
    except (ValueError, OSError) as error:
        print(f"{parser.prog} {args.protocol}: error: {error}", file=sys.stderr)
        return 2
    return 0


def _print(text: str) -> None:
    """Print, whatever the terminal can show; nobody may be reading any more, as behind `| head`."""
    coding = sys.stdout.encoding or "utf-8"
    try:
        print(text.encode(coding, "backslashreplace").decode(coding), flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at its end


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("python -m metrics", description=DESCRIPTION, allow_abbrev=False)
    commands = parser.add_subparsers(dest="protocol", required=True, metavar="PROTOCOL", title="protocols")
    for name, protocol in PROTOCOLS.items():
        command = commands.add_parser(
            name,
            help=protocol.summary,
            description=_description(protocol),
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        protocol.add_arguments(command)
        _add_common(command, protocol)
    return parser


def _description(protocol: Protocol) -> str:
    return f"{protocol.summary[0].upper()}{protocol.summary[1:]}.\n\npredictions: {protocol.predictions}"


def _add_common(parser: argparse.ArgumentParser, protocol: Protocol) -> None:
    parser.add_argument(
        "--predictions", type=Path, required=True, metavar="FILE", help="the result file, in the form above"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FILE.json",
        help="where to write the values (default: PREDICTIONS.PROTOCOL.json in the current folder); never overwritten",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="go on where truth and predictions cover different videos, and say how many: a predicted video that is not in "
        f"the truth is left out; a truth video without predictions {protocol.missing}",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=0,
        metavar="N",
        help="95 %% intervals of each mAP by drawing the videos N times with replacement (default: none)",
    )
    parser.add_argument("--per-class", action="store_true", help="print the value of each label too")


if __name__ == "__main__":
    sys.exit(main())
