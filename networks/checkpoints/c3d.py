"""Ports of the original C3D, whose layers keep their Caffe names: conv1, conv2, conv3a, ..., conv5b, fc6, fc7, fc8."""

from collections.abc import Collection

from networks.checkpoints.names import Layout, rename_all, with_leaf

_RULES = with_leaf([(r"conv(?P<conv>1|2|[345][ab])", "convs.{conv}")])
_WORDS = {"conv": {name: str(n) for n, name in enumerate(("1", "2", "3a", "3b", "4a", "4b", "5a", "5b"))}}


def _rename(names: Collection[str]) -> dict[str, str]:
    return rename_all(names, _RULES, _WORDS)


LAYOUT = Layout(_rename, r"fc[678]\.(weight|bias)", "conv3a.weight")
