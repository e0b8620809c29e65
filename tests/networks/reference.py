"""Weights and clips that a rule makes from names and seeds, the same wherever numpy runs."""

import math
import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

_LAST_NORM = re.compile(r"(^|\.)(conv3\.1|conv3\.bn|branch2\.c_bn|branch2\.norm_c)\.weight$|branch2c_bn_s$")
_NON_LOCAL_NORM = re.compile(
    r"(nonlocal\d+\.bn|non_local_block\.conv_out\.bn)\.weight$|^nonlocal_conv\d+_\d+_bn_s$",
)
_THETA_PHI = re.compile(
    r"(nonlocal\d+\.conv_(theta|phi)|non_local_block\.(theta|phi)(\.0)?\.conv)\.(weight|bias)$"
    r"|^nonlocal_conv\d+_\d+_(theta|phi)_[wb]$"
)


def draw(seed: int, shape: Sequence[int]) -> np.ndarray:
    """Standard normal numbers, float64."""
    return np.random.Generator(np.random.PCG64(seed)).standard_normal(tuple(shape))


def tensor(name: str, shape: Sequence[int], norms: frozenset[str], xor: int = 0) -> Tensor:
    """The tensor of an entry; `norms` are the names of the batch norms without their last part."""
    if name.endswith("num_batches_tracked"):
        return torch.tensor(0)
    numbers = draw(zlib.crc32(name.encode()) ^ xor, shape)
    owner, _, leaf = name.rpartition(".")
    if name.endswith(("running_mean", "_bn_rm")):
        value = 0.1 * numbers
    elif name.endswith(("running_var", "_bn_riv")):
        value = 1 + 0.2 * np.abs(numbers)
    elif leaf == "bias" or name.endswith("_b"):
        value = 0.1 * numbers
    elif name.endswith("_bn_s") or (leaf == "weight" and owner in norms):
        scale = 0.25 if _LAST_NORM.search(name) else 0.1 if _NON_LOCAL_NORM.search(name) else 1.0
        value = scale * (1 + 0.1 * numbers)
    else:
        value = numbers * math.sqrt(2 / math.prod(shape[1:]))
    return torch.from_numpy(value / math.sqrt(shape[0]) if _THETA_PHI.search(name) else value)


def state_dict(entries: Sequence[tuple[str, Sequence[int], str]], xor: int = 0) -> dict[str, Tensor]:
    """All tensors of a file's `entries`."""
    norms = frozenset(name.removesuffix(".running_var") for name, _, _ in entries if name.endswith(".running_var"))
    return {name: tensor(name, shape, norms, xor) for name, shape, _ in entries}


def clip(given: dict[str, Any]) -> Tensor:
    """The clip of a file's `input`, float64 (1, 3, T, H, W)."""
    return torch.from_numpy(draw(given["seed"], given["shape"]))
