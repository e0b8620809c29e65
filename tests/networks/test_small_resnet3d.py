import pytest
import torch

from networks import SmallResNet3D


@pytest.mark.parametrize(
    ("size", "expected"), [((16, 28, 28), (8, 4, 4)), ((16, 56, 56), (8, 7, 7)), ((5, 24, 40), (3, 3, 5))]
)
def test_feature_map_keeps_time_until_late(size: tuple[int, int, int], expected: tuple[int, int, int]) -> None:
    backbone = SmallResNet3D((4, 8, 8, 16))

    assert backbone.num_features == 16
    assert backbone(torch.randn(2, 3, *size)).shape == (2, 16, *expected)


@pytest.mark.parametrize("blocks", [1, 2])
@pytest.mark.parametrize("widths", [(4, 6), (4, 6, 8), (4, 6, 8, 8)])
def test_gradient_reaches_every_parameter(widths: tuple[int, ...], blocks: int) -> None:
    torch.manual_seed(0)
    backbone = SmallResNet3D(widths, blocks=blocks, in_channels=2)
    backbone(torch.randn(2, 2, 4, 16, 16)).square().sum().backward()

    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in backbone.parameters())


def test_reversed_clip_gives_other_features() -> None:
    torch.manual_seed(0)
    backbone = SmallResNet3D((4, 8)).eval()
    clip = torch.randn(1, 3, 8, 16, 16)
    forward, backward = (backbone(c).mean((2, 3, 4)) for c in (clip, clip.flip(2)))

    assert not torch.allclose(forward, backward, rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (4,)}, r"widths must name the two convolutions of the stem, and stages, got \[4\]"),
        ({"widths": (4, 0)}, r"widths\[1\] must be a positive integer, got 0"),
        ({"blocks": 0}, "blocks must be a positive integer, got 0"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmallResNet3D(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("clips", "message"),
    [
        (torch.zeros(2, 1, 4, 16, 16), r"clips must have shape \(B, 3, T, H, W\), got \(2, 1, 4, 16, 16\)"),
        (torch.zeros(3, 4, 16, 16), r"clips must have shape \(B, 3, T, H, W\), got \(3, 4, 16, 16\)"),
        (torch.zeros(2, 3, 4, 16, 16, dtype=torch.uint8), "clips must be floating point, got torch.uint8"),
    ],
)
def test_clips_that_do_not_fit_are_refused(clips: torch.Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SmallResNet3D((4, 4))(clips)
