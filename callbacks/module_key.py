"""What a network computes, as one hash: files that depend on it are found again by it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

_OF_THE_RUN = ("training", "frozen", "bypassed")  # attributes that say how a module is used, not what it is


def key_of(module: nn.Module, facts: Mapping[str, Any]) -> str:
    """Hash of the state, of the numbers and names that modules were built with (strides leave no trace in weights), and more.

    Args:
        module: names, types, shapes and values of its state count, and plain attributes of all its parts.
        facts: whatever else, by its `repr`.
    """
    digest = hashlib.sha256(repr(sorted(facts.items())).encode())
    for name, part in module.named_modules():
        plain = {key: value for key, value in vars(part).items() if isinstance(value, bool | int | float | str | tuple)}
        built = {key: value for key, value in sorted(plain.items()) if key not in _OF_THE_RUN}
        digest.update(f"{name} {type(part).__qualname__} {built}".encode())
    for name, value in module.state_dict().items():
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()[:32]
