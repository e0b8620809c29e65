"""Argument checks that the backbones and heads share."""

from collections.abc import Sequence

from torch import Tensor


def check_positive(**values: int) -> None:
    """Refuse a count that is not a positive integer.

    Args:
        **values: Argument names and what they were given.

    Raises:
        ValueError: If a value is below 1.
    """
    for name, value in values.items():
        if value < 1:
            raise ValueError(f"{name} must be a positive integer, got {value}; give 1 or more")


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a word that is not one of the known ones.

    Args:
        name: Argument name, for the message.
        value: What the argument was given.
        choices: The words that are known.

    Raises:
        ValueError: If `value` is not in `choices`.
    """
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}, got {value!r}; choose one of these names")


def check_dropout(value: float) -> None:
    """Refuse a dropout rate outside [0, 1).

    Args:
        value: Share of features that is set to zero while training.

    Raises:
        ValueError: If `value` is outside [0, 1).
    """
    if not 0.0 <= value < 1.0:
        raise ValueError(f"dropout must lie in [0, 1), got {value}; give a share such as 0.5, or 0 for none")


def check_groups(groups: int, **sizes: int) -> None:
    """Refuse a number of groups that does not divide every size.

    Args:
        groups: Number of channel groups n.
        **sizes: Names of the sizes and the sizes that have to be split into n equal parts.

    Raises:
        ValueError: If `groups` is below 1 or leaves a remainder in one of the sizes.
    """
    check_positive(groups=groups)
    for name, size in sizes.items():
        if size % groups:
            raise ValueError(f"groups must divide {name} {size}, got {groups}; give a common divisor of {sizes}")


def check_clips(clips: Tensor, channels: int = 3) -> None:
    """Refuse anything that is not a batch of clips with the expected number of channels.

    Args:
        clips: Expected float `(B, channels, T, H, W)`.
        channels: Expected number of colour channels.

    Raises:
        ValueError: If the number of dimensions or of channels differs, or the pixels are not floating point.
    """
    if clips.ndim != 5 or clips.shape[1] != channels:
        raise ValueError(
            f"clips must have shape (B, {channels}, T, H, W), got {tuple(clips.shape)}; "
            "fold the views into the batch and put the channels second"
        )
    if not clips.is_floating_point():
        raise ValueError(f"clips must be floating point, got {clips.dtype}; normalise the uint8 frames first")


def check_features(features: Tensor, num_features: int) -> None:
    """Refuse a feature map that does not fit the head.

    Args:
        features: Expected float `(B, num_features, T', H', W')`.
        num_features: Channels that the head was built for.

    Raises:
        ValueError: If the number of dimensions or of channels differs.
    """
    if features.ndim != 5 or features.shape[1] != num_features:
        raise ValueError(
            f"features must have shape (B, {num_features}, T', H', W'), got {tuple(features.shape)}; "
            "build the head with the backbone's num_features and keep the positions unpooled"
        )
