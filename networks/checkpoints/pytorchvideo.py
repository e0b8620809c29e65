"""pytorchvideo: Slow, C2D, I3D, CSN, SlowFast and X3D; detection networks have the prefix `model.`."""

import re
from collections.abc import Collection

from networks.checkpoints.names import Layout, rename_all, with_leaf

_START = r"(?:model\.)?blocks\.(?P<stage>\d+)\."
_WAY = r"(?:multipathway_blocks\.(?P<way>[01])\.)?"
_BLOCK = _START + _WAY + r"res_blocks\.(?P<block>\d+)\."
_STEM = r"(?:model\.)?blocks\.0\." + _WAY
_LATERAL = r"(?:model\.)?blocks\.(?P<lateral>[0-3])\.multipathway_fusion\."
_NATIVE = "{way}stages.{stage}.{block}."

_RULES = with_leaf(
    [
        (_STEM + r"conv", "{way}stem.conv"),
        (_STEM + r"norm", "{way}stem.norm"),
        (_STEM + r"conv\.conv_t", "stem.spatial"),  # of X3D: the 1x3x3 convolution is conv_t, in spite of its name
        (_STEM + r"conv\.conv_xy", "stem.temporal"),
        (_BLOCK + r"branch2\.conv_(?P<part>[abc])", _NATIVE + "{part}.conv"),
        (_BLOCK + r"branch2\.norm_(?P<part>[abc])", _NATIVE + "{part}.norm"),
        (_BLOCK + r"branch2\.norm_b\.0", _NATIVE + "b.norm"),  # in a sequence with squeeze and excitation
        (_BLOCK + r"branch2\.norm_b\.1\.block\.(?P<excite>[02])", _NATIVE + "b.excite.{excite}"),
        (_BLOCK + r"branch1_conv", _NATIVE + "shortcut.conv"),
        (_BLOCK + r"branch1_norm", _NATIVE + "shortcut.norm"),
        (_LATERAL + r"conv_fast_to_slow", "laterals.{lateral}.conv"),
        (_LATERAL + r"norm", "laterals.{lateral}.norm"),
        (r"(?:model\.)?blocks\.\d+\.pool\.pre_conv", "last.conv"),
        (r"(?:model\.)?blocks\.\d+\.pool\.pre_norm", "last.norm"),
    ]
)
_WORDS = {"way": {"": "", "0": "slow.", "1": "fast."}, "excite": {"0": "reduce", "2": "expand"}}


def _rename(names: Collection[str]) -> dict[str, str]:
    # a pooling block without weights lies between the stages of some networks, and takes a number
    numbers = {int(match[1]) for name in names if (match := re.match(r"(?:model\.)?blocks\.(\d+)\..*res_blocks", name))}
    stages = {str(number): str(stage) for stage, number in enumerate(sorted(numbers))}
    return rename_all(names, _RULES, {**_WORDS, "stage": stages})


_HEAD = r"((model\.)?blocks\.\d+\.(proj|pool\.post_conv)|(model\.)?detection_head\.proj)\.(weight|bias)"
LAYOUT = Layout(_rename, _HEAD, "blocks.1.res_blocks.0.branch2.conv_a.weight")
