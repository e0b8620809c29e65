"""Activity-specific features from observations, their correlation, and their classifier."""

from typing import Literal

import torch
from torch import Tensor, nn

from networks.checks import check_choice, check_positive
from networks.grouped import GroupedLinear, attention_softmax

# Standard deviation of the scores of attn_A at the start, for observations of unit variance; the pooled features of
# ImageNet networks have half of that. Activities that share a classifier are told apart by attn_A alone: with 1, K
# observations average out and training stalls; much more saturates the softmax on larger features.
_SPREAD = 3.0


class ActivityAttention(nn.Module):
    """attn_A: which observations describe an activity (eq. 1 of arXiv:2009.07420).

    The papers make attn_A as they make attn_O, with the observations in place of the feature map, and print 1.6 M
    parameters for 157 activities and 1.7 M for 1024: 60 to 170 for each activity. That leaves room for one vector of
    width D for each activity and for key maps that all activities share, which is what this is.

    Args:
        num_labels: Number of activities A.
        width: Channels D of an observation.
        groups: Number of channel groups of the shared maps; divides D.
        query: `learned` takes the vector w_i of the activity as its query. `last` takes w_i ⊙ β(obs)[last], which
            depends on the clip and is nearest to the letter of eq. 6; it adds the shared map β.
        norm_act: Follow the shared maps by BatchNorm and ReLU.

    Raises:
        ValueError: If a number is below 1, `groups` does not divide D, or `query` is unknown.
    """

    def __init__(
        self,
        num_labels: int,
        width: int,
        groups: int,
        *,
        query: Literal["learned", "last"] = "learned",
        norm_act: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_labels=num_labels, width=width)
        check_choice("feature_query", query, ("learned", "last"))
        self.weight = nn.Parameter(torch.empty(num_labels, width))
        self.key = GroupedLinear(width, width, groups, norm_act=norm_act)
        self.query = GroupedLinear(width, width, groups, norm_act=norm_act) if query == "last" else None
        nn.init.normal_(self.weight, std=_SPREAD * width**-0.5)

    def forward(self, observations: Tensor) -> Tensor:
        """Weigh the observations.

        Args:
            observations: Float `(B, K, D)`.

        Returns:
            attn_A, float32 `(B, A, K)`, which adds to 1 over the observations.
        """
        queries = self.weight
        if self.query is not None:
            # in training BatchNorm needs the statistics of all observations, not of the last alone
            queries = self.query(observations)[:, -1:] * self.weight
        return attention_softmax(queries @ self.key(observations).transpose(1, 2))


class ActivityCorrelation(nn.Module):
    """Corr: how much the features of one activity tell about another (eq. 8-10 of arXiv:2009.07420).

    Corr is the sum of an attention between the activity-specific features, whose queries and keys are grouped maps
    of them, and of the fixed frequencies `mask`.

    Args:
        num_labels: Number of activities A.
        width: Channels D of an activity-specific feature.
        groups: Number of channel groups of the maps; divides D.
        norm_act: Follow the maps by BatchNorm and ReLU.

    Attributes:
        mask: Buffer, float32 `(A, A)`: share of the training samples with activity j that also have activity k. Zero
            until `set_cooccurrence` is called or a checkpoint is loaded; Corr is then the attention alone.

    Raises:
        ValueError: If a number is below 1 or `groups` does not divide D.
    """

    mask: Tensor

    def __init__(self, num_labels: int, width: int, groups: int, *, norm_act: bool = False) -> None:
        super().__init__()
        check_positive(num_labels=num_labels, width=width)
        gain = 0.5**0.5 * width**-0.25  # scores of standard deviation 0.5, as for attn_O
        self.query = GroupedLinear(width, width, groups, gain=gain, norm_act=norm_act)
        self.key = GroupedLinear(width, width, groups, gain=gain, norm_act=norm_act)
        self.register_buffer("mask", torch.zeros(num_labels, num_labels))

    def set_cooccurrence(self, counts: Tensor) -> None:
        """Fill the mask: Mask[j, k] = N_jk / N_j (eq. 10), and a zero row for an activity that never occurs.

        Args:
            counts: Integer `(A, A)`: training samples that have both activity j and activity k; the diagonal N_j
                counts those with activity j.

        Raises:
            ValueError: If the shape differs, the counts are not integers, or they cannot be counts of pairs: negative,
                not symmetric, or above the diagonal of their row.
        """
        labels = self.mask.shape[0]
        if counts.shape != self.mask.shape or counts.is_floating_point():
            raise ValueError(
                f"counts must be integers of shape ({labels}, {labels}), got {counts.dtype} {tuple(counts.shape)}; "
                "pass labels.T @ labels of the int64 training labels (samples, K)"
            )
        alone = counts.diagonal().unsqueeze(1)
        if bool((counts < 0).any() | (counts != counts.T).any() | (counts > alone).any()):
            raise ValueError(
                "counts must count pairs (symmetric, between 0 and the diagonal of the row), got other numbers; "
                "pass labels.T @ labels of the int64 training labels (samples, K)"
            )
        self.mask.copy_(counts.double() / alone.clamp(min=1))

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Mix the features of all activities into each.

        Args:
            features: Activity-specific features F_A, float `(B, A, D)`.

        Returns:
            F_AC, float `(B, A, D)`, and attn_C, float32 `(B, A, A)`, which adds to 1 over the last dimension.
        """
        attention = attention_softmax(self.query(features) @ self.key(features).transpose(1, 2))
        correlation = attention + self.mask
        return correlation.to(features.dtype) @ features, attention


class ActivityClassifier(nn.Module):
    """One logit for each activity from its own feature (eq. 8, or 11 and 12, of arXiv:2009.07420).

    Args:
        num_labels: Number of activities A.
        width: Channels D of an activity-specific feature.
        shared: One linear layer D -> 1 for all activities, the papers' choice, or one for each of them.
        dropout: Share of the channels set to zero before the layer while training.
    """

    def __init__(self, num_labels: int, width: int, *, shared: bool = True, dropout: float = 0.5) -> None:
        super().__init__()
        layers = 1 if shared else num_labels
        self.dropout = nn.Dropout(dropout)
        self.weight = nn.Parameter(torch.empty(layers, width).uniform_(-(width**-0.5), width**-0.5))
        self.bias = nn.Parameter(torch.zeros(layers))

    def forward(self, features: Tensor) -> Tensor:
        """Classify each activity.

        Args:
            features: Float `(B, A, D)`.

        Returns:
            Logits, float `(B, A)`.
        """
        weighted: Tensor = self.dropout(features) * self.weight
        return weighted.sum(-1) + self.bias
