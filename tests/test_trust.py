"""Files of strangers: what they want to have called is not called, through any door."""

import os
import pickle
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from callbacks.read_checkpoint import read_checkpoint
from cli import main
from clips.decoding import VideoError, read_index
from lightning_modules import ActivitySpecific
from metrics import load_scores
from metrics.results.step_scores import read_step_scores
from networks import SmallResNet3D
from networks.checkpoints import load_checkpoint
from tests.conftest import EXPERIMENTS, Run

STAGE2 = EXPERIMENTS / "speed_invariant.yaml"


class Payload:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.mkdir, (str(self.file),)


def write_archive(content: Any, path: Path) -> None:
    torch.save(content, path)


def write_old_torch(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def write_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


WRITERS = [write_archive, write_old_torch, write_pickle]
Evil = Callable[[Callable[[Any, Path], None]], Path]


@pytest.fixture
def evil(stage1: Path, tmp_path: Path) -> Evil:
    """Write the checkpoint of stage 1 with a payload in it."""

    def write(writer: Callable[[Any, Path], None]) -> Path:
        writer({**torch.load(stage1, weights_only=True), "extra": Payload(tmp_path / "called")}, tmp_path / "evil.ckpt")
        return tmp_path / "evil.ckpt"

    return write


def test_payload_is_alive(tmp_path: Path) -> None:
    for writer in WRITERS:
        writer(Payload(tmp_path / "called"), tmp_path / "evil.ckpt")
        if writer is write_pickle:
            pickle.loads((tmp_path / "evil.ckpt").read_bytes())
        else:
            torch.load(tmp_path / "evil.ckpt", weights_only=False)
        (tmp_path / "called").rmdir()


@pytest.mark.parametrize("writer", WRITERS)
def test_checkpoint_with_code_is_refused(evil: Evil, tmp_path: Path, writer: Any) -> None:
    path = evil(writer)
    with pytest.raises(
        ValueError, match=r"evil\.ckpt must hold .*, got objects that call posix\.mkdir .*weights_only=False"
    ):
        read_checkpoint(path)
    assert not (tmp_path / "called").exists()


def test_checkpoint_with_code_is_refused_in_python(evil: Evil, tmp_path: Path) -> None:
    with pytest.raises(pickle.UnpicklingError, match="posix"):
        ActivitySpecific.load_from_checkpoint(evil(write_archive))
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("command", ["fit", "validate", "test", "predict", "stage 2"])
def test_checkpoint_with_code_is_refused_by_every_command(
    run: Run, evil: Evil, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # what guides advise when an old checkpoint is refused
    path, configs = evil(write_archive), (STAGE2,) if command == "stage 2" else ()
    extra = {"predict": [f"--data.predict={tiny / 'test_0.mp4'}"]}.get(command, [])
    where = "--trainer.callbacks.init_from" if command == "stage 2" else "--ckpt_path"
    with pytest.raises(ValueError, match=r"evil\.ckpt must hold .*, got objects that call posix\.mkdir"):
        run("fit" if command == "stage 2" else command, f"{where}={path}", *extra, configs=configs)
    assert not (tmp_path / "called").exists()


@pytest.mark.parametrize("writer", WRITERS)
def test_weights_with_code_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: Any) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    network = SmallResNet3D(widths=[4, 8])
    writer({"extra": Payload(tmp_path / "called"), "state_dict": network.state_dict()}, tmp_path / "evil.pth")
    with pytest.raises(ValueError, match=r"evil\.pth' must hold plain tensors or arrays, .*posix\.mkdir"):
        load_checkpoint(network, tmp_path / "evil.pth")
    assert not (tmp_path / "called").exists()


def test_score_file_with_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "scores.npz"
    np.savez(path, logits=np.array([Payload(tmp_path / "called")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"scores\.npz cannot be read as a score file: Object arrays"):
        load_scores(path)
    with pytest.raises(SystemExit):
        main(["evaluate", str(path)])
    assert "scores.npz cannot be read as a score file: Object arrays" in capsys.readouterr().err
    path.write_bytes(pickle.dumps(Payload(tmp_path / "called")))
    with pytest.raises(ValueError, match=r"scores\.npz cannot be read as a score file"):
        load_scores(path)
    assert not (tmp_path / "called").exists()


def test_result_file_with_code_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "results.npz"
    np.savez(path, first=np.array([Payload(tmp_path / "called")], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="Object arrays cannot be loaded"):
        read_step_scores(path, 5)
    assert not (tmp_path / "called").exists()


def test_address_is_never_unpickled(run: Run, evil: Evil, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lightning's default for a checkpoint on the web is to unpickle it."""
    path, asked = evil(write_archive), []

    def fetch(url: str, **options: Any) -> Any:
        asked.append(url)
        return torch.load(path, weights_only=options["weights_only"])

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    monkeypatch.setattr("lightning.fabric.plugins.io.torch_io.get_filesystem", lambda url: _Anything())
    with pytest.raises(pickle.UnpicklingError, match="posix"):
        run("test", "--ckpt_path=http://localhost/evil.ckpt")
    assert asked == ["http://localhost/evil.ckpt"] and not (tmp_path / "called").exists()


class _Anything:
    def exists(self, path: str) -> bool:
        return True


def test_reading_unsafely_is_no_option(run: Run, stage1: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        run("test", f"--ckpt_path={stage1}", "--weights_only=false")
    assert "weights_only" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line", ["model: !!python/object/apply:os.mkdir [{file}]", "trainer: {{logger: !!python/name:os.system ''}}",
             "data: !!python/object/new:os.mkdir {{args: [{file}]}}"],
)  # fmt: skip
def test_yaml_cannot_name_python(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str) -> None:
    extra, called = tmp_path / "extra.yaml", tmp_path / "called"
    extra.write_text(line.format(file=called) + "\n")
    with pytest.raises(SystemExit):
        run("fit", configs=(extra,))
    assert "tag:yaml.org,2002:python" in capsys.readouterr().err
    assert not called.exists()


def test_checkpoints_of_both_stages_are_plain_data(run: Run, stage1: Path, tmp_path: Path) -> None:
    rates = "--data.train_rates=[2,4,8]"
    more = tmp_path / "more.yaml"
    callbacks = [
        {"class_path": "SpeedInvariantTuning", "init_args": {"init_from": str(stage1)}},
        {"class_path": "NonFiniteGuard", "init_args": {"skip": 3}},
        {"class_path": "EarlyStopping", "init_args": {"monitor": "val/loss"}},
        {"class_path": "ModelCheckpoint", "init_args": {"dirpath": "all", "save_top_k": 2, "monitor": "val/map"}},
    ]
    more.write_text(yaml.safe_dump({"trainer": {"callbacks+": callbacks}}))
    run("fit", rates, f"--trainer.default_root_dir={tmp_path / 'tuned'}", configs=(more,))
    for path in (stage1, *(tmp_path / "tuned").rglob("*.ckpt")):
        kept = read_checkpoint(path)
        assert kept["hyper_parameters"]["_class_path"].endswith("ActivitySpecific") and kept["optimizer_states"]
    assert kept["non_finite_steps"] == 0 and any(key.startswith("EarlyStopping") for key in kept["callbacks"])


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", r"0 bytes that stop at: EOFError"), (b"text", r"4 bytes"), (b"PK\x03\x04cut", "not a ZIP archive")],
)
def test_damaged_checkpoint_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "last.ckpt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"last\.ckpt cannot be read, .*{message}.*take an earlier one"):
        read_checkpoint(path)
    with pytest.raises(FileNotFoundError, match=r"none\.ckpt; give the path"):
        read_checkpoint(tmp_path / "none.ckpt")
    torch.save([torch.zeros(2)], path)
    with pytest.raises(ValueError, match="must hold a dictionary, got list"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile http://127.0.0.1:{port}/a.mp4\n",
    ],
)
@pytest.mark.parametrize("name", ["playlist.mp4", "playlist.m3u8"])
def test_video_cannot_reach_the_network(tmp_path: Path, text: str, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        (tmp_path / name).write_text(text.format(port=server.getsockname()[1]))
        with pytest.raises(VideoError, match="expected a readable video"):
            read_index(tmp_path / name)
        server.setblocking(False)
        with pytest.raises(BlockingIOError):  # nobody has called
            server.accept()
