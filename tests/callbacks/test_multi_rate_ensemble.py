import csv
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from cli import main
from metrics import load_scores
from tests.conftest import EXPERIMENTS, LABELS, SPLITS, Run

VIEWS = "--data.test_views={2: [2, 2], 4: [3, 1], 8: [1, 2]}"
TEST = EXPERIMENTS / "multi_rate_test.yaml"


def literal_map(logits: np.ndarray, labels: np.ndarray) -> float:
    preds = (1 / (1 + np.exp(-logits.astype(np.float64)))).mean(1)
    return float(np.mean([average_precision_score(labels[:, k], preds[:, k]) for k in range(5) if labels[:, k].any()]))


def test_table_file_and_logs_agree_with_the_literal_formula(run: Run, stage1: Path, tmp_path: Path) -> None:
    cli = run("test", f"--ckpt_path={stage1}", VIEWS, configs=(TEST,))
    (path,) = (tmp_path / "run").rglob("scores.npz")
    file = load_scores(path)
    assert file.videos == [f"test_{n}.mp4" for n in range(SPLITS["test"])] and file.label_names == LABELS
    assert file.view_rates.tolist() == [2] * 4 + [4] * 3 + [8] * 2
    logits, labels, rates = file.logits.numpy(), file.labels.numpy(), file.view_rates.numpy()
    logged = {key: float(value) for key, value in cli.trainer.logged_metrics.items()}
    for name, chosen in {
        "rate_2": [2],
        "rate_4": [4],
        "rate_8": [8],
        "rates_2_4": [2, 4],
        "rates_2_8": [2, 8],
        "rates_4_8": [4, 8],
        "ensemble": [2, 4, 8],
    }.items():
        expected = literal_map(logits[:, np.isin(rates, chosen)], labels)
        assert logged[f"test/map_{name}"] == pytest.approx(expected, abs=1e-6), name
    assert logged["test/map"] == pytest.approx(logged["test/map_ensemble"], abs=1e-7)
    with path.with_name("per_class.csv").open() as rows:
        per_class = list(csv.DictReader(rows))
    assert [row["label"] for row in per_class] == LABELS
    assert [int(row["positives"]) for row in per_class] == labels.sum(0).tolist()
    with path.with_name("ensemble.csv").open() as rows:
        assert [row["rates"] for row in csv.DictReader(rows)] == ["2", "4", "8", "2+4", "2+8", "4+8", "2+4+8"]


def test_score_file_is_evaluated_again_without_videos(
    run: Run, stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run("test", f"--ckpt_path={stage1}", VIEWS, configs=(TEST,))
    (path,) = (tmp_path / "run").rglob("scores.npz")
    capsys.readouterr()
    main(["evaluate", str(path), "--reduction=max", "--rates=[2,8]"])
    shown = capsys.readouterr().out
    file = load_scores(path)
    preds = file.logits[:, [0, 1, 2, 3, 7, 8]].double().sigmoid().amax(1).numpy()
    labels = file.labels.numpy()
    expected = np.mean([average_precision_score(labels[:, k], preds[:, k]) for k in range(5) if labels[:, k].any()])
    assert f"{100 * expected:.2f}" in shown and "2+8" in shown
    with pytest.raises(SystemExit):
        main(["evaluate", str(path), "--rates=[3]"])
    assert "has no views of rate 3; it has rates [2.0, 4.0, 8.0]" in capsys.readouterr().err


def test_earlier_scores_are_never_overwritten(run: Run, stage1: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "per_class.csv").write_text("mine")
    for _ in range(2):
        run("test", f"--ckpt_path={stage1}", VIEWS, f"--trainer.callbacks.output={tmp_path / 'out'}", configs=(TEST,))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    written = {
        f"{stem}-{n}.{end}"
        for stem, end in (("scores", "npz"), ("ensemble", "csv"), ("per_class", "csv"))
        for n in (1, 2)
    }
    assert names == written | {"per_class.csv"}
    assert (tmp_path / "out" / "per_class.csv").read_text() == "mine"


@pytest.mark.parametrize(
    ("rule", "problem"),
    [
        ("{rate_weights: {2: 1, 4: 1}}", "rate_weights has no weight for rate 8"),
        ("{rate_weights: {2: 1, 4: 1, 8: 1}, reduction: max}", "weights have no meaning with reduction 'max'"),
        ("{rate_weights: {2: 0, 4: 0, 8: 1}}", "rate_weights must be positive, got 0.0 for rate 2"),
    ],
)
def test_weights_that_do_not_fit_are_refused_before_anything_is_scored(
    run: Run, stage1: Path, monkeypatch: pytest.MonkeyPatch, rule: str, problem: str
) -> None:
    def scored(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("lightning_modules.MultiLabelModule.test_step", scored)
    with pytest.raises(ValueError, match=problem):
        run("test", f"--ckpt_path={stage1}", VIEWS, f"--trainer.callbacks.init_args={rule}", configs=(TEST,))
