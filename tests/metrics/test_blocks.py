import os
import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from metrics.blocks import Block, BlockMetric

ROOT = Path(__file__).resolve().parents[2]


class Kept(BlockMetric):
    def update(self, index: int, truth: Tensor, rows: Tensor, first: int = 0) -> None:
        self._append(index, truth, rows, first)

    def compute(self) -> list[Block]:
        return self._blocks()


def table(rows: int, columns: int, start: float = 0.0) -> Tensor:
    return torch.arange(rows * columns, dtype=torch.float64).view(rows, columns) + start


def test_blocks_come_sorted_and_as_they_were_given() -> None:
    metric = Kept()
    given = {
        (5, 0): (table(2, 3), table(4, 2)),
        (1, 20): (table(0, 3), table(1, 2, 0.5)),
        (1, 3): (table(3, 3, 7), table(0, 2)),
    }
    for (index, first), (truth, rows) in given.items():
        metric.update(index, truth, rows, first)
    blocks = metric.compute()
    assert [(block.video, block.first) for block in blocks] == [(1, 3), (1, 20), (5, 0)]
    for block in blocks:
        truth, rows = given[block.video, block.first]
        torch.testing.assert_close(block.truth, truth, rtol=0, atol=0)
        torch.testing.assert_close(block.rows, rows, rtol=0, atol=0)


def test_blocks_are_copies_with_their_dtype_and_only_the_first_of_each_key() -> None:
    metric = Kept()
    truth, rows = torch.ones(2, 1, dtype=torch.uint8), torch.rand(3, 2, requires_grad=True)
    kept = rows.detach().clone()
    metric.update(0, truth, rows)
    metric.update(0, truth, torch.zeros(5, 2))  # a repeat scored otherwise, as on another device
    with torch.no_grad():
        truth.zero_()
        rows.zero_()
    (block,) = metric.compute()
    assert (block.truth.dtype, block.rows.dtype, block.rows.requires_grad) == (torch.uint8, torch.float32, False)
    assert block.truth.tolist() == [[1], [1]]
    torch.testing.assert_close(block.rows, kept, rtol=0, atol=0)


def test_blocks_of_one_process_share_memory_with_the_state() -> None:
    metric = Kept()
    metric.update(0, table(2, 1), table(9, 4))
    (block,) = metric._blocks(rows=slice(1, 3))
    assert block.rows.tolist() == table(9, 4)[:, 1:3].tolist()
    assert block.rows.untyped_storage().data_ptr() == metric.rows[0].untyped_storage().data_ptr()


def test_blocks_reset_forgets() -> None:
    metric = Kept()
    metric.update(0, table(1, 1), table(1, 2))
    metric.reset()
    metric.update(3, table(2, 4), table(2, 5))  # other columns are fine after a reset
    assert [block.video for block in metric.compute()] == [3]


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric:UserWarning")
def test_blocks_refuse_compute_without_videos() -> None:
    with pytest.raises(ValueError, match="Kept has seen no video: call update before compute"):
        Kept().compute()


def test_blocks_refuse_repeats_with_other_truth() -> None:
    metric = Kept()
    metric.update(4, table(2, 1), table(2, 1), 6)
    metric.update(4, table(2, 1, 1), table(2, 1), 6)
    with pytest.raises(ValueError, match="video 4 came twice from step 6 with different truth"):
        metric.compute()


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ((-1, table(1, 1), table(1, 2)), "must not be negative, got -1 and 0"),
        ((0, table(1, 1), table(1, 2), -2), "must not be negative, got 0 and -2"),
        ((0, torch.zeros(3), table(1, 2)), r"truth of video 0 must be \(rows, columns\), got shape \(3,\)"),
        ((0, table(1, 1), torch.zeros(3, 0)), r"predictions of video 0 must be .* got shape \(3, 0\)"),
        ((2, table(1, 1), table(1, 3)), "predictions of video 2 have 3 columns of torch.float64, after 2"),
        ((2, table(1, 1).float(), table(1, 2)), "truth of video 2 have 1 columns of torch.float32, after 1 of .*64"),
    ],
)
def test_blocks_refuse_bad_tables_by_message(block: tuple[int, Tensor, Tensor], message: str) -> None:
    metric = Kept()
    metric.update(9, table(1, 1), table(1, 2))
    with pytest.raises(ValueError, match=message):
        metric.update(*block)


@pytest.mark.slow
@pytest.mark.parametrize("world", [1, 2, 3])
def test_blocks_of_several_processes_are_those_of_one(tmp_path: Path, world: int) -> None:
    script = Path(__file__).with_name("block_script.py")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([sys.executable, str(script), str(rank), str(world), str(tmp_path)], env=environment)
        for rank in range(world)
    ]
    try:
        codes = [process.wait(timeout=120) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0] * world
    alone = runpy.run_path(str(script))
    everything = {video: (video, 10 * video, *alone["tables"](video)) for video in range(alone["NUM_VIDEOS"])}
    measures = alone["measure"](list(range(alone["NUM_VIDEOS"])), slice(None))
    for rank in range(world):
        results, measured = torch.load(tmp_path / f"{world}_{rank}.pt", weights_only=True)
        for case, result in results.items():
            videos = sorted({video for share in alone["shares"](world)[case] for video in share})
            assert [block[0] for block in result] == videos, (case, rank)
            for block in result:
                expected = everything[block[0]]
                assert block[1] == expected[1]
                for got, table in zip(block[2:], expected[2:], strict=True):
                    torch.testing.assert_close(got, table, rtol=0, atol=0, msg=f"{case} on rank {rank}")
        assert list(measured) == ["padded", "repeats"]
        for case, values in measured.items():
            assert list(values) == list(measures)
            for name, value in values.items():
                torch.testing.assert_close(value, measures[name], rtol=0, atol=0, msg=f"{name}, {case} on rank {rank}")
