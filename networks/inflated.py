"""Two-dimensional image networks turned into three-dimensional ones that keep what they have learnt.

Carreira, Zisserman, "Quo Vadis, Action Recognition? A New Model and the Kinetics Dataset", CVPR 2017
(https://arxiv.org/abs/1705.07750), section 2.4.
"""

import copy
import operator
from collections.abc import Sequence
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from networks.backbone import Backbone
from networks.checks import check_choice, check_clips, check_positive
from networks.timm_frames import create_timm

Rule = Literal["repeat", "centre"]

_POINTWISE = (nn.Identity, nn.Dropout, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid)
_FUNCTIONS: tuple[Any, ...] = (operator.add, operator.iadd, operator.mul, operator.imul, torch.add, torch.cat, F.relu)
_POOLS: dict[Any, type[nn.Module]] = {
    F.avg_pool2d: nn.AvgPool2d,
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
}


class InflatedTimm(Backbone):
    """A convolutional timm image model over space and time: ResNets, ResNeXts, Inception-V3, -V4 and -ResNet-v2.

    Args:
        model_name: Name for `timm.create_model`, such as `resnet50` or `inception_v3`.
        temporal: Frames that each convolution larger than 1×1 sees; odd.
        rule: How its weights are spread over them (see `inflate`).
        temporal_strides: Stride in time of the layers that halve the map, from the first halving on (see `inflate`).
            Both ResNets and Inceptions halve five times; I3D has (2, 1, 1, 2, 2).
        pretrained: Let timm fetch its weights for this model from its hub.
        weights: File of a two-dimensional model's state dict, as in `TimmFrames`.
        match: How tensors of the file find their place, as in `TimmFrames`.
        in_channels: Channels of the clips; with other than 3 the first layer starts from the one for colours.

    Raises:
        ValueError: If an argument is out of range, the file does not fit, or the model has layers that cannot be
            inflated; the message names them.
        FileNotFoundError: If `weights` names no file.
    """

    def __init__(
        self,
        model_name: str = "resnet50",
        *,
        temporal: int = 3,
        rule: Rule = "repeat",
        temporal_strides: Sequence[int] = (),
        pretrained: bool = False,
        weights: str | None = None,
        match: Literal["name", "order"] = "name",
        in_channels: int = 3,
    ) -> None:
        super().__init__()
        model = create_timm(model_name, pretrained=pretrained, weights=weights, match=match, in_channels=in_channels)
        self.in_channels, self.num_features = in_channels, int(model.num_features)  # type: ignore[arg-type]
        self.model = inflate(model, temporal, rule=rule, temporal_strides=temporal_strides, function="forward_features")

    def forward(self, clips: Tensor) -> Tensor:
        """Extract the feature map of each clip.

        Args:
            clips: Normalised pixels, float `(B, in_channels, T, H, W)`.

        Returns:
            Float `(B, D, T', H', W')`: T' is T over the product of the temporal strides, rounded up; H' and W' are
            those of the two-dimensional model.

        Raises:
            ValueError: If the clips have another shape or are not floating point.
        """
        check_clips(clips, self.in_channels)
        features: Tensor = self.model(clips)
        return features


def inflate(
    network: nn.Module,
    temporal: int = 3,
    *,
    rule: Rule = "repeat",
    temporal_strides: Sequence[int] = (),
    function: str = "forward",
) -> fx.GraphModule:
    """A three-dimensional network with the weights of a two-dimensional one.

    Convolutions larger than 1×1 see `temporal` frames, with zeros around the clip; 1×1 convolutions and pools see one.
    For a clip of one repeated frame each time step is what the network gives for that frame: with `centre`
    everywhere, with `repeat` where no convolution reaches beyond the clip.

    Args:
        network: Of convolutions, batch norms, pools and pointwise layers, joined by sums, products and
            concatenations over channels; left as it is.
        temporal: Frames N that each convolution larger than 1×1 sees; odd.
        rule: `repeat`: each of the N slices is the two-dimensional weight / N; `centre`: the middle slice is the
            weight, the others are zero.
        temporal_strides: The n-th is the stride in time of all layers with a stride in space behind n earlier ones;
            1 where it ends. (1, 1, 2) strides in time where the map goes from a quarter of the size to an eighth.
        function: Method of the network to run.

    Returns:
        The layers that this method runs, under the names that they had.

    Raises:
        ValueError: If an argument is out of range, or the network does something else; the message names it.
    """
    check_choice("rule", rule, ("repeat", "centre"))
    check_positive(temporal=temporal, **{f"temporal_strides[{n}]": stride for n, stride in enumerate(temporal_strides)})
    if temporal % 2 == 0:
        raise ValueError(f"temporal must be odd, got {temporal}; give for example 3, which has a middle frame")
    tracer = _Tracer()
    tracer.traced_func_name = function
    try:
        graph = tracer.trace(network)
    except (fx.proxy.TraceError, TypeError, ValueError) as error:  # what a proxy that stands for a tensor may cause
        raise ValueError(
            f"network must run the same layers whatever its input, got {type(network).__name__}, which does not: "
            f"{error}; take a ResNet or an Inception"
        ) from error
    layers = dict(network.named_modules())
    made: dict[str, nn.Module] = {}
    refused: list[str] = []
    halvings: dict[fx.Node, int] = {}  # on the way to each node
    for node in graph.nodes:
        before = max((halvings[source] for source in node.all_input_nodes), default=0)
        halvings[node] = before
        if node.op in ("placeholder", "output") or (node.op == "call_function" and _joins(node)):
            continue
        layer = layers[str(node.target)] if node.op == "call_module" else _pool(node)
        halves = _halves(layer)
        stride = temporal_strides[before] if halves and before < len(temporal_strides) else 1
        inflated = None if layer is None else _inflate_layer(layer, temporal, rule, stride)
        if inflated is None:
            what = getattr(node.target, "__name__", node.target) if layer is None else type(layer).__name__
            refused.append(f"{_place(node)}: {what}")
            continue
        halvings[node] += halves
        if node.op == "call_function":  # a pool, which becomes a layer
            node.op, node.target, node.args, node.kwargs = "call_module", node.name, node.args[:1], {}
        made[str(node.target)] = inflated.train(network.training)
    if refused:
        shown = "; ".join(refused[:5])
        raise ValueError(
            f"network must consist of layers that can be inflated, got {len(refused)} others in "
            f"{type(network).__name__}, first: {shown}; take a ResNet or an Inception"
        )
    depth = max(halvings.values())
    if len(temporal_strides) > depth:
        raise ValueError(
            f"temporal_strides must have at most {depth} strides, one for each halving, got {len(temporal_strides)}"
        )
    return fx.GraphModule(made, graph, f"Inflated{type(network).__name__}")


class _Tracer(fx.Tracer):
    """Takes a layer for one step, also where timm has derived its own from it."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        layers = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d, nn.AvgPool2d)
        return isinstance(m, layers) or super().is_leaf_module(m, module_qualified_name)


class _FramePool(nn.Module):
    """A two-dimensional pool on every n-th frame."""

    def __init__(self, pool: nn.Module, stride: int) -> None:
        super().__init__()
        self.pool, self.stride = pool, stride

    def forward(self, x: Tensor) -> Tensor:
        frames = x[:, :, :: self.stride]
        # channels and frames in one dimension: pools keep channels apart, and nothing is copied
        return torch.unflatten(self.pool(frames.flatten(1, 2)), 1, frames.shape[1:3])


class _BatchNormAct3d(nn.BatchNorm3d):
    """timm's batch norm with an activation, in three dimensions, under the same names."""

    def __init__(self, norm: nn.BatchNorm2d) -> None:
        super().__init__(norm.num_features)
        self.drop, self.act = norm.drop, norm.act

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.drop(super().forward(x)))  # type: ignore[operator]
        return out


def _joins(node: fx.Node) -> bool:
    """Whether a function does the same in any number of dimensions."""
    if node.target is torch.cat:
        return bool((node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", 0)) == 1)
    return node.target in _FUNCTIONS


def _pool(node: fx.Node) -> nn.Module | None:
    """The pool that a function call is; None for other calls."""
    given = {**dict(zip(("kernel_size", "stride", "padding"), node.args[1:], strict=False)), **node.kwargs}
    if node.op != "call_function" or node.target not in _POOLS or len(node.args) > 4:
        return None
    return _POOLS[node.target](**given)


def _place(node: fx.Node) -> str:
    """The layer of a node, or the module whose `forward` calls the function."""
    stack = node.meta.get("nn_module_stack") or {"": ("network", None)}
    return str(node.target) if node.op == "call_module" else str(list(stack.values())[-1][0])


def _halves(layer: nn.Module | None) -> int:
    """1 for a layer with a stride in space, otherwise 0."""
    if not isinstance(layer, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
        return 0
    return int(max(_pair(layer.stride)) > 1)


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else tuple(size)


def _inflate_layer(layer: nn.Module, temporal: int, rule: Rule, stride: int) -> nn.Module | None:
    """The layer in three dimensions; None if its kind is not known."""
    if isinstance(layer, _POINTWISE):
        return copy.deepcopy(layer)
    if type(layer) is nn.Conv2d and layer.padding_mode == "zeros" and not isinstance(layer.padding, str):
        return _inflate_convolution(layer, temporal, rule, stride)
    if type(layer) is nn.BatchNorm2d:
        return _copied(layer, nn.BatchNorm3d(layer.num_features))
    # timm's class, by its name: importing timm is slow, and left to `create_timm`
    if isinstance(layer, nn.BatchNorm2d) and type(layer).__name__ == "BatchNormAct2d":
        if isinstance(layer.drop, _POINTWISE) and isinstance(layer.act, _POINTWISE):
            return _copied(layer, _BatchNormAct3d(copy.deepcopy(layer)))
        return None
    if type(layer) in (nn.MaxPool2d, nn.AvgPool2d):
        return _FramePool(copy.deepcopy(layer), stride)
    return None


def _inflate_convolution(layer: nn.Conv2d, temporal: int, rule: Rule, stride: int) -> nn.Conv3d:
    frames = temporal if max(layer.kernel_size) > 1 else 1
    made = nn.Conv3d(
        layer.in_channels,
        layer.out_channels,
        (frames, *layer.kernel_size),  # type: ignore[arg-type]
        (stride, *layer.stride),  # type: ignore[arg-type]
        (frames // 2, *cast(tuple[int, int], layer.padding)),
        (1, *layer.dilation),  # type: ignore[arg-type]
        layer.groups,
        bias=layer.bias is not None,
        device=layer.weight.device,
        dtype=layer.weight.dtype,
    )
    flat = layer.weight.detach()[:, :, None]
    shares = flat.new_full((frames, 1, 1), 1 / frames)
    if rule == "centre":
        shares.zero_()[frames // 2] = 1
    made.load_state_dict({**layer.state_dict(), "weight": flat * shares})
    made.weight.requires_grad_(layer.weight.requires_grad)
    if made.bias is not None and layer.bias is not None:
        made.bias.requires_grad_(layer.bias.requires_grad)
    return made


def _copied(norm: nn.BatchNorm2d, made: nn.BatchNorm3d) -> nn.BatchNorm3d:
    """Options, weights and statistics of a batch norm, which have the same shapes in any number of dimensions."""
    for name in (*norm.__constants__, "track_running_stats"):
        setattr(made, name, getattr(norm, name))
    copied = copy.deepcopy(norm)
    made._parameters, made._buffers = copied._parameters, copied._buffers
    return made
