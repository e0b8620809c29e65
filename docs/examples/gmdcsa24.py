"""Turn the tables of GMDCSA24 into one annotation file.

GMDCSA24 (Alam et al., "GMDCSA-24: a dataset for human fall detection in videos", Data in Brief 2024, MIT licence) is a
folder for each subject with `ADL.csv` and `Fall.csv`, whose last column names timed, overlapping activities by hand:
`Sitting[0 to 1]; Sleeping[2 to 8]`. This script writes

    OUT/annotations.csv   video,label,start,end,split   one line for each interval, times in seconds
    OUT/repairs.txt       everything that was not as it should be, by file and row

    python docs/examples/gmdcsa24.py SOURCE OUT [--merge-falls]

Only rows whose clip is there are written; an empty start and end mean the whole video. Subject 3 is the test split, so
that nobody is in both. What the script repairs, and what it leaves out because nobody can know what was meant, stands in
repairs.txt; nothing is dropped in silence.
"""

from __future__ import annotations

import argparse
import csv
import re
from dataclasses import dataclass, field
from pathlib import Path

TEST_SUBJECTS = ("Subject 3",)
FALLS = ("Falling (FW)", "Falling (BW)", "Falling (SW)")  # forward, backward, sideways
LABELS = (
    "Drinking",
    "Eating",
    "Exercising",
    *FALLS,
    "Reading",
    "Sitting",
    "Sleeping",
    "Standing",
    "Walking",
    "Writing",
)

_TOKEN = re.compile(
    r"(?P<interval>(?P<start>\d+(?:\.\d+)?)\s+(?P<to>to\s+)?(?P<end>\d+(?:\.\d+)?))"
    r"|(?P<label>(?P<name>[A-Za-z]+)(?:\s*(?P<open>\()(?P<way>[A-Za-z]+)(?P<close>\))?)?)"
    r"|(?P<mark>[\[\];])|(?P<space>\s+)|(?P<other>[^\s\[\];A-Za-z]+|.)"
)


@dataclass
class Activity:
    """One label of a video: start and end in seconds, both None for the whole video."""

    label: str
    start: float | None = None
    end: float | None = None


@dataclass
class Cell:
    """What one cell of classes says.

    Args:
        activities: the intervals that can be used.
        repairs: what had to be repaired or left out, one sentence each.
    """

    activities: list[Activity] = field(default_factory=list)
    repairs: list[str] = field(default_factory=list)


def read_cell(text: str) -> Cell:
    """Read a hand-written cell such as `Standing[0 to 0.5; 4.2 to 6.5]; Reading`.

    A `;` ends a label unless the next thing is another interval, which then belongs to the same label.
    """
    cell = Cell()
    label: str | None = None
    timed = inside = False  # the label has an interval; a bracket is open

    def finish() -> None:
        if label is not None and not timed:
            cell.activities.append(Activity(label))
            cell.repairs.append(f"{label} has no times: taken for the whole video")
        if inside:
            cell.repairs.append(f"{label} lacks the closing bracket: the interval ends before the next label")

    for token in _TOKEN.finditer(text):
        found = token.group()
        if token["label"]:
            finish()
            label, timed, inside = _label(token, cell), False, False
        elif token["interval"]:
            _add_interval(token, label, inside, cell)
            timed = True
        elif found == "[":
            inside = True
        elif found == "]":
            inside = False
        elif token["other"]:
            cell.repairs.append(f"stray {found!r} ignored")
    finish()
    if not cell.activities:
        cell.repairs.append("no activity can be read: the video is left out")
    return cell


def _label(token: re.Match[str], cell: Cell) -> str:
    """The label's one spelling; every other spelling is reported."""
    if token["open"] and not token["close"]:
        cell.repairs.append(f"{token['label']!r} lacks the closing parenthesis")
    name, way = token["name"].capitalize(), token["way"]
    label = f"{'Falling' if name == 'Fall' else name} ({way.upper()})" if way else name
    if name == "Fall":
        cell.repairs.append(f"{token['label']!r} is spelled {label!r} elsewhere: renamed")
    if label not in LABELS:
        cell.repairs.append(f"{label!r} is none of the known labels: kept as it is")
    return label


def _add_interval(token: re.Match[str], label: str | None, inside: bool, cell: Cell) -> None:
    shown, start, end = token["interval"], float(token["start"]), float(token["end"])
    if label is None:
        cell.repairs.append(f"interval {shown!r} stands before any label: left out")
        return
    if not token["to"]:
        cell.repairs.append(f"{label} interval {shown!r} lacks the word 'to': read as {start:g} to {end:g}")
    if not inside:
        cell.repairs.append(f"{label} interval {shown!r} lacks the opening bracket: read all the same")
    if start < end:
        cell.activities.append(Activity(label, start, end))
    else:
        cell.repairs.append(
            f"{label} interval {shown!r} does not end after its start: left out, as either number may be the wrong one"
        )


def read_table(path: Path, source: Path) -> tuple[list[tuple[str, Cell]], list[str]]:
    """Read one CSV.

    Args:
        path: the table, beside the folder of its clips.
        source: root of the data set.

    Returns:
        (video, cell) for each row, video relative to source whether its clip is there or not; and the repairs, each
        with file and row (the header is row 1).
    """
    rows: list[tuple[str, Cell]] = []
    repairs = []
    with open(path, newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file)
        next(lines)
        for line in lines:
            where = f"{path.relative_to(source).as_posix()} row {lines.line_num}"
            if len(line) != 6:
                repairs.append(f"{where}: {len(line)} columns instead of 6: left out")
                continue
            cell = read_cell(line[5])
            repairs += [f"{where} ({line[0]}): {repair}" for repair in cell.repairs]
            rows.append(((path.with_suffix("") / line[0].strip()).relative_to(source).as_posix(), cell))
    return rows, repairs


def convert(source: Path, out: Path, *, merge_falls: bool = False) -> list[str]:
    """Write `annotations.csv` and `repairs.txt` into out.

    Args:
        source: folder with `Subject N/ADL.csv` and so on.
        out: folder to write into; made if absent.
        merge_falls: one label "Falling" instead of three directions.

    Returns:
        The repairs, as written.

    Raises:
        ValueError: source holds no table.
    """
    tables = sorted(source.glob("Subject */*.csv"))
    if not tables:
        raise ValueError(f"source must hold 'Subject N/ADL.csv' and the like, got {source}: pass the data set's root")
    repairs: list[str] = []
    written: list[list[str]] = []
    for table in tables:
        rows, found = read_table(table, source)
        repairs += found
        absent = [Path(video).name for video, _ in rows if not (source / video).is_file()]
        if absent:
            shown = table.relative_to(source).as_posix()
            repairs.append(f"{shown}: {len(absent)} of {len(rows)} rows have no clip: {', '.join(absent)}")
        named = {video for video, _ in rows}
        clips = sorted(clip.relative_to(source).as_posix() for clip in table.with_suffix("").glob("*.mp4"))
        repairs += [f"{clip}: the clip has no row, left out" for clip in clips if clip not in named]
        for video, cell in rows:
            if (source / video).is_file():
                split = "test" if table.parent.name in TEST_SUBJECTS else "train"
                for activity in cell.activities:
                    label = "Falling" if merge_falls and activity.label in FALLS else activity.label
                    times = ["" if time is None else f"{time:g}" for time in (activity.start, activity.end)]
                    written.append([video, label, *times, split])
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "annotations.csv", "w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(["video", "label", "start", "end", "split"])
        lines.writerows(written)
    (out / "repairs.txt").write_text("".join(f"{repair}\n" for repair in repairs), encoding="utf-8")
    return repairs


def main(args: list[str] | None = None) -> None:
    """Parse the command line and convert."""
    parser = argparse.ArgumentParser(description="Turn the tables of GMDCSA24 into one annotation file.")
    parser.add_argument("source", type=Path, help="folder with 'Subject 1', 'Subject 2', ...")
    parser.add_argument("out", type=Path, help="folder for annotations.csv and repairs.txt")
    parser.add_argument("--merge-falls", action="store_true", help="one label 'Falling' instead of three directions")
    given = parser.parse_args(args)
    for repair in convert(given.source, given.out, merge_falls=given.merge_falls):
        print(repair)


if __name__ == "__main__":
    main()
