"""mmaction2 0.x and 1.x: CSN, I3D with and without non-local blocks, SlowOnly, SlowFast, X3D and C3D.

Weights of a backbone alone lack the prefix `backbone.`.
"""

from collections.abc import Collection

from networks.checkpoints.names import Layout, rename_all, with_leaf

_START = r"(?:backbone\.)?(?:(?P<way>slow|fast)_path\.)?"
_BLOCK = _START + r"layer(?P<stage>[1-4])\.(?P<block>\d+)\."
_NATIVE = "{way}stages.{stage}.{block}."
_KINDS = {"conv": "conv", "bn": "norm"}

_SHARED = [
    (_START + r"conv1\.(?P<kind>conv|bn)", "{way}stem.{kind}"),
    (_BLOCK + r"conv1\.(?P<kind>conv|bn)", _NATIVE + "a.{kind}"),
    (_BLOCK + r"conv2\.(?P<kind>conv|bn)", _NATIVE + "b.{kind}"),
    (_BLOCK + r"conv3\.(?P<kind>conv|bn)", _NATIVE + "c.{kind}"),
    (_BLOCK + r"downsample\.(?P<kind>conv|bn)", _NATIVE + "shortcut.{kind}"),
    # non-local blocks; phi and g are in a sequence with the pooling that follows them
    (_BLOCK + r"non_local_block\.(?P<part>theta|phi|g)(?:\.0)?\.conv", _NATIVE + "non_local.{part}"),
    (_BLOCK + r"non_local_block\.conv_out\.conv", _NATIVE + "non_local.out"),
    (_BLOCK + r"non_local_block\.conv_out\.bn", _NATIVE + "non_local.norm"),
    # SlowFast
    (
        r"(?:backbone\.)?slow_path\.(?P<lateral>conv1|layer[123])_lateral\.(?P<kind>conv|bn)",
        "laterals.{lateral}.{kind}",
    ),
    # X3D
    (_START + r"conv1_s\.conv", "stem.spatial"),
    (_START + r"conv1_t\.conv", "stem.temporal"),
    (_START + r"conv1_t\.bn", "stem.norm"),
    (_BLOCK + r"se_module\.fc1", _NATIVE + "b.excite.reduce"),
    (_BLOCK + r"se_module\.fc2", _NATIVE + "b.excite.expand"),
    (_START + r"conv5\.(?P<kind>conv|bn)", "last.{kind}"),
    # C3D
    (_START + r"conv(?P<conv>[1-5][ab])\.conv", "convs.{conv}"),
]
_REDUCED = [(_BLOCK + r"conv2\.0\.(?P<kind>conv|bn)", _NATIVE + "b.{kind}")]
_PRESERVED = [(_BLOCK + r"conv2\.(?P<place>[01])\.(?P<kind>conv|bn)", _NATIVE + "b.{place}.{kind}")]
_WORDS = {
    "way": {"": "", "slow": "slow.", "fast": "fast."},
    "kind": _KINDS,
    "stage": {"1": "0", "2": "1", "3": "2", "4": "3"},
    "lateral": {"conv1": "0", "layer1": "1", "layer2": "2", "layer3": "3"},
    "conv": {name: str(n) for n, name in enumerate(("1a", "2a", "3a", "3b", "4a", "4b", "5a", "5b"))},
}


def _rename(names: Collection[str]) -> dict[str, str]:
    preserved = any(".conv2.1." in name for name in names)  # ip-CSN
    return rename_all(names, with_leaf(_SHARED + (_PRESERVED if preserved else _REDUCED)), _WORDS)


# the hidden layers of C3D are among the backbone's
LAYOUT = Layout(_rename, r"(cls_head\.\w+|(backbone\.)?fc[67])\.(weight|bias)", "backbone.layer1.0.conv1.conv.weight")
