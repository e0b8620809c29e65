"""Learning-rate schedules over the steps of a whole fit."""

import math
from collections.abc import Sequence

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def _warm_up(step: int, warm_up: int) -> float:
    return min(1.0, (step + 1) / (warm_up + 1))


class WarmupCosine(LambdaLR):
    """Linear warm-up, then half a cosine down to `floor`.

    Args:
        optimizer: given by the module.
        total_steps: given by the module.
        warmup: share of the steps that warm up.
        floor: last factor of the learning rate.
    """

    def __init__(self, optimizer: Optimizer, total_steps: int, warmup: float = 0.05, floor: float = 0.0) -> None:
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup is a share of the steps, 0 to below 1, got {warmup}")
        steps = round(warmup * total_steps)

        def factor(step: int) -> float:
            if step < steps:
                return _warm_up(step, steps)
            done = min(1.0, (step - steps) / max(1, total_steps - steps))
            return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))

        super().__init__(optimizer, factor)


class WarmupSteps(LambdaLR):
    """Linear warm-up, then the learning rate is multiplied by `gamma` at each milestone.

    Args:
        optimizer: given by the module.
        total_steps: given by the module.
        milestones: shares of the steps at which the rate falls.
        gamma: factor at each milestone.
        warmup: share of the steps that warm up.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        total_steps: int,
        milestones: Sequence[float] = (0.6, 0.8),
        gamma: float = 0.1,
        warmup: float = 0.0,
    ) -> None:
        if not all(0 < milestone <= 1 for milestone in milestones):
            raise ValueError(f"milestones are shares of the steps, above 0 to 1, got {list(milestones)}")
        if not 0 <= warmup < 1:
            raise ValueError(f"warmup is a share of the steps, 0 to below 1, got {warmup}")
        steps = round(warmup * total_steps)
        drops = [round(milestone * total_steps) for milestone in milestones]

        def factor(step: int) -> float:
            return _warm_up(step, steps) * gamma ** sum(step >= drop for drop in drops)

        super().__init__(optimizer, factor)
