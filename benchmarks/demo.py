"""The whole method on the embedded data set in a few minutes: `make demo`, or `python -m benchmarks.demo`.

Runs the commands of the README one after the other (stage 1 of the baseline and of the activity-specific head at rate 4,
stage 2 at rates 2, 4 and 8, three tests) and shows what they measured, in the terminal and in demo.png. Nothing is kept
from earlier runs but the videos.
"""

import argparse
import csv
import json
import shutil
import time
from pathlib import Path

import matplotlib
import torch
from lightning.pytorch.loggers import WandbLogger
from rich.console import Console
from rich.table import Table

from callbacks import MultiRateEnsemble
from callbacks.ensemble_table import rates_of
from cli import main as cli
from clips.shapes import TEMPO_OF_LABEL
from metrics import RateRow

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # after the backend: a server has no display

ROOT = Path(__file__).resolve().parents[1]
EXPERIMENTS = ROOT / "configs" / "experiments"
SHORT = "--trainer.max_epochs=15"  # half of what the configuration says, to be quick
RATE_4 = "--data.test_views={4: [13, 1]}"  # as many views as the ensemble has


def run(console: Console, title: str, *args: str) -> MultiRateEnsemble | None:
    """Run one command line and say what it was; the ensemble callback of a test."""
    console.rule(f"[bold]{title}")
    console.print(f"python cli.py {' '.join(args)}\n", style="dim", soft_wrap=True, highlight=False)
    done = cli(list(args))
    assert done is not None
    for logger in done.trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.experiment.finish()  # or the next command would log into the same run
    return next((c for c in done.trainer.callbacks if isinstance(c, MultiRateEnsemble)), None)  # type: ignore[attr-defined]


def run_all(console: Console, out: Path, overrides: list[str]) -> dict[str, list[RateRow]]:
    """Fit, tune and test; the table of each test."""
    (pooling, specific) = (
        str(EXPERIMENTS / f"tempo_shapes_{name}.yaml") for name in ("average_pooling", "activity_specific")
    )
    tune, test = str(EXPERIMENTS / "tempo_shapes_tuning.yaml"), str(EXPERIMENTS / "tempo_shapes_test.yaml")

    def folder(name: str) -> tuple[str, str]:
        return f"--trainer.default_root_dir={out / name}", str(out / name / "checkpoints" / "last.ckpt")

    tables = {}
    root, checkpoint = folder("baseline")
    run(console, "1/6 baseline: average pooling, stage 1 at rate 4", "fit", "-c", pooling, root, SHORT, *overrides)
    ensemble = run(
        console, "2/6 test of the baseline at rate 4", "test", "-c", pooling, "-c", test, root, RATE_4,
        f"--ckpt_path={checkpoint}", *overrides,
    )  # fmt: skip
    assert ensemble is not None
    tables["average pooling"] = ensemble.table
    root, stage1 = folder("stage1")
    run(console, "3/6 activity-specific features, stage 1 at rate 4", "fit", "-c", specific, root, SHORT, *overrides)
    ensemble = run(
        console, "4/6 test of stage 1 at rate 4", "test", "-c", specific, "-c", test, root, RATE_4,
        f"--ckpt_path={stage1}", *overrides,
    )  # fmt: skip
    assert ensemble is not None
    tables["activity-specific"] = ensemble.table
    root, checkpoint = folder("stage2")
    run(
        console, "5/6 speed-invariant tuning at rates 2, 4, 8", "fit", "-c", specific, "-c", tune, root, *overrides,
        f"--trainer.callbacks.init_from={stage1}",
    )  # fmt: skip
    ensemble = run(
        console,
        "6/6 multi-rate test",
        "test",
        "-c",
        specific,
        "-c",
        test,
        root,
        f"--ckpt_path={checkpoint}",
        *overrides,
    )
    assert ensemble is not None
    tables["+ speed-invariant tuning"] = ensemble.table
    return tables


def clear(output: Path) -> None:
    """Remove the runs of an earlier demo, and nothing else.

    Raises:
        ValueError: if the folder holds something that is not marked as a demo's.
    """
    mark = output / "made_by_demo"
    if output.exists() and any(output.iterdir()) and not mark.exists():
        raise ValueError(f"--output {output} holds files that no demo wrote; give an empty or a new folder")
    for name in ("baseline", "stage1", "stage2"):
        shutil.rmtree(output / name, ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    mark.touch()


def by_tempo(path: Path) -> dict[str, dict[str, float]]:
    """Mean average precision over the labels of each tempo, for each column of a per_class.csv."""
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = [name for name in rows[0] if name not in ("label", "positives")]
    groups: dict[str, dict[str, float]] = {}
    for tempo in dict.fromkeys(TEMPO_OF_LABEL.values()):
        chosen = [row for row in rows if TEMPO_OF_LABEL[row["label"]] == tempo and int(row["positives"])]
        groups[tempo] = {column: sum(float(row[column]) for row in chosen) / len(chosen) for column in columns}
    return groups


def draw(tables: dict[str, list[RateRow]], tempos: dict[str, dict[str, float]], path: Path) -> None:
    """The table as bars, and which rate sees which tempo."""
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.4))
    rows = [(f"{name}\n{rates_of(row)}" if n == 0 else rates_of(row), row.map or 0.0, list(tables).index(name))
            for name, table in tables.items() for n, row in enumerate(table)]  # fmt: skip
    bars = left.bar(range(len(rows)), [100 * row[1] for row in rows], color=[f"C{row[2]}" for row in rows])
    left.bar_label(bars, fmt="%.1f", fontsize=8)
    left.set_xticks(range(len(rows)), [row[0] for row in rows], fontsize=7, rotation=40, ha="right")
    left.set(ylabel="mAP on the test videos (%)", title="Rates and their ensembles")
    columns = list(next(iter(tempos.values())))
    for n, column in enumerate(columns):
        places = [place + n * 0.2 for place in range(len(tempos))]
        right.bar(places, [100 * group[column] for group in tempos.values()], 0.2, label=column.replace("_", " "))
    right.set_xticks([place + 0.1 * (len(columns) - 1) for place in range(len(tempos))], list(tempos))
    right.set(title="After tuning: which rate sees which tempo", ylabel="mean AP of the labels (%)")
    right.legend(fontsize=8, loc="lower center", ncol=4)
    figure.tight_layout()
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    """Run the demo."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--output", type=Path, default=ROOT / "runs" / "demo", help="folder of runs, picture and table")
    parser.add_argument("overrides", nargs="*", help="options for every command, such as --seed_everything=1")
    known, more = parser.parse_known_args()
    torch.set_num_threads(1)  # small layers gain nothing from a second thread, and the loader wants the other core
    console, began = Console(), time.monotonic()
    clear(known.output)
    machine = [] if torch.cuda.is_available() else ["-c", str(EXPERIMENTS / "on_cpu.yaml")]
    tables = run_all(console, known.output, [*machine, *known.overrides, *more])
    per_class = next((known.output / "stage2").rglob("per_class.csv"))
    tempos = by_tempo(per_class)
    shown = Table(title="Mean average precision on the test videos of TempoShapes", title_justify="left")
    for column in ("model", "test rates", "views", "mAP (%)"):
        shown.add_column(column, justify="left" if column == "model" else "right")
    for name, table in tables.items():
        for row in table:
            shown.add_row(name, rates_of(row), str(row.num_views), f"{100 * (row.map or 0.0):.1f}")
        shown.add_section()
    console.rule("[bold]result")
    console.print(shown)
    groups = Table(title="After tuning: mean AP (%) by the tempo of the labels", title_justify="left")
    for column in ("tempo", *(name.replace("_", " ") for name in next(iter(tempos.values())))):
        groups.add_column(column, justify="left" if column == "tempo" else "right")
    for tempo, values in tempos.items():
        groups.add_row(tempo, *(f"{100 * value:.1f}" for value in values.values()))
    console.print(groups)
    picture = known.output / "demo.png"
    draw(tables, tempos, picture)
    result = {name: {rates_of(row): row.map for row in table} for name, table in tables.items()}
    seconds = time.monotonic() - began
    (known.output / "demo.json").write_text(json.dumps({"map": result, "tempos": tempos, "seconds": seconds}, indent=1))
    console.print(f"{seconds:.0f} s; picture {picture}")


if __name__ == "__main__":
    main()
