"""Put the weights that other code bases publish into the networks here, and account for every tensor."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from networks.checkpoints import c3d, caffe2, mmaction2, pyslowfast, pytorchvideo, vmz
from networks.checkpoints.names import Layout
from networks.checkpoints.reading import read_tensors
from networks.checks import check_choice

__all__ = ["LAYOUTS", "Converted", "Loaded", "convert", "load_checkpoint"]

_log = logging.getLogger(__name__)
_SHOWN = 5  # names of each kind in a message

LAYOUTS: dict[str, Layout] = {
    "vmz": vmz.LAYOUT,
    "mmaction2": mmaction2.LAYOUT,
    "pyslowfast": pyslowfast.LAYOUT,
    "pytorchvideo": pytorchvideo.LAYOUT,
    "caffe2": caffe2.LAYOUT,
    "c3d": c3d.LAYOUT,
}


@dataclass(frozen=True)
class Converted:
    """Tensors in the names of a network.

    Attributes:
        layout: Layout that they were in.
        tensors: As the network's `load_state_dict` takes them.
        left_out: Public names of the classifier's tensors.
    """

    layout: str
    tensors: dict[str, Tensor]
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class Loaded:
    """What was put into a network.

    Attributes:
        file: File that it came from.
        sha256: Of its bytes, in hexadecimal.
        layout: Layout that it was in.
        num_tensors: Tensors that the network took.
        left_out: Public names of the classifier's tensors, which it did not.
    """

    file: Path
    sha256: str
    layout: str
    num_tensors: int
    left_out: tuple[str, ...]


def load_checkpoint(
    network: nn.Module, path: str | Path, *, layout: str | None = None, ignore_classifier: bool = True
) -> Loaded:
    """Fill a network from a published checkpoint; nothing that the file says is run.

    Args:
        network: Network up to its feature map; changed in place, and only if everything fits.
        path: File of VMZ, mmaction2, PySlowFast (`.pyth` or caffe2's `.pkl`), pytorchvideo, a port of C3D, or the
            network's own state dict.
        layout: Names that the file has: one of `LAYOUTS`, or `native` for those of the network; None to find out.
        ignore_classifier: Leave out what comes after the feature map; otherwise it counts as unexpected.

    Returns:
        What was loaded, for the record; it is logged as well.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be read safely, is in another or in no known layout, or a tensor is missing,
            unexpected or of another shape; the message lists the first of each.
    """
    state, digest = read_tensors(path)
    source = f"weights file {str(path)!r}"
    converted = convert(state, network, layout, ignore_classifier=ignore_classifier, source=source)
    network.load_state_dict(converted.tensors)
    loaded = Loaded(Path(path), digest, converted.layout, len(converted.tensors), converted.left_out)
    _log.info(
        "loaded %d tensors of %s (layout %s, sha256 %s), left out %s",
        loaded.num_tensors,
        loaded.file,
        loaded.layout,
        loaded.sha256,
        ", ".join(loaded.left_out) or "none",
    )
    return loaded


def convert(
    state: Mapping[str, Tensor],
    network: nn.Module,
    layout: str | None = None,
    *,
    ignore_classifier: bool = True,
    source: str = "state dict",
) -> Converted:
    """Rename the tensors of a public state dict to those of a network, and check that all fit.

    The counters of batch norms (`num_batches_tracked`) may be missing, as in caffe2; the network's own stay. Momentum,
    learning rate and number of iterations, which caffe2 keeps among the weights, are passed over.

    Args:
        state: Tensor of each public name; a prefix `module.` on all of them is dropped.
        network: Network up to its feature map; not changed.
        layout: One of `LAYOUTS`, or `native`; None to find out.
        ignore_classifier: Leave out what comes after the feature map; otherwise it counts as unexpected.
        source: Where the tensors are from, for messages.

    Returns:
        The tensors, for the network's `load_state_dict`.

    Raises:
        ValueError: If the layout is unknown, is another, or cannot be told; or if a tensor is missing, unexpected or of
            another shape.
    """
    if all(name.startswith("module.") for name in state):
        state = {name.removeprefix("module."): tensor for name, tensor in state.items()}
    own = network.state_dict()
    native = Layout(lambda names: {name: name for name in names if name in own}, "(?!)", next(iter(own), ""))
    layouts = {**LAYOUTS, "native": native}
    layout = _layout(list(state), layouts, layout, source)
    rules = layouts[layout]
    state = {name: tensor for name, tensor in state.items() if not rules.is_of_training(name)}
    left_out = tuple(name for name in state if ignore_classifier and rules.is_classifier(name))
    renamed = rules.rename(state)
    given = {renamed[name]: state[name] for name in state if name in renamed}
    if layout == "caffe2":
        given = caffe2.complete(given, network)
    given = {k: v for k, v in own.items() if k.endswith("num_batches_tracked") and k not in given} | given
    public = {place: name for name, place in renamed.items()}
    counts = Counter(renamed.values())
    wrong = {
        "missing": [name for name in own if name not in given],
        "unexpected": [n for n in state if n not in left_out and renamed.get(n) not in own],
        "twice": [name for name, place in renamed.items() if counts[place] > 1],
        "of another shape": [
            f"{public.get(name, name)} {tuple(given[name].shape)} for {name} {tuple(own[name].shape)}"
            for name in own
            if name in given and given[name].shape != own[name].shape
        ],
    }
    if any(wrong.values()):
        found = "; ".join(f"{len(names)} {kind}: {_first(names)}" for kind, names in wrong.items() if names)
        raise ValueError(
            f"{source} (layout {layout}) must fit {type(network).__name__}, got {found}; build the network as the "
            "checkpoint's was (depth, bottleneck, non-local blocks, lateral norm), or take the file of this one"
        )
    return Converted(layout, given, left_out)


def _layout(names: Sequence[str], layouts: Mapping[str, Layout], wanted: str | None, source: str) -> str:
    """The layout that has a place for most of the names, which has to be the wanted one if one is wanted."""
    unknown = {name: layout.unknown(names) for name, layout in layouts.items()}
    if wanted is not None:
        check_choice("layout", wanted, list(layouts))
    best = min(unknown, key=lambda name: len(unknown[name]))
    if 2 * len(unknown[best]) >= len(names):
        examples = ", ".join(f"{name} ({layout.example})" for name, layout in layouts.items())
        raise ValueError(
            f"{source} must have the names of a known layout, got {len(names)} names such as {_first(names)}; "
            f"known are {examples}; rename the tensors to those of one of these"
        )
    if wanted is not None and len(unknown[wanted]) > len(unknown[best]):
        raise ValueError(
            f"{source} must be in layout {wanted}, got {len(unknown[wanted])} other names: {_first(unknown[wanted])}; "
            f"it looks like {best}: leave out the layout or give this one"
        )
    return wanted or best


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
