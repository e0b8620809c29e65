import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightning_modules import ActivitySpecific, AveragePooling, MultiLabelModule, WarmupCosine, WarmupSteps
from lightning_modules.activity_specific import mean_score_logits
from networks import SmallResNet3D
from tests.conftest import ROOT, Run


def small() -> SmallResNet3D:
    return SmallResNet3D(widths=[4, 8])


@pytest.mark.parametrize("single_label", [False, True])
def test_mean_score_logits_have_the_mean_score(single_label: bool) -> None:
    logits = torch.randn(2, 5, 7, dtype=torch.float64) * 8
    logits[:, 0, 0] = 300.0  # both scores round to one: their logit must not
    mean = mean_score_logits(logits, single_label=single_label)
    score = (lambda x: x.softmax(-1)) if single_label else torch.sigmoid
    assert torch.allclose(score(mean), score(logits).mean(0), rtol=1e-10, atol=0)
    assert mean.isfinite().all()


def test_loss_of_two_outputs_is_the_sum_of_two_binary_cross_entropies() -> None:
    module = ActivitySpecific(small(), 5, num_observations=6, width=8, groups=4, dropout=0.0)
    module.head.set_cooccurrence(torch.eye(5, dtype=torch.int64))
    module.eval()
    clips, labels = torch.rand(3, 1, 3, 4, 32, 32), torch.randint(0, 2, (3, 5)).float()
    module.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    loss = module.training_step({"clips": clips, "labels": labels}, 0)
    outputs = module.training_logits(clips[:, 0])
    literal = sum(-(labels * F.logsigmoid(x) + (1 - labels) * F.logsigmoid(-x)).mean() for x in outputs)
    assert len(outputs) == 2 and torch.allclose(loss, torch.as_tensor(literal))


@pytest.mark.parametrize("score", ["mean", "features", "correlation"])
def test_score_switch_chooses_the_output(score: str) -> None:
    module = ActivitySpecific(small(), 5, num_observations=6, width=8, groups=4, score=score)  # type: ignore[arg-type]
    module.head.set_cooccurrence(torch.ones(5, 5, dtype=torch.int64) + torch.eye(5, dtype=torch.int64))
    module.eval()
    clips = torch.rand(2, 3, 4, 32, 32)
    features, correlation = (x.sigmoid() for x in module.training_logits(clips))
    expected = {"mean": (features + correlation) / 2, "features": features, "correlation": correlation}[score]
    assert torch.allclose(module(clips).sigmoid(), expected, atol=1e-6)


def test_single_label_trains_with_softmax_cross_entropy() -> None:
    module = AveragePooling(small(), 4, single_label=True)
    logits, labels = torch.randn(6, 4, dtype=torch.bfloat16), F.one_hot(torch.arange(6) % 4, 4)
    literal = -(logits.double().log_softmax(1) * labels).sum(1).mean()
    assert module.loss(logits, labels).dtype == torch.float32
    assert float(module.loss(logits, labels)) == pytest.approx(float(literal), abs=1e-6)
    for stage, metrics in (("val", module.val_metrics), ("test", module.test_metrics)):
        assert set(metrics) == {f"{stage}/top1", f"{stage}/mean_label_accuracy"}


def test_single_label_refuses_videos_of_several(run: Run) -> None:
    with pytest.raises(
        ValueError, match=r"single_label: true expects one label.*some training videos have both '\w+' and"
    ):
        run("fit", "--model.single_label=true")


def test_each_batch_of_an_accumulated_step_draws_its_own_dropout() -> None:
    module, seeds = AveragePooling(small(), 4), []
    for batch in (0, 1, 2, 1):
        module.on_train_batch_start({}, batch)
        seeds.append(torch.initial_seed())
    assert len(set(seeds)) == 3 and seeds[1] == seeds[3]


def test_default_optimiser_is_the_printed_one_and_skips_frozen_parameters() -> None:
    module = AveragePooling(small(), 4)
    module.backbone.requires_grad_(False)
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.SGD)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["momentum"], group["weight_decay"]) == (3.5e-2, 0.9, 1.25e-5)
    assert {id(p) for p in group["params"]} == {id(p) for p in module.head.parameters()}


def test_schedules_follow_their_formulas() -> None:
    def rates(kind: type[WarmupCosine] | type[WarmupSteps], **arguments: object) -> list[float]:
        optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=2.0)
        schedule = kind(optimizer, 20, **arguments)  # type: ignore[arg-type]
        values = []
        for _ in range(20):
            values.append(float(schedule.get_last_lr()[0]))
            optimizer.step()
            schedule.step()
        return values

    cosine = rates(WarmupCosine, warmup=0.2, floor=0.1)
    assert cosine[:4] == pytest.approx([2 * (s + 1) / 5 for s in range(4)])
    assert cosine[4:] == pytest.approx(
        [2 * (0.1 + 0.9 * 0.5 * (1 + math.cos(math.pi * (s - 4) / 16))) for s in range(4, 20)]
    )
    assert rates(WarmupSteps, milestones=[0.5, 0.75]) == pytest.approx([2.0] * 10 + [0.2] * 5 + [0.02] * 5)
    with pytest.raises(ValueError, match="warmup is a share of the steps"):
        rates(WarmupCosine, warmup=3)
    with pytest.raises(ValueError, match="milestones are shares of the steps"):
        rates(WarmupSteps, milestones=[12])


def test_bad_argument_is_named() -> None:
    with pytest.raises(ValueError, match="num_labels must be at least 1, got 0"):
        AveragePooling(small(), 0)
    with pytest.raises(ValueError, match="score: correlation needs correlation: true"):
        ActivitySpecific(small(), 5, num_observations=6, width=8, groups=4, correlation=False, score="correlation")


def test_a_subclass_needs_only_a_constructor_and_forward(tmp_path: Path) -> None:
    class Mine(MultiLabelModule):
        def __init__(self, num_labels: int) -> None:
            super().__init__(small(), num_labels)
            self.head = nn.Linear(8, num_labels)

        def forward(self, clips: Tensor) -> Tensor:
            scores: Tensor = self.head(self.backbone(clips).mean((2, 3, 4)))
            return scores

    module = Mine(3)
    module.log = lambda *args, **kwargs: None  # type: ignore[method-assign]
    loss = module.training_step({"clips": torch.rand(2, 1, 3, 4, 32, 32), "labels": torch.ones(2, 3)}, 0)
    loss.backward()  # type: ignore[no-untyped-call]
    assert module.head.weight.grad is not None and module.hparams == {
        "num_labels": 3,
        "scheduler": None,
        "single_label": False,
    }


@pytest.mark.parametrize("path", sorted((ROOT / "configs" / "models").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_model_config_fits_and_tests(run: Run, path: Path) -> None:
    for command in ("fit", "test"):
        run(command, "--trainer.fast_dev_run=true", f"--model={path}")
