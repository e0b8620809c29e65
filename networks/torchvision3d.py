"""The video networks of torchvision, up to their feature maps."""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips
from networks.weights import load_by_name

_Name = Literal[
    "r3d_18",
    "r2plus1d_18",
    "mc3_18",
    "s3d",
    "mvit_v1_b",
    "mvit_v2_s",
    "swin3d_t",
    "swin3d_s",
    "swin3d_b",
]


class Torchvision3D(Backbone):
    """A video network of torchvision without its pooling and classifier.

    The multiscale transformers (`mvit_*`) have position embeddings of one size and take 16 frames of 224×224 pixels
    only; their class token is dropped from the output. The others take any size that their strides leave something
    of.

    Args:
        name: Name of the network in `torchvision.models.video`.
        pretrained: Let torchvision download its default (Kinetics-400) weights.
        weights: Path of a state dict for the network (read with `weights_only=True`); its classifier is left out.

    Raises:
        ValueError: If the name is unknown, both `pretrained` and `weights` are given, or the file does not fit; the
            message lists the first keys that differ.
        FileNotFoundError: If `weights` names no file.
    """

    def __init__(self, name: _Name, *, pretrained: bool = False, weights: str | None = None) -> None:
        super().__init__()
        check_choice("name", name, get_args(_Name))
        if pretrained and weights is not None:
            raise ValueError(
                f"weights must be left out when pretrained is true, got {weights!r}; choose one of the two"
            )
        from torchvision.models import video  # slow to import, and needed by this class only

        self.name = name
        build: Callable[..., nn.Module] = getattr(video, name)
        self.model = build(weights="DEFAULT" if pretrained else None)
        # the Kinetics classifier goes, and nothing stays behind that would never see a gradient
        classifier = next(c for c in ("fc", "classifier", "head") if hasattr(self.model, c))
        self.num_features = _classifier_inputs(getattr(self.model, classifier))
        setattr(self.model, classifier, nn.Identity())
        if weights is not None:
            load_by_name(self.model, weights, (classifier,))

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`.

        Returns:
            Float `(B, D, T', H', W')`.

        Raises:
            ValueError: If the clips have another shape, or a size that the network does not take.
        """
        check_clips(clips)
        if self.name.startswith("mvit"):
            return self._multiscale_transformer(clips)
        stages = ["stem", "layer1", "layer2", "layer3", "layer4"]
        if self.name.startswith("swin"):
            stages = ["patch_embed", "pos_drop", "features", "norm"]
        elif self.name == "s3d":
            stages = ["features"]
        features = clips
        for stage in stages:
            features = getattr(self.model, stage)(features)
        return features.permute(0, 4, 1, 2, 3) if self.name.startswith("swin") else features

    def _multiscale_transformer(self, clips: Tensor) -> Tensor:
        if clips.shape[2:] != (16, 224, 224):
            raise ValueError(
                f"clips must be 16 frames of 224x224 pixels for {self.name}, whose position embeddings have that size, "
                f"got {clips.shape[2]} of {clips.shape[3]}x{clips.shape[4]}; set num_frames and crop accordingly"
            )
        patches: Tensor = self.model.conv_proj(clips)  # type: ignore[operator]
        grid = tuple(patches.shape[2:])
        tokens: Tensor = self.model.pos_encoding(patches.flatten(2).transpose(1, 2))  # type: ignore[operator]
        for block in self.model.blocks:  # type: ignore[union-attr]
            tokens, grid = block(tokens, grid)
        tokens = self.model.norm(tokens)  # type: ignore[operator]
        return torch.unflatten(tokens[:, 1:].transpose(1, 2), 2, grid)


def _classifier_inputs(classifier: nn.Module) -> int:
    """Channels that the last layer, be it linear or a 1×1×1 convolution, reads."""
    for module in classifier.modules():
        if isinstance(module, nn.Linear):
            return module.in_features
        if isinstance(module, nn.Conv3d):
            return module.in_channels
    raise AssertionError("torchvision's video networks end in a linear layer or a convolution")
