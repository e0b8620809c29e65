"""Scores of an unfinished test on disk, and the tests that go on with them."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import callbacks.multi_rate_ensemble
from callbacks.module_key import key_of
from callbacks.score_journal import ScoreJournal
from clips.index_cache import content_stamp
from metrics import load_scores
from tests.conftest import EXPERIMENTS, ROOT, Run
from tests.distributed_script import one_thread

TEST = EXPERIMENTS / "multi_rate_test.yaml"
VIEWS = "--data.test_views={2: [2, 2], 4: [3, 1]}"
LOGITS = [torch.randn(3, 5, generator=torch.Generator().manual_seed(n)) for n in range(4)]


def same(ours: dict[int, torch.Tensor], theirs: dict[int, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_journal_cut_anywhere_keeps_all_records_before_the_cut(tmp_path: Path) -> None:
    journal = ScoreJournal(tmp_path / "journal")
    lengths = []
    for video, logits in enumerate(LOGITS):
        journal.append(video, (7, 8), logits)
        (path,) = journal.folder.iterdir()
        lengths.append(path.stat().st_size)
    journal.close()
    whole = path.read_bytes()
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        expected = {video: LOGITS[video] for video, length in enumerate(lengths) if length <= cut}
        assert same(journal.read(lambda video: (7, 8)), expected), cut
    for place in range(len(whole)):  # a wrong byte costs its record and those behind it, and invents nothing
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0x40]) + whole[place + 1 :])
        expected = {video: LOGITS[video] for video, length in enumerate(lengths) if length <= place}
        assert same(journal.read(lambda video: (7, 8)), expected), place


def test_records_of_all_processes_are_read_but_not_those_of_changed_files(tmp_path: Path) -> None:
    journals = [ScoreJournal(tmp_path / "journal") for _ in range(2)]
    for video, logits in enumerate(LOGITS):
        journals[video % 2].append(video, (video, 1), logits)
    now = {0: (0, 1), 1: (1, 1), 2: (2, 9), 3: None}
    assert same(ScoreJournal(tmp_path / "journal").read(now.__getitem__), {0: LOGITS[0], 1: LOGITS[1]})
    for journal in journals:
        journal.remove()
    assert not (tmp_path / "journal").exists()


HOLD = "import fcntl, sys; file = open(sys.argv[1], 'r+b'); fcntl.lockf(file, fcntl.LOCK_EX); print(); sys.stdin.read()"


def test_file_of_another_test_stays_as_long_as_it_is_written(tmp_path: Path) -> None:
    journal, other = ScoreJournal(tmp_path / "journal"), ScoreJournal(tmp_path / "journal")
    journal.append(0, (7, 8), LOGITS[0])
    journal.close()
    (path,) = journal.folder.iterdir()
    with subprocess.Popen([sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as writer:
        assert writer.stdout and writer.stdout.read(1)
        assert same(other.read(lambda video: (7, 8)), {0: LOGITS[0]})
        other.append(1, (7, 8), LOGITS[1])
        assert len(list(other.folder.iterdir())) == 2
        other.remove()
        assert list(other.folder.iterdir()) == [path]
        writer.kill()
    other.remove()
    assert not other.folder.exists()
    journal.append(2, (7, 8), LOGITS[2])
    assert not path.exists()  # a name of its own, which no other test takes for the file that it read
    journal.remove()


def test_journal_is_locked_while_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked: list[int] = []
    monkeypatch.setattr("callbacks.score_journal.fcntl.lockf", lambda file, how: locked.append(file))
    journal = ScoreJournal(tmp_path)
    journal.append(0, (7, 8), LOGITS[0])
    assert locked == [journal._file]
    journal.close()


def test_key_follows_every_weight_buffer_and_fact() -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    keys = [key_of(module, {"views": 1})]
    assert key_of(module, {"views": 1}) == keys[0]
    keys.append(key_of(module, {"views": 2}))
    for name in ("0.weight", "0.bias", "1.running_var"):
        with torch.no_grad():
            flat = module.state_dict()[name].view(-1)
            flat[-1] = torch.nextafter(flat[-1], torch.tensor(9.0))
        keys.append(key_of(module, {"views": 1}))
    assert len(set(keys)) == 5


def test_key_follows_what_leaves_no_trace_in_weights_and_not_the_mode() -> None:
    keys = set()
    for stride in (1, 2):
        torch.manual_seed(0)
        module = torch.nn.Sequential(torch.nn.Conv1d(2, 2, 3, stride=stride))
        keys.add(key_of(module, {}))
        keys.add(key_of(module.eval(), {}))
    assert len(keys) == 2


def damage(path: Path) -> bytes:
    """Overwrite a file with rubbish of the same size and time."""
    facts, whole = path.stat(), path.read_bytes()
    path.write_bytes(b"\xff" * len(whole))
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
    return whole


def restore(path: Path, whole: bytes) -> None:
    facts = path.stat()
    path.write_bytes(whole)
    os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))


def assert_same_files(ours: Path, theirs: Path) -> None:
    one, other = load_scores(ours / "scores.npz"), load_scores(theirs / "scores.npz")
    assert one.videos == other.videos and np.array_equal(one.logits.numpy(), other.logits.numpy())
    assert torch.equal(one.labels, other.labels) and torch.equal(one.index, other.index)
    for name in ("ensemble.csv", "per_class.csv"):
        assert (ours / name).read_bytes() == (theirs / name).read_bytes()


def test_interrupted_test_goes_on_without_reading_finished_videos(
    run: Run, stage1: Path, own: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def test(output: str, *args: str) -> dict[str, torch.Tensor]:
        data = (f"--data.annotations={own / 'annotations.csv'}", f"--trainer.callbacks.output={tmp_path / output}")
        return run("test", f"--ckpt_path={stage1}", *data, *(args or (VIEWS,)), configs=(TEST,)).trainer.logged_metrics

    unbroken = test("unbroken")
    journals = tmp_path / "run" / "unfinished_test"
    assert not journals.exists()
    fourth = damage(own / "test_3.mp4")
    with pytest.raises(ValueError, match=r"test_3\.mp4"):
        test("resumed")
    (journal,) = journals.iterdir()
    restore(own / "test_3.mp4", fourth)
    others = {path: damage(path) for path in sorted(own.glob("test_[012].mp4"))}

    for other in ("--data.test_views={2: [2, 2], 4: [2, 1]}", "--data.test_short_side=40", "--model.score=features"):
        with pytest.raises(ValueError, match=r"test_0\.mp4"):  # scores of other views, or of another model: not taken
            test("other", other if "views" in other else VIEWS, other)
    with pytest.raises(ValueError, match=r"test_0\.mp4"):
        test("other", VIEWS, "--trainer.callbacks.resume=false")
    assert [path.name for path in journals.iterdir()] == [journal.name]  # nothing was scored, nothing was lost

    caplog.clear()
    with caplog.at_level("INFO"):
        resumed = test("resumed")
    assert "3 of 5 test videos were scored by a test that was interrupted" in caplog.text
    assert resumed.keys() == unbroken.keys() and all(torch.equal(resumed[name], unbroken[name]) for name in unbroken)
    assert_same_files(tmp_path / "unbroken", tmp_path / "resumed")
    assert not journals.exists()
    with pytest.raises(ValueError, match=r"test_0\.mp4"):
        test("again")  # the test is over: another one starts anew
    restore(own / "test_0.mp4", others[own / "test_0.mp4"])


def test_scores_survive_a_full_disk_and_are_written_without_the_network(
    run: Run, stage1: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def test(output: str) -> None:
        run("test", f"--ckpt_path={stage1}", VIEWS, f"--trainer.callbacks.output={tmp_path / output}", configs=(TEST,))

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(ScoreJournal, "append", full)
        with pytest.warns(
            UserWarning, match="scores are no longer kept, should this test be interrupted: .*No space left"
        ):
            test("unbroken")
    with monkeypatch.context() as patch:
        patch.setattr(callbacks.multi_rate_ensemble, "save_scores", full)
        with pytest.raises(OSError, match=r"(?s)No space left.*scores\.npz.*kept in .*unfinished_test"):
            test("resumed")
    with monkeypatch.context() as patch:
        patch.setattr("networks.small_resnet3d.SmallResNet3D.forward", full)
        test("resumed")
    assert_same_files(tmp_path / "unbroken", tmp_path / "resumed")


@pytest.mark.slow
@pytest.mark.parametrize(("first", "then"), [(1, 3), (2, 1)])
def test_scores_of_any_number_of_processes_are_taken_over_by_any_other(
    run: Run, stage1: Path, own: Path, tmp_path: Path, first: int, then: int
) -> None:
    args = (f"--ckpt_path={stage1}", f"--data.annotations={own / 'annotations.csv'}", VIEWS)

    def test(processes: int, output: str) -> str:
        """What went wrong; an empty string if nothing did."""
        to = f"--trainer.callbacks.output={tmp_path / output}"
        if processes == 1:
            try:
                with one_thread():
                    run("test", *args, to, configs=(TEST,))
            except ValueError as error:
                return str(error)
            return ""
        command = [
            *(sys.executable, str(ROOT / "cli.py"), "test"),
            *("-c", str(tmp_path / "shared.yaml"), "-c", str(tmp_path / "base.yaml"), "-c", str(TEST)),
            *(*args, to, f"--trainer.devices={processes}", "--trainer.strategy=ddp"),
        ]
        env = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=280)
        return done.stderr if done.returncode else ""

    assert not test(1, "one")
    broken = damage(own / "test_4.mp4")
    assert "test_4.mp4" in test(first, "many")
    restore(own / "test_4.mp4", broken)
    (journal,) = (tmp_path / "run" / "unfinished_test").iterdir()
    finished = ScoreJournal(journal).read(lambda video: content_stamp(own / f"test_{video}.mp4"))
    assert len(finished) >= 2
    for video in finished:
        damage(own / f"test_{video}.mp4")
    assert not test(then, "many")
    assert_same_files(tmp_path / "one", tmp_path / "many")
    assert not journal.exists()
