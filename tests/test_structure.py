"""The import directions between rooms, and the shape of the configs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
ALLOWED = {
    "networks": set(),
    "clips": set(),
    "annotations": set(),
    "metrics": {"annotations"},
    "lightning_modules": {"networks", "metrics"},
    "datamodules": {"clips", "annotations"},
    "callbacks": {"metrics"},
}
ONLY_IN = {
    "av": {
        f"clips/{name}.py" for name in ("decoding", "index", "index_cache", "inspection", "encoding", "frame_folder")
    },
    "timm": {"networks/timm_frames.py"},
    "torchvision": {"networks/torchvision3d.py"},
    "wandb": set(),
}


def imports(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules.add(node.module.split(".")[0])
    return modules


FILES = [path for room in ALLOWED for path in sorted((ROOT / room).rglob("*.py"))]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_room_imports_only_what_it_may(path: Path) -> None:
    room, found = path.relative_to(ROOT).parts[0], imports(path)
    assert found & (set(ALLOWED) | {"cli", "benchmarks", "tests"}) <= ALLOWED[room] | {room}
    if room not in {"lightning_modules", "datamodules", "callbacks"}:
        assert not found & {"lightning", "pytorch_lightning"}, "a leaf room knows nothing of Lightning"
    for package, files in ONLY_IN.items():
        assert package not in found or path.relative_to(ROOT).as_posix() in files


@pytest.mark.parametrize("path", sorted((ROOT / "configs").rglob("*.yaml")), ids=lambda path: path.stem)
def test_config_parses_and_is_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert isinstance(yaml.safe_load(text), dict)
    assert path.name == "trainer.yaml" or len(text.splitlines()) <= 25


def test_help_works_without_loading_timm_or_torchvision() -> None:
    code = (
        "import sys, runpy\n"
        "sys.argv = ['cli.py', '--help']\n"
        "try: runpy.run_path('cli.py', run_name='__main__')\n"
        "except SystemExit as stop: assert not stop.code\n"
        "print('LOADED', sorted({'timm', 'torchvision', 'wandb'} & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for word in ("fit", "test", "predict", "evaluate"):
        assert word in done.stdout
    assert "'timm'" not in done.stdout.rsplit("LOADED", 1)[1]
