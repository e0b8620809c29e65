"""Arrays of a .npz file that someone else may have written: all of them, or one error that says why not."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def read_arrays(path: Path, keys: Collection[str] | None = None) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a .npz file by name, without pickled objects.

    Args:
        path: the file.
        keys: read only those of these that are there; all when None.

    Raises:
        ValueError: the reason why the file cannot be read, without its name: it is no .npz, is damaged, holds pickled
            objects or what is no array, or holds a name twice (of which numpy would keep one in silence).
    """
    try:
        with open(path, "rb") as stream:  # numpy leaves the file open when the archive is damaged
            loaded = np.load(stream, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            names = loaded.files
            twice = sorted({name for name in names if names.count(name) > 1}) if len({*names}) < len(names) else []
            if twice:
                raise ValueError(f"it holds {twice[0]!r} twice, keep one")
            arrays = {name: loaded[name] for name in names if keys is None or name in keys}
    except Exception as error:  # damage reaches us as zlib.error, TokenError, NotImplementedError, MemoryError and more
        raise ValueError(" ".join(str(error).split()) or type(error).__name__) from error
    for name, array in arrays.items():
        if not isinstance(array, np.ndarray):  # numpy gives the bytes of a member that has not the form of an array
            raise ValueError(f"its member {name!r} is no array")
    return arrays
