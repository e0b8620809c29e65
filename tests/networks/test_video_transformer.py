import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from networks.video_transformer import VideoTransformer

TINY: dict[str, dict[str, Any]] = {
    "videomae": {"image_size": 24, "num_frames": 4, "decoder_num_hidden_layers": 1, "intermediate_size": 32},
    "vjepa2": {"crop_size": 24, "frames_per_clip": 4, "pred_num_hidden_layers": 1, "pred_hidden_size": 24},
    "timesformer": {"image_size": 24, "num_frames": 4, "intermediate_size": 32},
}
STEPS = {"videomae": 2, "vjepa2": 2, "timesformer": 4}  # of 4 frames


def folder(path: Path, kind: str, layers: int, **options: Any) -> str:
    """A folder with the configuration of a tiny model: 3×3 patches of 8×8 pixels."""
    pytest.importorskip("transformers", reason="the optional package transformers is not installed")
    config = {"model_type": kind, "hidden_size": 24, "num_attention_heads": 2, "patch_size": 8, **TINY[kind]}
    (path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": layers, **options}))
    return str(path)


@pytest.mark.parametrize("kind", TINY)
def test_each_token_stands_where_its_pixels_are(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    backbone = VideoTransformer(folder(tmp_path, kind, layers=0)).eval()  # without attention tokens stay apart
    blank = torch.zeros(1, 3, 4, 24, 24)
    for frame, row, column in ((0, 0, 2), (3, 1, 0), (2, 2, 1)):
        marked = blank.clone()
        marked[:, :, frame, 8 * row : 8 * row + 8, 8 * column : 8 * column + 8] = 3.0
        changed = (backbone(marked) - backbone(blank)).abs().sum(1)[0] > 1e-6

        assert changed.shape == (STEPS[kind], 3, 3)
        assert changed.nonzero().tolist() == [[frame * STEPS[kind] // 4, row, column]]


@pytest.mark.parametrize("kind", TINY)
def test_map_holds_the_tokens_of_the_whole_model(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    path = folder(tmp_path, kind, layers=2)
    package = importlib.import_module("transformers")
    whole = package.AutoModel.from_config(package.AutoConfig.from_pretrained(path)).eval()
    whole.save_pretrained(path)
    backbone = VideoTransformer(path, pretrained=True).eval()
    clips = torch.randn(2, 3, 4, 24, 24)
    with torch.no_grad():
        tokens: Tensor = whole(clips.transpose(1, 2)).last_hidden_state
        features = backbone(clips)

    assert backbone.num_features == 24
    assert features.shape == (2, 24, STEPS[kind], 3, 3)
    for place in range(9 * STEPS[kind]):
        if kind == "timesformer":
            (row, column), step = divmod(place // 4, 3), place % 4
        else:
            step, (row, column) = place // 9, divmod(place % 9, 3)
        token = tokens[:, place + (kind == "timesformer")]
        torch.testing.assert_close(features[:, :, step, row, column], token, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", TINY)
def test_gradient_reaches_every_parameter(tmp_path: Path, kind: str) -> None:
    torch.manual_seed(0)
    backbone = VideoTransformer(folder(tmp_path, kind, layers=2))
    backbone(torch.randn(1, 3, 4, 24, 24)).square().mean().backward()

    assert [name for name, p in backbone.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("num_frames", [2, 8])
def test_other_numbers_of_frames_are_taken_by_rotary_positions(tmp_path: Path, num_frames: int) -> None:
    backbone = VideoTransformer(folder(tmp_path, "vjepa2", layers=1))

    assert backbone(torch.randn(1, 3, num_frames, 24, 24)).shape == (1, 24, num_frames // 2, 3, 3)


@pytest.mark.parametrize(
    ("kind", "shape", "message"),
    [
        ("videomae", (4, 32, 24), "clips must be 24x24 pixels for this model, got 32x24"),
        ("videomae", (6, 24, 24), "clips must have 4 frames for this model, got 6"),
        ("timesformer", (6, 24, 24), "clips must have 4 frames for this model, got 6"),
        ("vjepa2", (5, 24, 24), "that 2, the frames of a token, divides, got 5"),
    ],
)
def test_clips_that_do_not_fit_are_refused(
    tmp_path: Path, kind: str, shape: tuple[int, int, int], message: str
) -> None:
    backbone = VideoTransformer(folder(tmp_path, kind, layers=1))

    with pytest.raises(ValueError, match=message):
        backbone(torch.zeros(1, 3, *shape))


def test_other_models_and_incomplete_weights_are_refused(tmp_path: Path) -> None:
    path = folder(tmp_path, "timesformer", layers=1, attention_type="space_only")
    with pytest.raises(ValueError, match="of the kind timesformer with attention over space only"):
        VideoTransformer(path)
    Path(path, "config.json").write_text(json.dumps({"model_type": "vit"}))
    with pytest.raises(ValueError, match=r"kinds videomae, vjepa2, timesformer, got .* of the kind vit"):
        VideoTransformer(path)
    VideoTransformer(folder(tmp_path, "videomae", layers=1)).model.save_pretrained(path)  # type: ignore[operator]
    folder(tmp_path, "videomae", layers=2)
    with pytest.raises(ValueError, match=r"without \d+, first: encoder.layer.1"):
        VideoTransformer(path, pretrained=True)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(importlib, "import_module", absent)
    with pytest.raises(ImportError, match=r"needs the package transformers, .* run `pip install transformers`"):
        VideoTransformer("MCG-NJU/videomae-base")
