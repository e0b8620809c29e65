"""Video transformers of the optional package `transformers`, their tokens put back into a feature map."""

import importlib
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from networks.backbone import Backbone
from networks.checks import check_clips

# kind -> class without a head, name of its clips, name of its image size
_KINDS = {
    "videomae": ("VideoMAEModel", "pixel_values", "image_size"),
    "vjepa2": ("VJEPA2Model", "pixel_values_videos", "crop_size"),
    "timesformer": ("TimesformerModel", "pixel_values", "image_size"),
}


class VideoTransformer(Backbone):
    """VideoMAE, V-JEPA 2 or TimeSformer without the head; of V-JEPA 2 without the predictor.

    Tong et al., "VideoMAE", NeurIPS 2022 (https://arxiv.org/abs/2203.12602); Assran et al., "V-JEPA 2", 2025
    (https://arxiv.org/abs/2506.09985); Bertasius et al., "Is Space-Time Attention All You Need for Video
    Understanding?", ICML 2021 (https://arxiv.org/abs/2102.05095). The class token of TimeSformer is dropped.

    Args:
        model_name: Name on the Hugging Face hub, or a folder with `config.json` as `save_pretrained` writes it.
        pretrained: Read the weights from there as well; otherwise only the configuration.

    Raises:
        ImportError: If the package `transformers` is not installed.
        ValueError: If the model is of another kind, or its weights are not complete.
        OSError: If there is no such model.
    """

    def __init__(self, model_name: str, *, pretrained: bool = False) -> None:
        super().__init__()
        package = _transformers()
        local = Path(model_name).is_dir()
        config = package.AutoConfig.from_pretrained(model_name, local_files_only=local)
        self.kind: str = config.model_type
        if self.kind not in _KINDS or getattr(config, "attention_type", "") == "space_only":
            got = f"{self.kind} with attention over space only" if self.kind in _KINDS else self.kind
            raise ValueError(
                f"model_name must name a video transformer of the kinds {', '.join(_KINDS)}, got {model_name!r} of the "
                f"kind {got}; take another model"
            )
        name, self._clips, size = _KINDS[self.kind]
        if pretrained:
            model, report = getattr(package, name).from_pretrained(
                model_name, config=config, local_files_only=local, output_loading_info=True
            )
            if missing := sorted(report["missing_keys"]):
                raise ValueError(
                    f"model_name must name a model with all its weights, got {model_name!r} without {len(missing)}, "
                    f"first: {', '.join(missing[:5])}; take another model, or set pretrained to false"
                )
        else:
            model = getattr(package, name)(config)
        self.model: nn.Module = model.encoder if self.kind == "vjepa2" else model
        self.num_features = int(config.hidden_size)
        self.image_size, self.patch_size = _pair(getattr(config, size)), _pair(config.patch_size)
        self.tubelet = int(getattr(config, "tubelet_size", 1))
        self.num_frames: int | None = None if self.kind == "vjepa2" else config.num_frames

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, 3, T, H, W)`; H, W and T as in the configuration; V-JEPA 2
                takes every T that the frames of a token, 2 in most models, divide.

        Returns:
            Float `(B, D, T', H', W')`: T over the frames and H and W over the pixels of a token.

        Raises:
            ValueError: If the clips have another shape or are not floating point.
        """
        check_clips(clips)
        batch, _, num_frames, *size = clips.shape
        self._check_size(num_frames, (size[0], size[1]))
        tokens: Tensor = self.model(**{self._clips: clips.transpose(1, 2)}).last_hidden_state
        time = num_frames // self.tubelet
        rows, columns = (pixels // patch for pixels, patch in zip(self.image_size, self.patch_size, strict=True))
        if self.kind == "timesformer":  # a class token, then the steps of one place after another
            return tokens[:, 1:].reshape(batch, rows, columns, time, -1).permute(0, 4, 3, 1, 2)
        return tokens.reshape(batch, time, rows, columns, -1).permute(0, 4, 1, 2, 3)

    def _check_size(self, num_frames: int, size: tuple[int, int]) -> None:
        if size != self.image_size:
            raise ValueError(
                f"clips must be {self.image_size[0]}x{self.image_size[1]} pixels for this model, got "
                f"{size[0]}x{size[1]}; crop to that size"
            )
        if self.num_frames not in (None, num_frames):
            raise ValueError(
                f"clips must have {self.num_frames} frames for this model, got {num_frames}; set num_frames to that"
            )
        if num_frames < 1 or num_frames % self.tubelet:
            raise ValueError(
                f"clips must have a number of frames that {self.tubelet}, the frames of a token, divides, got "
                f"{num_frames}; set num_frames to a multiple of it"
            )


def _transformers() -> Any:
    try:
        return importlib.import_module("transformers")  # slow to import, and not installed by default
    except ModuleNotFoundError as error:
        if error.name != "transformers":
            raise
        raise ImportError(
            "VideoTransformer needs the package transformers, which is not installed; run `pip install transformers`"
        ) from error


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
