"""caffe2, as the model zoo of PySlowFast has it: Slow, C2D, I3D with and without non-local blocks, and SlowFast.

The files hold more than weights, and less. `complete` makes of their blobs what the network stores.
"""

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from networks.checkpoints.names import Layout, rename_all

_WAY = r"(?P<way>t_)?"
_BLOCK = _WAY + r"res(?P<stage>[2-5])_(?P<block>\d+)_"
_NON_LOCAL = r"nonlocal_conv(?P<stage>[2-5])_(?P<block>\d+)_"
_LATERAL = r"t_(?:pool(?P<lateral>1)|res(?P<after>[2-4])_\d+_branch2c_bn)_subsample_"
_NATIVE = "{way}stages.{stage}.{block}."
_LEAF = r"(?P<leaf>[wb])"
_NORM = r"bn_(?P<leaf>s|b|rm|riv)"

_RULES = [
    (_WAY + "conv1_" + _LEAF, "{way}stem.conv.{leaf}"),
    (_WAY + "res_conv1_" + _NORM, "{way}stem.norm.{leaf}"),
    (_BLOCK + r"branch2(?P<part>[abc])_" + _LEAF, _NATIVE + "{part}.conv.{leaf}"),
    (_BLOCK + r"branch2(?P<part>[abc])_" + _NORM, _NATIVE + "{part}.norm.{leaf}"),
    (_BLOCK + "branch1_" + _LEAF, _NATIVE + "shortcut.conv.{leaf}"),
    (_BLOCK + "branch1_" + _NORM, _NATIVE + "shortcut.norm.{leaf}"),
    (_NON_LOCAL + r"(?P<part>theta|phi|g|out)_" + _LEAF, "{slow}stages.{stage}.{block}.non_local.{part}.{leaf}"),
    (_NON_LOCAL + _NORM, "{slow}stages.{stage}.{block}.non_local.norm.{leaf}"),
    (_LATERAL + _LEAF, "laterals.{lateral}{after}.conv.{leaf}"),
    (_LATERAL + _NORM, "laterals.{lateral}{after}.norm.{leaf}"),
]
_WORDS = {
    "stage": {"2": "0", "3": "1", "4": "2", "5": "3"},
    "lateral": {"": "", "1": "0"},
    "after": {"": "", "2": "1", "3": "2", "4": "3"},
    "leaf": {"w": "weight", "s": "weight", "b": "bias", "rm": "running_mean", "riv": "running_var"},
}


def _rename(names: Collection[str]) -> dict[str, str]:
    slow = "slow." if any(name.startswith("t_") for name in names) else ""
    rules = [(pattern, native.replace("{slow}", slow)) for pattern, native in _RULES]
    return rename_all(names, rules, {**_WORDS, "way": {"": slow, "t_": "fast."}})


def complete(given: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """Add what the files leave out.

    Trailing dimensions of size 1; the statistics of a batch norm that was stored as scale and shift only (mean 0 and
    variance 1 - eps make it that); the repetitions of a batch norm that shares its values among parts of a batch.

    Args:
        given: Tensors by native names.
        network: Network that they are for.

    Returns:
        All tensors by native names.
    """
    own, filled = network.state_dict(), dict(given)
    for name, module in network.named_modules():
        mean, variance = f"{name}.running_mean", f"{name}.running_var"
        if not isinstance(module, nn.modules.batchnorm._BatchNorm):
            continue
        if f"{name}.weight" in given and mean not in given and variance not in given:
            filled[mean] = torch.zeros_like(given[f"{name}.weight"])
            filled[variance] = torch.full_like(given[f"{name}.weight"], 1 - module.eps)
        for key in (f"{name}.weight", f"{name}.bias", mean, variance):
            if key in filled and filled[key].ndim == 1 and 0 < len(filled[key]) < len(own[key]):
                times, rest = divmod(len(own[key]), len(filled[key]))
                filled[key] = filled[key] if rest else filled[key].repeat(times)
    for key, tensor in filled.items():
        if key in own and tensor.ndim < own[key].ndim and set(own[key].shape[tensor.ndim :]) == {1}:
            filled[key] = tensor.reshape(*tensor.shape, *own[key].shape[tensor.ndim :])
    return filled


LAYOUT = Layout(_rename, r"pred_[wb]", "res2_0_branch2a_w", r"\w+_momentum|lr|model_iter")
