"""One of several processes of the distributed test: `detection_script.py RANK WORLD FOLDER`."""

import json
import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from metrics.detection_map import BoxMeanAveragePrecision, DetectionMeanAveragePrecision, ProposalArea

VIDEOS, LABELS = 9, 3


def compute(videos: list[int]) -> list[float]:
    """What the metrics say after these videos; video 4 has no truth, video 7 no predictions."""
    detection, proposals = DetectionMeanAveragePrecision(LABELS), ProposalArea(largest=5)
    frames = BoxMeanAveragePrecision(capacity=6)
    for video in videos:
        generator = torch.Generator().manual_seed(video)
        count = {"truth": 0 if video == 4 else 3, "rows": 0 if video == 7 else 8 + video}
        places = {name: 9 * torch.rand(rows, 4, generator=generator).cumsum(1) for name, rows in count.items()}
        labels = {name: torch.randint(LABELS, (rows,), generator=generator) for name, rows in count.items()}
        near = min(2, *count.values())
        places["rows"][:near] = places["truth"][:near] + 0.3
        scores = torch.rand(count["rows"], LABELS, generator=generator)
        segments = {name: rows[:, :2] for name, rows in places.items()}
        for metric in (detection, proposals):
            metric.update(video, segments["truth"], labels["truth"], segments["rows"], labels["rows"], scores[:, 0])
        multi_hot = torch.nn.functional.one_hot(labels["truth"], LABELS)
        frames.update(video, places["truth"], multi_hot, places["rows"], scores)
    return [metric.compute().item() for metric in (detection, proposals, frames)]


def main(rank: int, world: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    one = compute(list(range(VIDEOS)))
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=world)
    # padded as a distributed sampler does, so that some videos come twice
    many = compute([video % VIDEOS for video in range(rank, VIDEOS + 3, world)])
    dist.destroy_process_group()
    (folder / f"{rank}.json").write_text(json.dumps({"one process": one, "two processes": many}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
