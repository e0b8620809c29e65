"""VMZ: channel-separated and R(2+1)D networks in the names of torchvision's `VideoResNet`."""

from collections.abc import Collection

from networks.checkpoints.names import Layout, Rules, rename_all, with_leaf

_BLOCK = r"layer(?P<stage>[1-4])\.(?P<block>\d+)\."
_NATIVE = "stages.{stage}.{block}."

_STEM = [
    (r"stem\.0", "stem.conv"),
    (r"stem\.1", "stem.norm"),
]
_SEPARATED_STEM = [  # of R(2+1)D: over space, then over time
    (r"stem\.0", "stem.0.conv"),
    (r"stem\.1", "stem.0.norm"),
    (r"stem\.3", "stem.1.conv"),
    (r"stem\.4", "stem.1.norm"),
]
_DOWNSAMPLE = [
    (_BLOCK + r"downsample\.0", _NATIVE + "shortcut.conv"),
    (_BLOCK + r"downsample\.1", _NATIVE + "shortcut.norm"),
]


def _plain(layer: str, part: str) -> Rules:
    return [(_BLOCK + rf"{layer}\.0", _NATIVE + f"{part}.conv"), (_BLOCK + rf"{layer}\.1", _NATIVE + f"{part}.norm")]


def _nested(layer: str, part: str) -> Rules:
    """Two convolutions, of which the first and its norm are in a sequence of their own with the second."""
    return [
        (_BLOCK + rf"{layer}\.0\.0", _NATIVE + f"{part}.0.conv"),
        (_BLOCK + rf"{layer}\.0\.1", _NATIVE + f"{part}.0.norm"),
        (_BLOCK + rf"{layer}\.0\.[23]", _NATIVE + f"{part}.1.conv"),  # 2 in ip-CSN; R(2+1)D has a ReLU there
        (_BLOCK + rf"{layer}\.1", _NATIVE + f"{part}.1.norm"),
    ]


_WORDS = {"stage": {"1": "0", "2": "1", "3": "2", "4": "3"}}


def _rename(names: Collection[str]) -> dict[str, str]:
    rules = [*(_SEPARATED_STEM if any(name.startswith("stem.3.") for name in names) else _STEM), *_DOWNSAMPLE]
    for layer, part in (("conv1", "a"), ("conv2", "b"), ("conv3", "c")):
        nested = any(f".{layer}.0.0." in name for name in names)
        rules += (_nested if nested else _plain)(layer, part)
    return rename_all(names, with_leaf(rules), _WORDS)


LAYOUT = Layout(_rename, r"fc\.(weight|bias)", "layer1.0.conv1.0.weight")
