"""How scores of `predict` are reduced and named; what it writes is in tests/test_cli.py."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from callbacks import MultiRateEnsemble, WritePredictions
from metrics import Reduction, reduce_views

RULE = MultiRateEnsemble("mean_logits", rate_weights={2: 3.0, 4: 1.0})


@pytest.mark.parametrize(
    ("given", "others", "reduction", "weights"),
    [
        (None, [RULE], "mean_logits", [3.0, 3.0, 1.0]),
        (None, [], "mean", None),
        ("max", [RULE], "max", None),
    ],
)
def test_videos_are_scored_as_the_ensemble_of_the_run_scores_them(
    given: Reduction | None, others: list[Any], reduction: Reduction, weights: list[float] | None
) -> None:
    plan = SimpleNamespace(rates=np.array([2.0, 2.0, 4.0, 2.0, 4.0]), num_scored=3, points=np.array([0.5]))
    batch = SimpleNamespace(videos=[SimpleNamespace(index=7, error="", plan=plan)])
    logits = torch.randn(1, 5, 4)
    callback, module = WritePredictions(reduction=given), SimpleNamespace(single_label=False)
    trainer: Any = SimpleNamespace(callbacks=[*others, callback], datamodule=SimpleNamespace(test_views=[2.0, 4.0]))
    callback.on_predict_start(trainer, module)  # type: ignore[arg-type]
    callback.on_predict_batch_end(trainer, module, {"logits": logits}, batch, 0)  # type: ignore[arg-type]
    of_views = None if weights is None else torch.tensor(weights)
    expected = reduce_views(logits[:, :3], reduction=reduction, weights=of_views)
    assert callback._records[7]["scores"] == pytest.approx(expected[0].tolist(), abs=1e-6)
    of_rates = None if weights is None else torch.tensor([3.0, 1.0])
    ((time, point),) = callback._records[7]["curve"]
    expected = reduce_views(logits[:, 3:], reduction=reduction, weights=of_rates)
    assert time == 0.5 and point == pytest.approx(expected[0].tolist(), abs=1e-6)


def test_rate_without_a_weight_is_refused_at_the_start() -> None:
    trainer: Any = SimpleNamespace(callbacks=[RULE], datamodule=SimpleNamespace(test_views=[2.0, 8.0]))
    with pytest.raises(ValueError, match="rate_weights has no weight for rate 8"):
        WritePredictions().on_predict_start(trainer, SimpleNamespace())  # type: ignore[arg-type]


@pytest.mark.parametrize("label", ["time", "video"])
def test_label_with_the_name_of_a_column_is_refused(label: str) -> None:
    trainer: Any = SimpleNamespace(datamodule=SimpleNamespace(label_names=["run", label]))
    module: Any = SimpleNamespace()
    callback = WritePredictions(Path("out"))
    callback.setup(trainer, module, "fit")
    with pytest.raises(ValueError, match=f"label '{label}' cannot be written: .*; rename the label, or leave"):
        callback.setup(trainer, module, "predict")
