"""Test as an ensemble over rates: one table of every rate, every pair and all, and one file to evaluate again.

Algorithm 1, line 8, and §3.5 of Zhang, Li, Marsic (https://arxiv.org/abs/2009.07420): the score of a video sums its scores
at all rates. The views come from the data's `test_views`; this callback only reduces what they scored.
"""

import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities import rank_zero_info, rank_zero_warn

from callbacks.ensemble_table import metrics_of, rates_of, show
from callbacks.files import free_paths, gather_dict, write_rows
from callbacks.module_key import key_of
from callbacks.score_journal import ScoreJournal
from metrics import (
    Absent,
    RateRow,
    Reduction,
    ScoreFile,
    Unlabelled,
    VideoScores,
    average_precision,
    rate_table,
    reduce_views,
    save_scores,
    view_weights,
)


class MultiRateEnsemble(pl.Callback):
    """Keep the score of every view; report each rate, each pair of rates and all of them.

    Logs `test/map_rate_4`, `test/map_rates_2_4`, `test/map_ensemble` (top1/top5 for single-label data). Beside them
    `test/map`, which the module logs, is always the plain mean of all views. Writes scores.npz, ensemble.csv and
    per_class.csv; `python cli.py evaluate scores.npz` reduces the file in another way without any video. All of it is exact
    on any number of processes.

    An interrupted test goes on where it stopped: scores of finished videos are kept in `unfinished_test` of the run's folder
    until the files are written, and are taken over by a test of the same weights, views, labels and video files, on any
    number of processes. Videos that could not be read are tried again. A change of the code is not noticed.

    Args:
        reduction: `mean` of the views' scores (ranks as the papers' sum), their `max`, or the score of the `mean_logits`.
        rate_weights: rate -> weight of each of its views; equal by default.
        absent: labels that no test video has are left out of the mean (`skip`) or count as `zero`; `nonzero` leaves out all
            whose average precision is 0.
        unlabelled: test videos without labels are negatives (`negative`) or never counted against it (`minus_inf`, the
            official Charades protocol).
        output: folder of the files; the log folder of the run by default. Files of earlier runs are never overwritten.
        resume: keep the scores of an unfinished test and take them over.
    """

    output_stage = "test"

    def __init__(
        self,
        reduction: Reduction = "mean",
        rate_weights: dict[float, float] | None = None,
        absent: Absent = "skip",
        unlabelled: Unlabelled = "negative",
        output: Path | None = None,
        resume: bool = True,
    ) -> None:
        self.reduction: Reduction = reduction
        self.rate_weights = rate_weights
        self.absent: Absent = absent
        self.unlabelled: Unlabelled = unlabelled
        self.output, self.resume = output, resume
        self._journal: ScoreJournal | None = None
        self.table: list[RateRow] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse weights that do not fit; offer the data what an interrupted test has left.

        The weights of the network, which decide about that, are loaded later.
        """
        data, self._journal = getattr(trainer, "datamodule", None), None
        if stage == "test" and (rates := list(getattr(data, "test_views", ()))):
            self.reduce(torch.zeros(1, len(rates), 1), torch.tensor(rates, dtype=torch.float64), False)
        if stage == "test" and self.resume and _whole(trainer) and hasattr(data, "scored_before"):
            data.scored_before = lambda wanted: self._take_over(trainer, pl_module, wanted)  # type: ignore[union-attr]

    def _take_over(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, wanted: set[int]
    ) -> dict[int, torch.Tensor]:
        """Logits (V, K) of those of the wanted videos that were scored before."""
        data = trainer.datamodule  # type: ignore[attr-defined]
        self._stamp = data.score_stamp
        facts = {
            **data.score_facts(),
            "precision": trainer.precision,
            "module": repr(dict(pl_module.hparams)),
        }
        self._journal = ScoreJournal(Path(trainer.default_root_dir) / "unfinished_test" / key_of(pl_module, facts))
        self._keeping = True
        found = self._journal.read(lambda video: self._stamp(video) if video in wanted else None)
        if found:
            rank_zero_info(
                f"{len(found)} of {len(wanted)} test videos were scored by a test that was interrupted: taken over from "
                f"{self._journal.folder}; MultiRateEnsemble(resume=False) scores all of them again"
            )
        return found

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start empty; refuse weights that do not fit the rates before anything is scored."""
        self._scores = VideoScores()
        self._errors: dict[int, str] = {}
        views: dict[float, tuple[int, int]] = trainer.datamodule.test_views  # type: ignore[attr-defined]
        self._rates = torch.tensor(
            [rate for rate, (positions, crops) in views.items() for _ in range(positions * crops)]
        )
        if self.rate_weights is not None:
            view_weights(self._rates, self.rate_weights)

    def on_test_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep the logits of every view."""
        self._scores.update(outputs["index"], outputs["logits"], outputs["labels"])
        self._errors.update(batch.errors)
        for video, logits in zip(batch.videos if self._journal else (), outputs["logits"], strict=False):
            if video.scored is None and not video.error:
                self._keep(video.index, logits)

    def _keep(self, video: int, logits: torch.Tensor) -> None:
        """Add a video to the journal; the test goes on without one if that fails."""
        try:
            if self._journal and self._keeping and (was := self._stamp(video)):
                self._journal.append(video, was, logits)
        except OSError as error:
            warnings.warn(f"scores are no longer kept, should this test be interrupted: {error}", stacklevel=2)
            self._keeping = False

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Say below the error that nothing is lost."""
        if self._journal and self._journal.folder.is_dir():
            exception.add_note(
                f"The scores of finished videos are kept in {self._journal.folder}: run the same test again."
            )

    def on_test_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather, reduce, log, print and write."""
        index, logits, labels = self._scores.compute()
        errors = gather_dict(self._errors)
        data = trainer.datamodule  # type: ignore[attr-defined]
        single_label = bool(getattr(pl_module, "single_label", False))
        names = [video.name for video in data.videos["test"]]
        if _whole(trainer) and len(index) != len(names):
            raise RuntimeError(f"{len(names) - len(index)} of {len(names)} test videos were never scored")
        self.table = rate_table(
            logits,
            labels,
            self._rates,
            reduction=self.reduction,
            rate_weights=self.rate_weights,
            single_label=single_label,
            absent=self.absent,
            unlabelled=self.unlabelled,
        )
        # every process has gathered all scores: there is nothing left to add up
        warnings.filterwarnings("ignore", message=r"It is recommended to use `self\.log\('test/")
        for row in self.table:
            rates = "_".join(f"{rate:g}" for rate in row.rates)
            name = f"rate_{rates}" if len(row.rates) == 1 else f"rates_{rates}"
            for metric, value in metrics_of(row).items():
                pl_module.log(f"test/{metric}_{name}", value)
        for metric, value in metrics_of(self.table[-1]).items():
            pl_module.log(f"test/{metric}_ensemble", value)
        listing = "\n".join(f"  {names[number]}: {reason}" for number, reason in sorted(errors.items()))
        if errors:
            rank_zero_warn(
                f"{len(errors)} of {len(names)} test videos cannot be read and count as scored lowest:\n{listing}"
            )
        folder = Path(self.output or trainer.log_dir or trainer.default_root_dir)  # a broadcast: every process asks
        if trainer.is_global_zero and not getattr(trainer, "fast_dev_run", False):
            file = ScoreFile(
                index=index,
                videos=[names[number] for number in index.tolist()],
                logits=logits,
                labels=labels,
                view_rates=self._rates,
                label_names=list(data.label_names),
                single_label=single_label,
            )
            self._write(trainer, folder, file)
        trainer.strategy.barrier("test written")  # of every process, also of one that could not keep its scores
        if self._journal:
            self._journal.remove()
            self._journal = None

    def _write(self, trainer: pl.Trainer, folder: Path, file: ScoreFile) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        scores, ensemble, classes = free_paths(folder, "scores.npz", "ensemble.csv", "per_class.csv")
        try:
            save_scores(scores, file)
        except OSError as error:
            raise OSError(error.errno, f"the scores cannot be written: {error.strerror}", str(scores)) from error
        rows = [{"rates": rates_of(row), "views": row.num_views, **metrics_of(row)} for row in self.table]
        write_rows(ensemble, rows)
        show(self.table, f"{len(file.videos)} test videos, {self.reduction} over views · {scores}")
        per_class = self._per_class(file)
        columns = list(per_class[0])
        write_rows(classes, per_class)
        for logger in trainer.loggers:
            if hasattr(logger, "log_table"):
                logger.log_table("test/per_class", columns=columns, data=[list(row.values()) for row in per_class])
                logger.log_table(
                    "test/ensemble",
                    columns=["rates", "views", *metrics_of(self.table[0])],
                    data=[[rates_of(row), row.num_views, *metrics_of(row).values()] for row in self.table],
                )

    def reduce(self, logits: torch.Tensor, rates: torch.Tensor, single_label: bool) -> torch.Tensor:
        """Scores (n, K) of videos, from logits (n, V, K) of views at rates (V,)."""
        weights = None if self.rate_weights is None else view_weights(rates.tolist(), self.rate_weights)
        return reduce_views(logits, reduction=self.reduction, weights=weights, single_label=single_label)

    def _per_class(self, file: ScoreFile) -> list[dict[str, Any]]:
        """A row a label: positives, and the average precision at each rate and for all."""
        rows: list[dict[str, Any]] = [
            {"label": name, "positives": int(count)}
            for name, count in zip(file.label_names, file.labels.sum(0), strict=True)
        ]
        rates = list(dict.fromkeys(file.view_rates.tolist()))
        chosen = {f"rate_{rate:g}": file.view_rates == rate for rate in rates}
        chosen["all"] = torch.ones_like(file.view_rates, dtype=torch.bool)
        for name, views in chosen.items():
            preds = self.reduce(file.logits[:, views], file.view_rates[views], file.single_label)
            for row, value in zip(rows, average_precision(preds, file.labels).tolist(), strict=True):
                row[name] = value
        return rows


def _whole(trainer: pl.Trainer) -> bool:
    """Whether all test videos are scored."""
    return isinstance(trainer.limit_test_batches, float) and trainer.limit_test_batches == 1.0
