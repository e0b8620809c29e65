"""The 30 views of a multi-rate test of one 30 s video of 640x480: `python -m benchmarks.views`.

3 clips at rate 8, 4 at rate 4 and 3 at rate 2, three crops of 256x256 each, 32 frames a view. First what a loader worker
computes for one video; there ours ends with each wanted frame once, and how the views are cut from them. Then all the way
to normalised float views on the processor, where the cutting counts too; with a GPU that part costs the processor nothing.
Last the peak memory of a loader worker, above what it had when it began.
"""

import argparse
import multiprocessing
import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks.peers import PEERS, Read, span_at_full_size, usable
from benchmarks.timing import Case, Result, Target, interleaved, judge, ratios, report, table
from benchmarks.videos import add_arguments, chosen
from clips.dataset import ClipSpec, ViewedVideos
from clips.targets import Video
from clips.transforms import Box
from clips.views import VideoViews, ViewBatch, ViewPlan, Views, normalise

VIEWS: Views = {8: (3, 3), 4: (4, 3), 2: (3, 3)}
SPEC = ClipSpec(32, 24, None, "repeat_last", 256, "error", 1.0)
STEP = 6  # views that go through a network at once
MEAN, STD = torch.full((3,), 0.45), torch.full((3,), 0.225)
OURS, DECODE_ALL = "ours", "decoding every frame once, no conversion"
ITEM_PER_VIEW, UNION = "an item per view (PySlowFast's way)", "torchcodec, the union of frames"
MMACTION2 = "mmaction2's way"
# processor time over ours, by the pictures from one keyframe to the next
WANTED = {
    250: {ITEM_PER_VIEW: 35, MMACTION2: 4.5, UNION: 1.6, DECODE_ALL: 1 / 1.1},
    12: {MMACTION2: 3.3, UNION: 1.6},
}
MEMORY = 150  # MB

Items = Sequence[Callable[[], Any]]  # what a worker computes for one video, one call for each item of the data set


def item_per_view(path: Path, plan: ViewPlan, size: tuple[int, int]) -> Items:
    """Each view opens the video and decodes its span; floats are normalised at full size, then resized and cropped."""

    def item(view: int) -> Tensor:
        clip = torch.from_numpy(span_at_full_size(path, plan.numbers[view])).float() / 255.0
        clip = ((clip - MEAN) / STD).permute(3, 0, 1, 2)
        clip = torch.nn.functional.interpolate(clip, size=size, mode="bilinear", align_corners=False)
        return _crop(clip, plan.boxes[view])

    return [partial(item, view) for view in range(len(plan.boxes))]


def mmaction2(read: Read, path: Path, plan: ViewPlan, size: tuple[int, int]) -> Items:
    """One item: the frames of all clips, repeated ones too, decoded and resized; then every crop is copied, as uint8."""

    def item() -> Tensor:
        frames = read(path, np.concatenate([plan.numbers[view] for view in _clips(plan)]), size)
        clips = frames.view(-1, SPEC.num_frames, *size, 3).permute(0, 4, 1, 2, 3)
        number = {view: n for n, view in enumerate(_clips(plan))}
        views = [_crop(clips[number[_first(plan, view)]], box) for view, box in enumerate(plan.boxes)]
        return torch.stack(views)

    return [item]


def union(read: Read, path: Path, plan: ViewPlan, size: tuple[int, int]) -> Items:
    """The distinct frames in one call of another decoder; the rest as ours."""

    def item() -> VideoViews:
        wanted, rows = np.unique(plan.numbers, return_inverse=True)
        frames = read(path, wanted, size)
        return VideoViews(0, frames, torch.from_numpy(rows.reshape(plan.numbers.shape)), plan, torch.empty(0).long())

    return [item]


def decode_all(path: Path) -> None:
    """Decode the file from the first to the last frame and convert nothing."""
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.thread_count = 1
        assert sum(1 for _ in container.decode(video=0)) > 0


def check(ways: Mapping[str, Items]) -> None:
    """Say how far the views of each way are from ours, so that no one compares different work."""
    ours = torch.cat([*ViewBatch([ways[OURS][0]()], 1, STEP, MEAN, STD).views()])
    for name, items in ways.items():
        made = items[0]()
        if isinstance(made, VideoViews):
            made = next(ViewBatch([made], 1, 1, MEAN, STD).views())
        elif made.dtype == torch.uint8:
            made = normalise(made[:1], MEAN, STD)
        difference = (made.reshape(ours[0].shape) - ours[0]).abs().mean() * STD[0] * 255
        print(f"{name}: first view differs from ours by {difference:.2f} of 255 levels in the mean")


def to_input(items: Items) -> None:
    """Compute the items and make their views the input of a network, at most `STEP` views at a time."""
    for item in items:
        made = item()
        if isinstance(made, VideoViews):
            for _ in ViewBatch([made], len(made.rows), STEP, MEAN, STD).views():
                pass
        elif made.dtype == torch.uint8:
            for views in made.split(STEP):
                normalise(views, MEAN, STD)


def _run(items: Items) -> None:
    for item in items:
        item()


def _first(plan: ViewPlan, view: int) -> int:
    """The first view with the same frames."""
    return next(n for n in range(view + 1) if np.array_equal(plan.numbers[n], plan.numbers[view]))


def _clips(plan: ViewPlan) -> list[int]:
    """One view of each clip."""
    return [view for view in range(len(plan.boxes)) if _first(plan, view) == view]


def _crop(clip: Tensor, box: Box) -> Tensor:
    """(C, T, H, W) to (C, T, size, size) of its own."""
    return clip[..., box.top : box.top + box.size, box.left : box.left + box.size].contiguous()


class _ItemData(Dataset[Any]):
    def __init__(self, items: Items) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, number: int) -> Any:
        return self.items[number]()


def worker_memory(items: Items) -> float:
    """Peak resident memory of a loader worker that sends the items, above what it had when it began; MB (1e6 bytes)."""
    context = multiprocessing.get_context("fork")
    begin, worker = context.Value("d", 0.0), context.Value("i", 0)

    def started(_: int) -> None:
        worker.value = os.getpid()
        begin.value = _status("VmRSS", os.getpid())

    loader: DataLoader[Any] = DataLoader(
        _ItemData(items), batch_size=None, num_workers=1, worker_init_fn=started, persistent_workers=True
    )
    for _ in loader:
        peak = _status("VmHWM", worker.value)
    return float(peak - begin.value) / 1e6


def _status(entry: str, process: int) -> int:
    """Bytes of an entry in what Linux tells about a process."""
    lines = Path(f"/proc/{process}/status").read_text(encoding="utf-8").splitlines()
    kilobytes = next(line.split()[1] for line in lines if line.startswith(f"{entry}:"))
    return int(kilobytes) * 1024


def memory_table(cases: Mapping[str, Items]) -> Result:
    """Print the memory of a worker for each case, and whether ours is small enough; nothing where there is no /proc."""
    what = f"worker memory, {MEMORY} MB over ours"
    if not Path("/proc/self/status").exists():
        return Result(what, None, 1.0, None)
    print("\npeak memory of a loader worker above its start\n| case | MB |\n|---|---|")
    measured = {name: worker_memory(items) for name, items in cases.items()}
    print("\n".join(f"| {name} | {value:.0f} |" for name, value in measured.items()))
    # as a ratio that grows with what is better, as everywhere here
    return Result(what, MEMORY / measured[OURS], 1.0, measured[OURS] <= MEMORY)


def main(args: list[str] | None = None) -> list[Result]:
    """Measure and print the tables and what became of the targets."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views", description=__doc__)
    add_arguments(parser)
    options = parser.parse_args(args)
    torch.set_num_threads(1)
    rounds = 1 if options.quick else options.rounds
    reads, absent = usable({UNION: PEERS["torchcodec, exact, at"], MMACTION2: PEERS["mmaction2's way"]})
    results = []
    for gop, wanted in list(WANTED.items())[: 1 if options.quick else None]:
        path = chosen(options, gop)[0]
        nothing = (np.empty(0, np.int64), np.empty((0, 2)))
        data = ViewedVideos([Video(path.name, path, *nothing)], 1, SPEC, views=VIEWS, short_side=256, broken="error")
        plan = data[0].plan  # this reads the index, which is kept
        assert plan is not None
        size = (data[0].frames.shape[1], data[0].frames.shape[2])
        ways: dict[str, Items] = {OURS: [partial(data.__getitem__, 0)]}
        ways |= {UNION: union(reads[UNION], path, plan, size)} if UNION in reads else {}
        ways |= {MMACTION2: mmaction2(reads[MMACTION2], path, plan, size)} if MMACTION2 in reads else {}
        ways |= {ITEM_PER_VIEW: item_per_view(path, plan, size)}
        check(ways)
        title = f"{path.stem}: {len(plan.boxes)} views, {len(np.unique(plan.numbers))} distinct frames"
        cases: dict[str, Case] = {name: partial(_run, items) for name, items in ways.items()}
        times = interleaved(cases | {DECODE_ALL: partial(decode_all, path)}, rounds, warm_up=not options.quick)
        print(table(f"{title}, as they leave the worker", times, OURS, absent), flush=True)
        targets = [Target(f"GOP {gop}, {case}", [case], ratio) for case, ratio in wanted.items()]
        results += judge(ratios(times, OURS), targets)
        inputs = {name: partial(to_input, items) for name, items in ways.items()}
        times = interleaved(inputs, min(rounds, 3), warm_up=False)  # no target depends on it
        print(table(f"{title}, to normalised float views", times, OURS, absent), flush=True)
        results.append(memory_table(ways))
    print("\n" + report(results))
    return results


if __name__ == "__main__":
    main()
