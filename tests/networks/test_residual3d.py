import copy

import pytest
import torch
from torch import nn

from networks.residual3d import ConvNorm, Stage, build_bottleneck


def blocks(count: int) -> list[nn.Module]:
    """Bottlenecks of 8 inner channels on 32."""
    return [build_bottleneck(32, 8, ConvNorm(8, 8, (3, 3, 3)), (1, 1, 1), temporal=3) for _ in range(count)]


@pytest.mark.parametrize("dilation", [(1, 1, 1), (1, 2, 2), (3, 1, 2)])
@pytest.mark.parametrize("kernel", [(1, 1, 1), (3, 1, 1), (5, 7, 7), (1, 3, 3)])
def test_padding_keeps_the_size(kernel: tuple[int, int, int], dilation: tuple[int, int, int]) -> None:
    conv = ConvNorm(2, 3, kernel, dilation=dilation)

    assert conv(torch.randn(2, 2, 5, 6, 7)).shape == (2, 3, 5, 6, 7)


@pytest.mark.parametrize("groups", [1, 64])
def test_convolution_starts_at_the_scale_of_its_input(groups: int) -> None:
    conv = ConvNorm(64, 64, (3, 3, 3), groups=groups, norm=False, activation=None)
    inner = conv(torch.randn(2, 64, 6, 10, 10))[:, :, 1:-1, 1:-1, 1:-1]

    assert conv.norm.state_dict() == {}
    assert inner.std().item() == pytest.approx(2**0.5, rel=0.15)  # a ReLU then halves the variance


@pytest.mark.parametrize(
    ("in_width", "stride", "projected"),
    [(32, (1, 1, 1), False), (16, (1, 1, 1), True), (32, (2, 1, 1), True), (32, (1, 2, 2), True)],
)
def test_shortcut_is_projected_where_the_shape_changes(
    in_width: int, stride: tuple[int, int, int], projected: bool
) -> None:
    block = build_bottleneck(in_width, 8, ConvNorm(8, 8, (3, 3, 3), stride), stride)
    out = block(torch.randn(2, in_width, 4, 4, 4))

    assert (block.shortcut is not None) == projected
    assert out.shape == (2, 32, *(4 // step for step in stride))
    assert out.min() >= 0


def test_checkpointing_changes_neither_gradients_nor_running_statistics() -> None:
    plain = Stage(blocks(3)).double()
    saving = copy.deepcopy(plain)
    saving.checkpointing = True
    clip = torch.randn(2, 32, 3, 4, 4, dtype=torch.float64)
    for stage in (plain, saving):
        for _ in range(2):
            stage(clip).square().sum().backward()

    for want, got in zip(plain.parameters(), saving.parameters(), strict=True):
        torch.testing.assert_close(got.grad, want.grad)
    assert plain.state_dict().keys() == saving.state_dict().keys()
    for (name, before), buffer in zip(plain.named_buffers(), saving.buffers(), strict=True):
        assert torch.equal(buffer, before), name
    assert {norm.momentum for norm in saving.modules() if isinstance(norm, nn.BatchNorm3d)} == {0.1}


@pytest.mark.parametrize(("training", "checkpointing", "calls"), [(True, True, 2), (True, False, 1), (False, True, 1)])
def test_checkpointing_computes_blocks_twice_only_in_training(training: bool, checkpointing: bool, calls: int) -> None:
    stage = Stage(blocks(1), checkpointing=checkpointing).train(training)
    seen: list[int] = []
    stage[0].get_submodule("a").register_forward_hook(lambda *_: seen.append(1))
    stage(torch.randn(2, 32, 2, 4, 4)).sum().backward()

    assert len(seen) == calls


def test_checkpointed_graph_can_be_run_backward_again() -> None:
    stage = Stage(blocks(2), checkpointing=True)
    loss = stage(torch.randn(2, 32, 2, 4, 4)).square().mean()
    (first,) = torch.autograd.grad(loss, [stage[0].get_parameter("a.conv.weight")], retain_graph=True)
    (second,) = torch.autograd.grad(loss, [stage[0].get_parameter("a.conv.weight")])

    torch.testing.assert_close(first, second)
    assert stage[0].get_buffer("a.norm.num_batches_tracked") == 1
