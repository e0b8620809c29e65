"""PySlowFast: Slow, C2D, I3D with and without non-local blocks, SlowFast and X3D."""

from collections.abc import Collection

from networks.checkpoints.names import Layout, rename_all, with_leaf

_STEM = r"s1\.pathway(?P<way>[01])_stem\."
_BLOCK = r"s(?P<stage>[2-5])\.pathway(?P<way>[01])_res(?P<block>\d+)\."
_NON_LOCAL = r"s(?P<stage>[2-5])\.pathway(?P<way>[01])_nonlocal(?P<block>\d+)\."
_NATIVE = "{way}stages.{stage}.{block}."

_RULES = with_leaf(
    [
        (_STEM + r"conv", "{way}stem.conv"),
        (_STEM + r"bn", "{way}stem.norm"),
        (_BLOCK + r"branch2\.(?P<part>[abc])", _NATIVE + "{part}.conv"),
        (_BLOCK + r"branch2\.(?P<part>[abc])_bn", _NATIVE + "{part}.norm"),
        (_BLOCK + r"branch2\.se\.(?P<excite>fc1|fc2)", _NATIVE + "b.excite.{excite}"),
        (_BLOCK + r"branch1", _NATIVE + "shortcut.conv"),
        (_BLOCK + r"branch1_bn", _NATIVE + "shortcut.norm"),
        (_NON_LOCAL + r"conv_(?P<part>theta|phi|g|out)", _NATIVE + "non_local.{part}"),
        (_NON_LOCAL + r"bn", _NATIVE + "non_local.norm"),
        (r"s(?P<lateral>[1-4])_fuse\.conv_f2s", "laterals.{lateral}.conv"),
        (r"s(?P<lateral>[1-4])_fuse\.bn", "laterals.{lateral}.norm"),
        (r"head\.conv_5", "last.conv"),
        (r"head\.conv_5_bn", "last.norm"),
    ]
)
# the stem of X3D: the 1x3x3 convolution is conv_xy, and conv the 5x1x1 one
_X3D_RULES = with_leaf([(_STEM + r"conv_xy", "stem.spatial"), (_STEM + r"conv", "stem.temporal")])
_WORDS = {
    "stage": {"2": "0", "3": "1", "4": "2", "5": "3"},
    "lateral": {"1": "0", "2": "1", "3": "2", "4": "3"},
    "excite": {"fc1": "reduce", "fc2": "expand"},
}


def _rename(names: Collection[str]) -> dict[str, str]:
    two = any(".pathway1_" in name for name in names)
    x3d = any("_stem.conv_xy." in name for name in names)
    ways = {"0": "slow.", "1": "fast."} if two else {"0": ""}
    return rename_all(names, [*(_X3D_RULES if x3d else ()), *_RULES], {**_WORDS, "way": ways})


LAYOUT = Layout(_rename, r"head\.(projection|lin_5)\.(weight|bias)", "s2.pathway0_res0.branch2.a.weight")
