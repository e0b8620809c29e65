"""The head that describes every activity by a feature of its own."""

from typing import Literal

from torch import Tensor, nn

from networks.activity_features import ActivityAttention, ActivityClassifier, ActivityCorrelation
from networks.checks import check_dropout, check_features, check_positive
from networks.observations import Observations


class ActivitySpecificHead(nn.Module):
    """Multi-label activity recognition using activity-specific features and activity correlations.

    Zhang, Li and Marsic, arXiv:2009.07420 (https://arxiv.org/abs/2009.07420; the first version has no correlation).
    K attentions over space and time read observations from the feature map (eq. 2-7), an attention for each activity
    combines them into its feature (eq. 1), and a classifier reads one logit from each feature (eq. 8). The
    correlation mixes the features of activities that occur together and gives a second output (eq. 8-13 of the later
    version).

    The maps have no biases unless `bias` is set: eq. 4 prints none, and only so do the printed tables of parameters
    come out.

    Args:
        num_features: Channels C of the feature map.
        num_labels: Number of activities A.
        num_observations: Number of observations K.
        width: Channels D of an observation. The papers do not print it; 128 is the value that fits their tables.
        groups: Channel groups n of every linear map; divides C and D. 16 in the first version, 32 in the later one.
        observations: False is the ablation "no attn_O": each activity has an observation of its own (K = A), which is
            its feature, and `num_observations` is not used.
        features: False is the ablation "no attn_A": all observations, flattened, go to one linear layer.
        correlation: Whether to learn correlations, which gives the second output.
        query: Where the query of an observation comes from: `last` position, as published, or `mean` of all (ours).
        feature_query: Query of an activity over the observations: `learned`, or `last`, which depends on the clip.
        shared_classifier: One linear layer for all activities, or one for each.
        dropout: Share of the channels set to zero before a linear layer while training.
        bias: Whether the maps of the observations have biases.
        norm_act: Whether BatchNorm and ReLU follow each map. Slower: the maps must then be formed at every position.

    Raises:
        ValueError: If a number is below 1, `groups` does not divide C and D, a name is unknown, `dropout` is outside
            [0, 1), `bias` comes with `norm_act`, or switches are combined that contradict each other.
    """

    def __init__(
        self,
        num_features: int,
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
        bias: bool = False,
        norm_act: bool = False,
    ) -> None:
        super().__init__()
        check_positive(num_features=num_features, num_labels=num_labels, num_observations=num_observations)
        check_dropout(dropout)
        if not features and (correlation or not observations):
            raise ValueError(
                f"correlation must be false and observations true when features is false, got correlation="
                f"{correlation} and observations={observations}; both need a feature of each activity"
            )
        self.num_features, self.num_labels = num_features, num_labels
        if not observations:
            num_observations = num_labels
        self.observe = Observations(
            num_features, num_observations, width, groups, query=query, bias=bias, norm_act=norm_act
        )
        self.combine: ActivityAttention | None = None
        if features and observations:
            self.combine = ActivityAttention(num_labels, width, groups, query=feature_query, norm_act=norm_act)
        self.classify: nn.Module
        if features:
            self.classify = ActivityClassifier(num_labels, width, shared=shared_classifier, dropout=dropout)
        else:
            self.classify = nn.Sequential(
                nn.Flatten(), nn.Dropout(dropout), nn.Linear(num_observations * width, num_labels)
            )
        self.correlate: ActivityCorrelation | None = None
        self.classify_correlated: ActivityClassifier | None = None
        if correlation:
            self.correlate = ActivityCorrelation(num_labels, width, groups, norm_act=norm_act)
            self.classify_correlated = ActivityClassifier(num_labels, width, shared=shared_classifier, dropout=dropout)

    def set_cooccurrence(self, counts: Tensor) -> None:
        """Fill the buffer `correlate.mask` with N_jk / N_j from the training labels (eq. 10).

        Args:
            counts: Integer `(A, A)`: training samples that have both activity j and activity k.

        Raises:
            ValueError: If the head has no correlation, or the counts cannot be counts of pairs of activities.
        """
        if self.correlate is None:
            raise ValueError("set_cooccurrence needs a head with correlation, got correlation=False; do not call it")
        self.correlate.set_cooccurrence(counts)

    def forward(self, features: Tensor) -> tuple[Tensor, ...]:
        """Predict the activities of each clip.

        Args:
            features: Feature map, float `(B, C, T', H', W')`.

        Returns:
            Logits, each float `(B, A)`: F_OA alone, or F_OA and F_OC if the head has correlation.

        Raises:
            ValueError: If the feature map does not fit.
        """
        check_features(features, self.num_features)
        observations, _ = self.observe(features)
        activities = observations
        if self.combine is not None:
            activities = self.combine(observations).to(observations.dtype) @ observations
        logits: Tensor = self.classify(activities)
        if self.correlate is None or self.classify_correlated is None:
            return (logits,)
        correlated, _ = self.correlate(activities)
        return logits, self.classify_correlated(correlated)

    def attention(self, features: Tensor) -> dict[str, Tensor]:
        """Give the attention maps, for pictures.

        Args:
            features: Feature map, float `(B, C, T', H', W')`.

        Returns:
            The maps that this head has, float32: `attn_O` `(B, K, T', H', W')` over the positions, `attn_A`
            `(B, A, K)` over the observations and `attn_C` `(B, A, A)` over the activities, each adding to 1. The map
            of an activity is attn_A times attn_O; without attn_A it is its attn_O.

        Raises:
            ValueError: If the feature map does not fit.
        """
        check_features(features, self.num_features)
        observations, attn_o = self.observe(features)
        maps = {"attn_O": attn_o}
        activities = observations
        if self.combine is not None:
            maps["attn_A"] = self.combine(observations)
            activities = maps["attn_A"].to(observations.dtype) @ observations
        if self.correlate is not None:
            maps["attn_C"] = self.correlate(activities)[1]
        return maps
