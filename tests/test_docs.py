"""What the pages say can be run."""

import re
import shlex

import pytest
import torch

from metrics import VARIANTS, VideoMeanAveragePrecision, bootstrap, video_rankings
from metrics.__main__ import _parser
from metrics.protocols import PROTOCOLS
from tests.conftest import ROOT

PAGE = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8").replace("\\\n", " ")
COMMANDS = re.findall(r"^python -m metrics (.+)$", PAGE, flags=re.MULTILINE)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.split()[0])
def test_command_of_the_page_parses(command: str) -> None:
    _parser().parse_args(shlex.split(command))


def test_page_shows_every_protocol_and_every_data_config() -> None:
    assert {command.split()[0] for command in COMMANDS} == set(PROTOCOLS)
    page = (ROOT / "docs" / "datasets.md").read_text(encoding="utf-8")
    names = {path.stem for path in (ROOT / "configs" / "data").glob("*.yaml")} - {"tempo_shapes"}
    assert not [name for name in names if not re.search(rf"{name}|`{re.sub('^[a-z]+', '', name)}`", page)]


def test_example_of_the_page_runs() -> None:
    generator = torch.Generator().manual_seed(0)
    index, preds = torch.arange(40), torch.rand(40, 3, generator=generator)
    labels = (torch.rand(40, 3, generator=generator) < 0.4).long()
    metric = VideoMeanAveragePrecision(**VARIANTS["plain"])
    metric.update(index, preds, labels)
    interval = bootstrap(video_rankings(preds, labels), num_videos=len(preds), resamples=50)
    assert interval.low <= float(metric.compute()) <= interval.high
