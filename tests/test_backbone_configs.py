"""The configs of the backbones: each builds its network, and goes under a head on the command line with a weight file."""

import re
import shlex
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from benchmarks import backbones
from benchmarks.backbones import read_backbone
from cli import main
from tests.conftest import ROOT, settings

BACKBONES = ROOT / "configs" / "backbones"
PATHS = sorted(BACKBONES.glob("*.yaml"))
WORDS = ["--trainer.logger=false", "--trainer.accelerator=cpu", "--trainer.precision=32-true"]


def own_data(tiny: Path, folder: Path) -> Path:
    """A config of the tiny annotated set."""
    data = folder / "data.yaml"
    data.write_text(yaml.safe_dump({"class_path": "AnnotatedVideosDataModule", "init_args": settings(tiny)}))
    return data


def build(tiny: Path, folder: Path, method: str, *words: str) -> Any:
    """Model, data and trainer as the command of the page builds them."""
    experiment = ROOT / "configs" / "experiments" / f"{method}.yaml"
    given = ["-c", str(experiment), "--data", str(own_data(tiny, folder)), *WORDS, *words]
    return main([*given, f"--trainer.default_root_dir={folder}"], run=False)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_config_builds_the_network_it_names(path: Path) -> None:
    chosen = yaml.safe_load(path.read_text())
    with torch.device("meta"):  # shapes only
        network = read_backbone(path.stem)
    assert type(network).__name__ == chosen["class_path"]
    name, fields = path.stem, chosen["init_args"]
    depth = re.search(r"_(34|50|101|152)(_|$)", name)
    assert str(fields.get("depth", "")) == (depth[1] if depth else "")
    if name.startswith("x3d"):
        assert name == f"x3d_{fields['size'].lower()}"
    if name.startswith(("timm", "torchvision")):
        assert name.partition("_")[2] == fields.get("name", fields.get("model_name"))


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_config_goes_under_the_head_by_one_option(path: Path, tiny: Path, tmp_path: Path) -> None:
    groups = {"x3d_xl": "2"}.get(path.stem, "16")  # must divide the channels
    words = ["--model.groups", groups] if path.stem.startswith("x3d") else []
    assert not words or f"--model.groups {groups}" in path.read_text()
    with torch.device("meta"):
        cli = build(tiny, tmp_path, "activity_specific", "--model.backbone", str(path), *words)
    assert type(cli.model.backbone).__name__ == yaml.safe_load(path.read_text())["class_path"]
    assert cli.model.head.num_features == cli.model.backbone.num_features


@pytest.mark.parametrize("method", ["activity_specific", "average_pooling"])
@pytest.mark.parametrize("option", ["--model.backbone.weights", "--model.init_args.backbone.init_args.weights"])
def test_weight_file_of_the_command_line_is_in_the_network(
    method: str, option: str, tiny: Path, tmp_path: Path
) -> None:
    path = BACKBONES / "x3d_s.yaml"
    stored = read_backbone(path.stem).state_dict()
    file = tmp_path / "file.pth"
    torch.save(stored, file)
    words = ["--model.backbone", str(path), option, str(file)]
    words += ["--model.groups", "16"] if method == "activity_specific" else []
    cli = build(tiny, tmp_path, method, *words)
    found = cli.model.backbone.state_dict()
    assert list(found) == list(stored) and all(torch.equal(found[name], stored[name]) for name in stored)
    assert cli.model.hparams["backbone"]["init_args"]["weights"] == str(file)


def test_weight_file_of_another_network_is_refused_with_its_name(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "file.pth"
    torch.save(read_backbone("c3d").state_dict(), file)
    path = BACKBONES / "x3d_s.yaml"
    with pytest.raises((ValueError, SystemExit), match=r"file\.pth"):
        build(tiny, tmp_path, "average_pooling", "--model.backbone", str(path), "--model.backbone.weights", str(file))


def test_public_names_find_their_place_and_the_classifier_is_left_out(tiny: Path, tmp_path: Path) -> None:
    stored = read_backbone("c3d").state_dict()
    layers = ("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b")
    public = {
        f"backbone.conv{layer}.conv.{leaf}": stored[f"convs.{n}.{leaf}"]
        for n, layer in enumerate(layers)
        for leaf in ("weight", "bias")
    }
    file = tmp_path / "file.pth"
    torch.save({"meta": {}, "state_dict": public | {"cls_head.fc_cls.weight": torch.zeros(7, 4)}}, file)
    path = BACKBONES / "c3d.yaml"
    cli = build(
        tiny, tmp_path, "activity_specific", "--model.backbone", str(path), "--model.backbone.weights", str(file)
    )
    found = cli.model.backbone.state_dict()
    assert all(torch.equal(found[name], value) for name, value in stored.items())


def test_small_benchmark_counts_as_by_hand() -> None:
    lines = {line["config"]: line for line in backbones.main(["--small"])["cost"]}
    # C3D on 16x112x112: products of each 3x3x3 convolution, positions times channels in times channels out times 27
    sizes = [(16, 112), (16, 56), (8, 28), (8, 28), (4, 14), (4, 14), (2, 7), (2, 7)]
    widths = [3, 64, 128, 256, 256, 512, 512, 512, 512]
    macs = sum(t * s * s * widths[n] * widths[n + 1] * 27 for n, (t, s) in enumerate(sizes)) + 512 * 400
    params = sum(27 * a * b + b for a, b in pairwise(widths)) + 512 * 400 + 400
    assert lines["c3d"]["gflops"] == macs / 1e9 and lines["c3d"]["params"] == params / 1e6


def test_page_names_every_config_and_its_command_is_understood(tiny: Path, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "backbones.md").read_text(encoding="utf-8")
    for path in PATHS:
        name = re.sub("^(timm|torchvision)_.*", r"\1_*", path.stem)
        assert f"`{name}`" in page, name
    command = next(line for line in page.replace("\\\n", " ").splitlines() if line.startswith("python cli.py fit"))
    words = shlex.split(command)[5:]
    words[words.index("--model.backbone.weights") + 1] = "no_such_file.pth"
    assert words[:2] == ["--data", "my_data.yaml"]
    with pytest.raises((FileNotFoundError, ValueError), match=r"no_such_file\.pth"):
        build(tiny, tmp_path, "activity_specific", *words[2:-2], "--model.backbone.weights", "no_such_file.pth")


def test_benchmark_covers_every_config() -> None:
    assert {row.config for row in backbones.ROWS} == {path.stem for path in PATHS}


def test_nonlocal_101_of_the_papers_is_ours_with_fewer_kernels_and_earlier_pooling() -> None:
    with torch.device("meta"):
        network = backbones.build("i3d_nln_101", "average", 400, geometry="mmaction2")
    params, macs = backbones.cost(network, (128, 256, 256))
    # 9 of the 12 temporal kernels of res4 go: two of three time steps of a 1024 -> 256 convolution at 16x16x16 positions
    fewer = 9 * 2 * 1024 * 256
    params, macs = params - fewer, macs - fewer * 16**3
    # phi and g at a quarter of the positions: 2 blocks at 16x32x32 and 3 at 16x16x16
    macs -= 3 * (2 * 2 * 512 * 256 * 16 * 32**2 + 3 * 2 * 1024 * 512 * 16**3) // 4
    assert round(macs / 1e9) == 359 and params / 1e6 == pytest.approx(54.3, abs=0.1)


@pytest.mark.parametrize(
    "row", [row for row in backbones.ROWS if row.source == "pytorchvideo"], ids=lambda row: str(row.name)
)
def test_figures_of_pytorchvideo_are_ours_with_or_without_its_5_operations_of_a_norm(row: backbones.Row) -> None:
    with torch.device("meta"):
        network = backbones.build(row.config, "average", row.labels, **row.changes)
    elements = []
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            module.register_forward_hook(lambda module, inputs, output: elements.append(output.numel()))
    _, macs = backbones.cost(network, row.clip)
    with_norms = (macs + 5 * sum(elements)) / 1e9
    assert row.gflops is not None
    assert min(abs(macs / 1e9 - row.gflops), abs(with_norms - row.gflops)) < 0.01


@pytest.mark.slow
def test_small_benchmark_measures_speed() -> None:
    lines = backbones.main(["--small", "--speed"])["speed"]
    assert lines and all(line[key] > 0 for line in lines for key in ("evaluate", "train", "peak_gb"))
