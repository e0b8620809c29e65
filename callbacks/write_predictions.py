"""Scores of `predict` as JSON and CSV: for whole videos, and as curves over time."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import Tensor

from callbacks.files import free_paths, gather_dict, write_rows, write_whole
from callbacks.multi_rate_ensemble import MultiRateEnsemble
from metrics import Reduction, view_weights

_COLUMNS = ("video", "time")  # of curves.csv, before a column for each label


class WritePredictions(pl.Callback):
    """Write predictions.json, predictions.csv and curves.csv; each video once, on any number of processes.

    A video's score is the ensemble over the data's `test_views`; a point of its curve is the ensemble over rates of one
    central clip around that instant.

    Args:
        output: folder of the files; the log folder of the run by default. Files of earlier runs are never overwritten.
        reduction: as in `MultiRateEnsemble`, with equal weights; by default that callback's reduction and `rate_weights` if
            it is among those of the run, else `mean`.

    Raises:
        ValueError: before anything is read, if a label has the name of a column; if a rate has no weight.
    """

    output_stage = "predict"

    def __init__(self, output: Path | None = None, reduction: Reduction | None = None) -> None:
        self.output, self.reduction = output, reduction

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Refuse labels that would take the place of another column."""
        names = getattr(getattr(trainer, "datamodule", None), "label_names", ())
        for column in _COLUMNS:
            if stage == "predict" and column in names:
                raise ValueError(
                    f"label {column!r} cannot be written: curves.csv has a column of this name; rename the label, or leave "
                    "WritePredictions out"
                )

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start empty; refuse weights that do not fit the rates before anything is scored."""
        self._records: dict[int, dict[str, Any]] = {}
        found = [callback for callback in trainer.callbacks if isinstance(callback, MultiRateEnsemble)]  # type: ignore[attr-defined]
        self._rule = MultiRateEnsemble(self.reduction) if self.reduction else [MultiRateEnsemble(), *found][-1]
        if self._rule.rate_weights is not None:
            view_weights(trainer.datamodule.test_views, self._rule.rate_weights)  # type: ignore[attr-defined]

    def on_predict_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Reduce the views of each video."""
        single_label = bool(getattr(pl_module, "single_label", False))
        for video, logits in zip(batch.videos, outputs["logits"].cpu(), strict=True):
            if video.error:
                self._records[video.index] = {"error": video.error}
                continue
            rates, scored = torch.from_numpy(video.plan.rates), video.plan.num_scored

            def reduce(views: Tensor, logits: Tensor = logits, rates: Tensor = rates) -> list[float]:
                preds = self._rule.reduce(logits[None, views], rates[views], single_label)
                return [round(value, 6) for value in preds[0].tolist()]

            view = torch.arange(len(rates))
            record: dict[str, Any] = {"scores": reduce(view < scored), "rates": {}, "curve": []}
            for rate in dict.fromkeys(rates.tolist()):
                record["rates"][f"{rate:g}"] = reduce((view < scored) & (rates == rate))
            points = video.plan.points.tolist()
            for point, time in enumerate(points):
                record["curve"].append((time, reduce((view >= scored) & ((view - scored) % len(points) == point))))
            self._records[video.index] = record

    def on_predict_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Gather and write."""
        records = gather_dict(self._records)
        log_dir = trainer.log_dir  # a broadcast: every process asks
        if not trainer.is_global_zero or not records or getattr(trainer, "fast_dev_run", False):
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        names: list[str] = data.label_names
        folder = Path(self.output or log_dir or trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        path, *tables = free_paths(folder, "predictions.json", "predictions.csv", "curves.csv")
        videos, table, curves = [], [], []
        for number, record in sorted(records.items()):
            name = data.videos["predict"][number].name
            if "error" in record:
                videos.append({"video": name, "error": record["error"]})
                continue
            ranked = sorted(range(len(names)), key=lambda k: -record["scores"][k])
            scores = [
                {
                    "label": names[k],
                    "score": record["scores"][k],
                    **{f"rate_{rate}": values[k] for rate, values in record["rates"].items()},
                }
                for k in ranked
            ]
            curve = [{"time": time, **dict(zip(names, values, strict=True))} for time, values in record["curve"]]
            videos.append({"video": name, "scores": scores, "curve": curve})
            table += [{"video": name, **row} for row in scores]
            curves += [{"video": name, **point} for point in curve]
        write_whole(path, (json.dumps(videos, indent=1, ensure_ascii=False) + "\n").encode())
        for target, rows in zip(tables, (table, curves), strict=True):
            if rows:
                write_rows(target, rows)
        print(f"predictions of {len(videos)} videos: {path}")
