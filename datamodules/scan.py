"""The command `scan`: read every video of a data set, and say which are good, bad or odd."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import numpy as np
from tqdm import tqdm

from clips.dataset import ClipSpec, check_intervals, window_times
from clips.decoding import read_frames
from clips.frame_folder import FrameFolder, read_folder_frames
from clips.index_cache import IndexCache, Indices, stamp_of
from clips.inspection import inspect_video, silence
from clips.packets import VideoIndex
from clips.sampling import TOLERANCE
from clips.targets import Video
from clips.video_table import VideoTable
from datamodules.base import Split, VideoDataModule
from datamodules.files import read_list
from datamodules.processes import LostError, num_processors, work
from datamodules.scan_report import COLUMNS, Row, growing_report, read_report, show, write_bad_list, write_report

Frames = Literal["all", "sampled", "none"]

_DEPTH = {"none": 0, "sampled": 1, "all": 2}
_SAMPLED, _BLOCK, _SIZE = 5, 4096, (16, 16)  # frames of a file; frames decoded at once, and their pixels


class _Job(NamedTuple):
    """A file to read, and how; the video is any of those that it shows."""

    video: Video
    frames: Frames
    folder_fps: float | None
    index_cache: Path | None


def scan(
    data: VideoDataModule,
    report: Path = Path("scan.csv"),
    frames: Frames = "sampled",
    splits: str = "train,val,test",
    workers: int | None = None,
    time_limit: float = 600.0,
    bad_list: Path | None = None,
) -> int:
    """Read every video of a data set, also to fill its `index_cache`, and report which are good, bad or odd.

    A bad file is one that a run would stop at or replace: missing, unreadable, too short for a rate, or with intervals or
    windows that do not fit it. An odd one is read right, but worth knowing. The report has a row for each file; a second
    start reads only files that it does not have, that have changed since, or that were bad.

    Args:
        data: the data set, as of `fit`: `--data CONFIG.yaml --data.root FOLDER`; with `--data.train_rates '[2, 4, 8]'` if
            later runs use more rates than the config does.
        report: CSV file to write, or to go on with; rows of other files in it are kept.
        frames: decode `all` frames of a file, five of them (`sampled`: first, last and between), or `none`.
        splits: which splits to read, with commas.
        workers: processes; by default one for each processor that this one may use.
        time_limit: seconds for a file, which counts as bad if it takes longer twice.
        bad_list: file to write with the names of all bad videos, for the option `leave_out`; by default beside the report.
            A file of that name with other names in it is not overwritten: the new one gets a number.

    Returns:
        Number of bad files.

    Raises:
        ValueError: if an argument is out of range, the data set has no video in these splits, or `report` is another file or
            cannot be written.
    """
    if (workers is not None and workers < 1) or not 0 < time_limit <= 1e8:
        raise ValueError(
            f"workers must be at least 1 and time_limit above 0 and at most 1e8 s, got {workers} and {time_limit}"
        )
    began, spec, rows = time.monotonic(), data.spec, read_report(report)
    rate = max(*data.train_rates, *data.test_views, *data.val_views)
    data.prepare_data()
    videos = _Files(data, splits)
    todo = [file for file in videos.files if not _finished(file, rows.get(file), frames, spec)]
    jobs = (_Job(next(videos.of(file)), frames, spec.folder_fps, spec.index_cache) for file in todo)
    write_report(report, rows.values())
    with (
        growing_report(report) as append,
        tqdm(desc="scan", total=len(todo), unit="file", disable=not todo) as progress,
    ):
        for job, result in work(_examine, jobs, workers=workers or num_processors(), time_limit=time_limit):
            file = str(job.video.path)
            row = (
                _blank(job) | {"problem": f"{file}: {result}", "decoded": ""}
                if isinstance(result, LostError)
                else result
            )
            rows[file], _ = _judged(row, videos.of(file), spec, rate)
            append(rows[file])
            progress.update()
    bad: list[str] = read_list(data.left_out.path) if data.left_out.path else []
    for file in videos.files:  # also rows of an earlier scan, since annotations and settings may have changed
        rows[file], names = _judged(rows[file], videos.of(file), spec, rate)
        bad += names
    found = [rows[file] for file in videos.files]
    write_report(report, [*found, *(row for file, row in rows.items() if file not in videos.files)])
    num_bad = sum(row["status"] == "bad" for row in found)
    if num_bad:
        path = write_bad_list(bad_list or report.with_name(f"{report.stem}_bad.txt"), list(dict.fromkeys(bad)))
    show(found, f"{len(found)} files, {len(todo)} of them read now, in {time.monotonic() - began:.0f} s")
    print(f"report: {report}")
    if num_bad:
        print(f"to leave the bad videos out of a run: --data.leave_out {path}")
    return num_bad


class _Files:
    """The files of some splits, in the order of the data set, and the videos that each of them shows."""

    def __init__(self, data: VideoDataModule, splits: str) -> None:
        self.tables: list[VideoTable] = []
        self.files: dict[str, list[tuple[int, int]]] = {}
        known: tuple[Split, ...] = get_args(Split)
        wanted = {split.strip() for split in splits.split(",")}
        if not wanted <= set(known):
            raise ValueError(f"splits must be some of {','.join(known)}, got {splits!r}")
        for split in (split for split in known if split in wanted):
            self.tables.append(VideoTable.from_videos(data.read_split(split)))
            for number, (name, file) in enumerate(zip(self.tables[-1].names(), self.tables[-1].paths(), strict=True)):
                if name not in data.left_out:
                    self.files.setdefault(file, []).append((len(self.tables) - 1, number))
        if not self.files:
            raise ValueError(f"{type(data).__name__} has no video in {splits}; check its annotations and splits")

    def of(self, file: str) -> Iterator[Video]:
        return (self.tables[table][number] for table, number in self.files[file])


def _finished(file: str, row: Row | None, frames: Frames, spec: ClipSpec) -> bool:
    """Whether a row of an earlier scan says all that is asked of a file, and still holds."""
    path, stamp = Path(file), stamp_of(Path(file))
    if row is None or row["problem"] or stamp is None or (row["bytes"], row["mtime_ns"]) != tuple(map(str, stamp)):
        return False
    if _DEPTH.get(row["decoded"], -1) < _DEPTH[frames]:
        return False
    if path.is_dir():
        return row["fps"] == str(spec.folder_fps)
    return spec.index_cache is None or IndexCache(spec.index_cache).knows(path)


def _blank(job: _Job) -> Row:
    row = dict.fromkeys(COLUMNS, "") | {"file": str(job.video.path), "decoded": job.frames}
    stamp = stamp_of(job.video.path)
    return row if stamp is None else row | {"bytes": str(stamp.size), "mtime_ns": str(stamp.mtime)}


def _examine(job: _Job) -> Row:
    """The row of a file, without what depends on its annotations."""
    row = _blank(job)
    try:
        with silence():
            index = Indices(job.folder_fps, job.index_cache).of(job.video)
            row |= _facts(index)
            _decode(index, job.frames)
    except Exception as error:  # whatever a file can cause belongs into the report
        named = isinstance(error, ValueError)
        row["problem"] = " ".join((str(error) if named else f"{row['file']}: {type(error).__name__} {error}").split())
    return row


def _facts(index: VideoIndex | FrameFolder) -> Row:
    if isinstance(index, FrameFolder):
        facts = {"codec": Path(index.names[0]).suffix[1:], "container": "folder"}
    else:
        seen = inspect_video(index)
        facts = {"codec": seen.codec, "container": seen.container, "odd": "; ".join(seen.odd)}
        facts["indexed"] = "packets" if index.packets.checksums is None else "pictures"
    numbers = {"frames": index.total_frames, "seconds": index.duration, "fps": index.fps}
    numbers |= {"height": index.height, "width": index.width}
    return facts | {key: str(value) for key, value in numbers.items()}


def _decode(index: VideoIndex | FrameFolder, frames: Frames) -> None:
    """Decode in blocks, of whose pictures little is kept, since only errors matter."""
    wanted = np.arange(index.total_frames if frames != "none" else 0)
    if frames == "sampled":
        wanted = np.unique(np.linspace(0, index.total_frames - 1, _SAMPLED).astype(np.int64))
    for first in range(0, len(wanted), _BLOCK):
        block = wanted[first : first + _BLOCK]
        if isinstance(index, FrameFolder):
            read_folder_frames(index, block, _SIZE)
        else:
            read_frames(index, block, _SIZE)


def _judged(row: Row, videos: Iterator[Video], spec: ClipSpec, rate: float) -> tuple[Row, list[str]]:
    """The row with what its annotations and the largest rate say, and the names of the videos that a run cannot use."""
    if row["problem"]:
        return row | {"status": "bad", "annotations": ""}, [video.name for video in videos]
    refused, late, strict = {}, 0, replace(spec, past_end="error")
    for video in videos:
        if reason := _refusal(video, row, spec, rate):
            refused[video.name] = reason
        elif spec.past_end == "clip" and _refusal(video, row, strict, rate):
            late += 1
    text = next(iter(refused.values()), "past the end: intervals are cut there" if late else "")
    text += f" (and {len(refused) - 1} more videos of the file)" if len(refused) > 1 else ""
    status = "bad" if refused else "odd" if late or row["odd"] else "good"
    return row | {"status": status, "annotations": text}, list(refused)


def _refusal(video: Video, row: Row, spec: ClipSpec, rate: float) -> str:
    duration, fps = float(row["seconds"]), spec.fps or float(row["fps"])
    try:
        window_times(video, np.zeros(1), duration)
        check_intervals(video, duration, spec)
    except ValueError as error:
        return str(error)
    start, end = video.window or (0.0, duration)
    seconds = min(end, duration) - max(start, 0.0)
    # as `clip_frames` refuses it
    if spec.num_frames > 1 and (row["frames"] == "1" or rate / fps > seconds - TOLERANCE):
        return (
            f"{video.name}: rate {rate:g} leaves one frame of its {seconds:.3f} s; use a smaller rate or leave it out"
        )
    return ""
