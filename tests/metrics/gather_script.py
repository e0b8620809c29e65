"""One of two processes of the distributed test: `gather_script.py RANK FOLDER`."""

import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from metrics import VideoMean, VideoMeanAveragePrecision, VideoScores, VideoTopK

# for each case, the batches of each rank: uneven, out of order, with repeats inside and across ranks
CASES = {
    "one process": [[list(range(6)), list(range(6, 11))]],
    "uneven": [[[9, 0, 3], [5], [5, 1]], [[10, 8, 7, 6], [4, 2, 0, 9]]],
    "second is empty": [[[3, 9, 10], [0, 1, 2, 4, 5, 6, 7, 8]], []],
    "first is empty": [[], [[3, 9, 10, 3, 0, 1, 2, 4, 5, 6, 7, 8]]],
}


def compute(batches: list[list[int]]) -> dict[str, torch.Tensor]:
    """What the metrics say after these batches of the same eleven videos."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(11, 3, 4, generator=generator)
    labels = (torch.rand(11, 4, generator=generator) < 0.4).long()
    single = torch.nn.functional.one_hot(torch.arange(11) % 4, 4)
    scores, mean_ap, top, mean = VideoScores(), VideoMeanAveragePrecision(), VideoTopK(), VideoMean()
    values = logits[:, 0, 0].where(torch.arange(11) != 5, torch.nan)
    for batch in batches:
        rows = torch.tensor(batch)
        scores.update(rows, logits[rows], labels[rows])
        mean_ap.update(rows, logits[rows, 0].sigmoid(), labels[rows])
        top.update(rows, logits[rows, 0].softmax(1), single[rows])
        mean.update(rows, values[rows])
    index, gathered, truth = scores.compute()
    assert len(scores.scores) == len(batches), "after compute a process holds its own rows again"
    results = {"map": mean_ap.compute(), "top1": top.compute(), "mean": mean.compute()}
    return {"index": index, "logits": gathered, "labels": truth, **results}


def main(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    warnings.simplefilter("error")
    warnings.filterwarnings("ignore", "The ``compute`` method of metric")  # true of the empty process
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {name: compute(ranks[rank]) for name, ranks in CASES.items() if len(ranks) == 2}
    try:
        compute([])
    except ValueError as error:  # on both, so that neither waits for the other
        assert "has seen no video" in str(error)
    else:
        raise AssertionError("no process has a video, yet there is a result")
    dist.destroy_process_group()
    torch.save(results, folder / f"{rank}.pt")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
