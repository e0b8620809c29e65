"""Read tensors by name from files of other code bases, and run nothing that a file says."""

import hashlib
import io
import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import torch
from torch import Tensor

# where the code bases keep their weights: mmaction2, PySlowFast and pytorchvideo, caffe2; VMZ has them at the top
_HOLDERS = ("state_dict", "model_state", "blobs")
_OLD_TORCH = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)[:-1]  # how files of torch before 1.6 start


def read_tensors(path: str | Path) -> tuple[dict[str, Tensor], str]:
    """Read the weights of a checkpoint, whatever else it holds.

    The content decides how it is read, not the ending: a file of torch by `torch.load(weights_only=True)`, any other as
    a pickle of dictionaries, strings, numbers and numpy arrays. mmaction2 stores the history of its training beside the
    weights; those objects become empty ones.

    Args:
        path: File.

    Returns:
        Tensor of each name in the order of the file, on the CPU, and the SHA-256 of the file in hexadecimal.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is empty or damaged, names anything to run or to build that is not plain data, or has
            no tensors.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"weights must name an existing file, got {str(path)!r}; give the path of a checkpoint")
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        size = file.seek(0, io.SEEK_END)
        try:
            found = _load(file)
        except Exception as error:  # damaged bytes make the readers raise almost anything
            got = f"{size} bytes that stop at: {_reason(error)}" if size else "an empty file"
            raise ValueError(
                f"weights file {str(path)!r} must hold plain tensors or arrays, got {got}; nothing in it was run: "
                "download it again, or save only its state dict with the code that wrote it"
            ) from error
    tensors = _weights(found)
    if tensors is None:
        keys = ", ".join(map(repr, list(found)[:5])) if isinstance(found, Mapping) else type(found).__name__
        raise ValueError(
            f"weights file {str(path)!r} must map names to tensors, at its top or under one of "
            f"{', '.join(_HOLDERS)}, got {keys or 'nothing'}; save only the state dict of the network"
        )
    return tensors, digest


def _load(file: BinaryIO) -> Any:
    file.seek(0)
    start = file.read(len(_OLD_TORCH))
    file.seek(0)
    if start.startswith((b"PK", _OLD_TORCH)):
        with torch.serialization.safe_globals(_HISTORY):
            return torch.load(file, map_location="cpu", weights_only=True)
    return _ArrayUnpickler(file, encoding="latin1").load()


def _reason(error: BaseException) -> str:
    """The first sentence of an error, without the advice of torch to read the file unsafely."""
    if isinstance(error, pickle.UnpicklingError) and error.__context__ is not None:
        error = error.__context__
    return str(error).split(". ")[0].strip() or type(error).__name__


def _weights(found: Any) -> dict[str, Tensor] | None:
    """Tensors by name, from the top of the file or from where its code base keeps them; None if there are none."""
    if not isinstance(found, Mapping):
        return None
    held = next((found[key] for key in _HOLDERS if isinstance(found.get(key), Mapping)), found)
    tensors = {}
    for name, value in held.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "fiu":
            value = torch.from_numpy(value.astype(value.dtype.newbyteorder("="), copy=True))
        if not isinstance(name, str) or not isinstance(value, Tensor | np.generic | int | float):
            return None
        tensors[name] = value if isinstance(value, Tensor) else torch.tensor(value)
    return tensors or None


class _ArrayUnpickler(pickle.Unpickler):
    """Builds numpy arrays and what pickle has of its own, and refuses every other name."""

    def find_class(self, module: str, name: str) -> Any:
        """The numpy function or class of this name, if it only builds arrays."""
        if (module, name) not in _ARRAYS:
            raise pickle.UnpicklingError(f"{module}.{name}, which is neither an array nor plain data")
        return _ARRAYS[module, name]


def _reconstruct(subtype: object, shape: object, kind: object) -> Any:
    return np.ndarray(0)  # its state, which the pickle sets next, says all


def _dtype(kind: str, *rest: object) -> np.dtype[Any]:
    if not re.fullmatch(r"[biuf]\d+", kind):
        raise pickle.UnpicklingError(f"an array of kind {kind!r}, which does not hold numbers")
    return np.dtype(kind, copy=True)  # the pickle sets its byte order


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):  # what pickle writes for the bytes of an array
        raise pickle.UnpicklingError(f"bytes in the encoding {encoding!r}")
    return text.encode("latin1")


def _from_buffer(buffer: bytes, dtype: np.dtype[Any], shape: tuple[int, ...], order: Literal["C", "F"]) -> Any:
    return np.frombuffer(buffer, dtype).reshape(shape, order=order)


def _scalar(dtype: np.dtype[Any], data: bytes | str) -> Any:
    return np.frombuffer(data.encode("latin1") if isinstance(data, str) else data, dtype)[0]


# what the pickles of numpy 1 and 2 name; the class itself only tells `_reconstruct` what it makes
_ARRAYS: dict[tuple[str, str], Any] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): _dtype,
    ("_codecs", "encode"): _encode,
    ("collections", "OrderedDict"): dict,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _scalar for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _Empty:
    """Stands for an object of the history of a training, and holds nothing of it."""

    def __init__(self, *args: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...


def _empty(name: str) -> type[_Empty]:
    """A class that torch takes for the one of this full name."""
    module, _, own = name.rpartition(".")
    return type(own, (_Empty,), {"__module__": module, "__qualname__": own})


# mmengine's buffers hold arrays, and the functions that they average with as `getattr(buffer class, name)`
_HISTORY: list[Any] = [
    _empty(name)
    for name in (
        "mmengine.logging.history_buffer.HistoryBuffer",
        "builtins.getattr",
        "__builtin__.getattr",
        "numpy.ndarray",
        "numpy.dtype",
        "numpy.core.multiarray._reconstruct",
        "numpy.core.multiarray.scalar",
        "numpy._core.multiarray._reconstruct",
        "numpy._core.multiarray.scalar",
        "_codecs.encode",
    )
]
