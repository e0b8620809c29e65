"""Activity-specific features with an activity-correlation map.

Zhang, Li, Marsic: Multi-Label Activity Recognition using Activity-specific Features
(https://arxiv.org/abs/2009.07420v1) and its later version with Activity Correlations (https://arxiv.org/abs/2009.07420).
Observations attend to regions of the feature map, each activity mixes them into a feature of its own, and the correlation
map mixes the features of activities that occur together. Not to be confused with attention shared by all labels, which
`AveragePooling` offers for comparison.
"""

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lightning_modules.base import MultiLabelModule
from networks import ActivitySpecificHead, Backbone


class ActivitySpecific(MultiLabelModule):
    """Backbone and activity-specific head; with correlation two outputs, whose losses add and whose scores average.

    Args:
        backbone: clips to a feature map.
        num_labels: K; linked to the data.
        num_observations: observations (the papers' K).
        width: channels of an observation.
        groups: groups of the linear maps from features to observations.
        observations: switch of attn_O; off, every activity is its own observation ("no attn_O").
        features: switch of attn_A; off, the observations are flattened into one linear layer ("no attn_A").
        correlation: switch of the correlation map; needs training data that count label pairs.
        query: position of the feature map that asks for an observation: the `last`, as printed, or the `mean`.
        feature_query: query of attn_A, `learned` for each activity or made from the `last` observation.
        shared_classifier: one linear layer for all activities, or one for each.
        dropout: before the classifier.
        norm_act: batch normalisation and ReLU inside the maps, another reading of the papers; slower.
        score: with correlation: `mean` of both outputs' scores, or that of the `features` or `correlation` output alone.
        **kwargs: see `MultiLabelModule`.
    """

    def __init__(
        self,
        backbone: Backbone,
        num_labels: int,
        *,
        num_observations: int = 64,
        width: int = 128,
        groups: int = 32,
        observations: bool = True,
        features: bool = True,
        correlation: bool = True,
        query: Literal["last", "mean"] = "last",
        feature_query: Literal["learned", "last"] = "learned",
        shared_classifier: bool = True,
        dropout: float = 0.5,
        norm_act: bool = False,
        score: Literal["mean", "features", "correlation"] = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, num_labels, **kwargs)
        if score not in ("mean", "features", "correlation"):
            raise ValueError(f"score must be mean, features or correlation, got {score!r}")
        if score == "correlation" and not correlation:
            raise ValueError("score: correlation needs correlation: true")
        self.score = score
        self.head = ActivitySpecificHead(
            backbone.num_features,
            num_labels,
            num_observations=num_observations,
            width=width,
            groups=groups,
            observations=observations,
            features=features,
            correlation=correlation,
            query=query,
            feature_query=feature_query,
            shared_classifier=shared_classifier,
            dropout=dropout,
            norm_act=norm_act,
        )
        self.correlation = correlation

    def setup(self, stage: str) -> None:
        """Count which labels occur together in the training videos; a checkpoint that is resumed overrides it."""
        super().setup(stage)
        if stage != "fit" or not self.correlation:
            return
        count = getattr(self.trainer.datamodule, "cooccurrence", None)  # type: ignore[attr-defined]
        if count is None:
            raise ValueError(
                "correlation: true needs a datamodule with cooccurrence() -> int64 (K, K); add the method, call "
                "module.head.set_cooccurrence(counts) in a subclass, or set correlation: false"
            )
        self.head.set_cooccurrence(count())

    def training_logits(self, clips: Tensor) -> Sequence[Tensor]:
        """One set of logits (N, K), or with correlation two (equations 11 and 12)."""
        logits: tuple[Tensor, ...] = self.head(self.backbone(clips))
        return logits

    def forward(self, clips: Tensor) -> Tensor:
        """Clips (N, C, T, H, W) to logits (N, K) whose sigmoid (softmax) is the mean score of the outputs."""
        outputs = self.training_logits(clips)
        if len(outputs) == 1 or self.score == "features":
            return outputs[0]
        if self.score == "correlation":
            return outputs[1]
        return mean_score_logits(torch.stack(list(outputs)).float(), single_label=self.single_label)


def mean_score_logits(logits: Tensor, *, single_label: bool = False) -> Tensor:
    """Logits of the mean of several scores, without leaving log space.

    Args:
        logits: float (outputs, N, K).
        single_label: scores are softmax over K instead of sigmoid.

    Returns:
        (N, K); sigmoid (softmax) of it is the mean over outputs of the sigmoid (softmax) of `logits`.
    """
    if single_label:
        return F.log_softmax(logits, dim=-1).logsumexp(0)
    return F.logsigmoid(logits).logsumexp(0) - F.logsigmoid(-logits).logsumexp(0)
