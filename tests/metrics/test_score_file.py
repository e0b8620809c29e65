import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from metrics import ScoreFile, load_scores, rate_table, save_scores


def scores(single_label: bool = False) -> ScoreFile:
    logits = torch.randn(4, 3, 2, generator=torch.Generator().manual_seed(0))
    logits[2] = -torch.inf
    return ScoreFile(
        index=torch.tensor([0, 2, 3, 9]),
        videos=["a.mp4", "Subject 3/ADL/07.mp4", "größer.mp4", "日本.mp4"],
        logits=logits,
        labels=torch.tensor([[1, 0], [0, 1], [1, 1], [0, 0]]),
        view_rates=torch.tensor([2.0, 4.0, 4.0], dtype=torch.float64),
        label_names=["Holding a cup", "Köche"],
        single_label=single_label,
    )


@pytest.mark.parametrize("single_label", [False, True])
def test_score_file_round_trip_is_exact(tmp_path: Path, single_label: bool) -> None:
    wanted = scores(single_label)
    path = tmp_path / "runs" / "test.npz"
    save_scores(path, wanted)
    got = load_scores(str(path))
    for name in ("index", "logits", "labels", "view_rates"):
        torch.testing.assert_close(getattr(got, name), getattr(wanted, name), rtol=0, atol=0)
    assert (got.videos, got.label_names) == (wanted.videos, wanted.label_names)
    assert got.single_label is single_label
    assert [file.name for file in path.parent.iterdir()] == ["test.npz"]  # nothing unfinished is left
    # what the file is for
    assert rate_table(got.logits, got.labels, got.view_rates) == rate_table(
        wanted.logits, wanted.labels, wanted.view_rates
    )


def test_score_file_holds_no_pickle(tmp_path: Path) -> None:
    save_scores(tmp_path / "test.npz", scores())
    with np.load(tmp_path / "test.npz", allow_pickle=False) as file:
        assert all(file[name].dtype != object for name in file.files)


def test_save_scores_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "test.npz"
    path.write_bytes(b"a long run")
    with pytest.raises(ValueError, match=r"test\.npz exists already and scores are never overwritten: move it or"):
        save_scores(path, scores())
    assert path.read_bytes() == b"a long run"


def test_save_scores_leaves_nothing_when_writing_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(file: Any, **arrays: Any) -> None:
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(np, "savez", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_scores(tmp_path / "test.npz", scores())
    assert list(tmp_path.iterdir()) == []


def test_save_scores_forces_the_whole_file_to_the_disk_before_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, forced = tmp_path / "test.npz", []
    monkeypatch.setattr("os.fsync", lambda file: forced.append((path.exists(), os.fstat(file))))
    save_scores(path, scores())
    (before, data), (after, folder) = forced
    assert not before and data.st_size == path.stat().st_size
    assert after and folder.st_ino == tmp_path.stat().st_ino


def test_save_scores_refuses_other_endings(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path must end in \.npz, got .*test\.pt"):
        save_scores(tmp_path / "test.pt", scores())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"logits": torch.zeros(4, 2)}, r"logits must have shape \(n, V, K\), got \(4, 2\)"),
        ({"logits": torch.zeros(4, 3, 2, dtype=torch.float64)}, "logits must have dtype float32, got float64"),
        ({"labels": torch.zeros(4, 2)}, "labels must have dtype int64, got float32"),
        ({"labels": torch.full((4, 2), 2)}, "labels must hold 0 and 1 only"),
        ({"labels": torch.zeros(4, 3, dtype=torch.int64)}, r"labels must have shape \(4, 2\) for logits of shape"),
        ({"videos": ["a"]}, r"videos must have shape \(4,\)"),
        ({"label_names": ["a", "b", "c"]}, r"label_names must have shape \(2,\)"),
        ({"view_rates": torch.ones(2)}, r"view_rates must have shape \(3,\)"),
        ({"index": torch.tensor([0, 2, 2, 3])}, "index must rise strictly, each video once"),
    ],
)
def test_save_scores_refuses_fields_that_do_not_fit(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=rf"cannot be written to .*test\.npz: {message}"):
        save_scores(tmp_path / "test.npz", replace(scores(), **change))
    assert list(tmp_path.iterdir()) == []


def rewrite(path: Path, **change: Any) -> None:
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files} | change
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, r"test\.npz is no score file: it lacks labels"),
        ({"version": np.int64(7)}, r"test\.npz has version 7, this code reads version 1"),
        ({"videos": np.array([{}] * 4)}, r"test\.npz cannot be read as a score file: Object arrays cannot be loaded"),
        ({"index": np.arange(3)}, r"test\.npz is damaged: index must have shape \(4,\)"),
        ({"single_label": np.array([True, False])}, r"test\.npz is damaged: single_label must have shape \(\)"),
        (
            {"logits": np.full((4, 3, 2), np.nan, np.float32)},
            r"damaged: .* NaN or \+inf, got them for 4 videos, first ",
        ),
        ({"logits": np.zeros((4, 3, 2), np.int64)}, r"test\.npz is damaged: logits must have dtype float32, got int64"),
    ],
)
def test_load_scores_refuses_by_message(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "test.npz"
    save_scores(path, scores())
    rewrite(path, **change)
    with pytest.raises(ValueError, match=message):
        load_scores(path)


@pytest.mark.parametrize("content", [b"", b"text, no archive", b"PK\x03\x04 and then nothing"])
def test_load_scores_refuses_other_files(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "other.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.npz cannot be read as a score file"):
        load_scores(path)


def test_load_scores_refuses_truncated_and_damaged_files(tmp_path: Path) -> None:
    path = tmp_path / "whole.npz"
    save_scores(path, scores())
    content = path.read_bytes()
    (tmp_path / "cut.npz").write_bytes(content[: len(content) // 2])
    place = content.index(scores().logits.numpy().tobytes()[:8])
    (tmp_path / "flipped.npz").write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    for name in ("cut.npz", "flipped.npz"):
        with pytest.raises(ValueError, match=f"{name} cannot be read as a score file"):
            load_scores(tmp_path / name)


def test_load_scores_refuses_damaged_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "packed.npz"
    save_scores(path, scores())
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    np.savez_compressed(path, **arrays)
    content, refused = path.read_bytes(), 0
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            load_scores(path)
        except ValueError as error:
            refused += str(path) in str(error)
    assert refused > len(content) / 6


def test_load_scores_refuses_a_single_array(tmp_path: Path) -> None:
    with open(tmp_path / "one.npz", "wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"one\.npz cannot be read as a score file: it holds a single array"):
        load_scores(tmp_path / "one.npz")


def test_load_scores_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no score file at .*absent\.npz"):
        load_scores(tmp_path / "absent.npz")
