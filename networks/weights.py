"""Put a state dict from a file into a network, by name or by order, and refuse all that does not fit."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from networks.checkpoints.reading import read_tensors

_SHOWN = 5  # differing keys in a message


def load_by_name(network: nn.Module, path: str | Path, classifiers: Sequence[str]) -> None:
    """Load tensors whose names and shapes are those of the network.

    Args:
        network: Network without a classifier; changed in place.
        path: File of a plain state dict.
        classifiers: Module names of the classifier, whose tensors the file may have on top.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a tensor is missing, unexpected or of another shape; the message lists the first of them.
    """
    given, own = read_tensors(path)[0], network.state_dict()
    given = {k: v for k, v in given.items() if k in own or not k.startswith(tuple(f"{c}." for c in classifiers))}
    wrong = [f"{k}: not in the file" for k in own if k not in given]
    wrong += [f"{k}: not in the network" for k in given if k not in own]
    wrong += [
        f"{k}: {tuple(given[k].shape)} in the file, {tuple(own[k].shape)} in the network"
        for k in own
        if k in given and given[k].shape != own[k].shape
    ]
    _refuse(path, wrong, "take the file of the same architecture, or match by order if only the names differ")
    network.load_state_dict(given)


def load_by_order(network: nn.Module, path: str | Path) -> None:
    """Load the n-th tensor of the file as the n-th of the network, whatever their names.

    Args:
        network: Network without a classifier; changed in place.
        path: File of a plain state dict with equal shapes in the same order. A classifier's weight and bias may
            follow at its end.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If shapes differ, tensors are missing, or more than a classifier is left over; the message lists
            the first differences.
    """
    given, own = list(read_tensors(path)[0].items()), list(network.state_dict().items())
    wrong = [
        f"tensor {n}: {g} {tuple(a.shape)} in the file, {o} {tuple(b.shape)} in the network"
        for n, ((g, a), (o, b)) in enumerate(zip(given, own, strict=False))
        if a.shape != b.shape
    ]
    wrong += [f"{o}: no tensor left in the file" for o, _ in own[len(given) :]]
    rest = given[len(own) :]
    if [tensor.ndim for _, tensor in rest] not in ([], [2], [2, 1]):  # a classifier is a matrix and a vector
        wrong += [f"{g}: left over in the file" for g, _ in rest]
    _refuse(path, wrong, "take the file of the same architecture, or match by name if only the order differs")
    network.load_state_dict({o: a for (_, a), (o, _) in zip(given, own, strict=False)})


def _refuse(path: str | Path, wrong: list[str], remedy: str) -> None:
    if wrong:
        shown = "; ".join(wrong[:_SHOWN])
        raise ValueError(
            f"weights file {str(path)!r} must fit the network, got {len(wrong)} differences, first: {shown}; {remedy}"
        )
