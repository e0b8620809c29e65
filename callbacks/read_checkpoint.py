"""Read checkpoints as data: what a file wants to have called is refused, by name."""

import pickle
import pickletools
import warnings
from pathlib import Path
from typing import Any

import torch

_PLAIN = ("torch", "collections")  # whose names checkpoints of plain tensors hold
_PARTS = 4  # pickles in a file of torch before 1.6: two numbers, the system, the object


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """The content of a checkpoint on the CPU, whatever the environment says of `weights_only`.

    Args:
        path: Local file, as Lightning or `torch.save` write it.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, holds no dictionary, or names anything to call; none of it was called then.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"Checkpoint file not found: {path}; give the path of a checkpoint")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of file formats that are refused anyway
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # damaged bytes make the reader raise almost anything
        names = _names(path)
        if names:
            raise ValueError(
                f"checkpoint {path} must hold tensors and plain data, got objects that call {', '.join(names)} when they are "
                "loaded; nothing in it was called. From somebody you do not know, delete it. If you wrote it, load it once "
                "with torch.load(path, weights_only=False) and save the tensors alone: torch.save({'state_dict': ...}, path)"
            ) from error
        raise ValueError(
            f"checkpoint {path} cannot be read, {path.stat().st_size} bytes that stop at: {_reason(error)}; it is damaged or "
            "no checkpoint: take an earlier one, or copy it again"
        ) from error
    if not isinstance(checkpoint, dict):
        raise ValueError(
            f"checkpoint {path} must hold a dictionary, got {type(checkpoint).__name__}; give one that Lightning wrote"
        )
    return checkpoint


def _reason(error: BaseException) -> str:
    """The first sentence of an error, without the advice of torch to read the file unsafely."""
    if isinstance(error, pickle.UnpicklingError) and error.__context__ is not None:
        error = error.__context__
    return str(error).split(". ")[0].split("\n")[0].strip() or type(error).__name__


def _names(path: Path) -> list[str]:
    """What the file would have called, as far as can be told without unpickling."""
    try:
        return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # a pickle without the archive around it, or damaged
        pass
    found: set[str] = set()
    with path.open("rb") as file:
        try:
            for _ in range(_PARTS):
                strings: list[str] = []
                for opcode, argument, _ in pickletools.genops(file):
                    if opcode.name in ("GLOBAL", "INST"):
                        found.add(str(argument).replace(" ", "."))
                    elif opcode.name == "STACK_GLOBAL":
                        found.add(".".join(strings[-2:]))
                    elif isinstance(argument, str):
                        strings.append(argument)
        except Exception:  # the end of the file, or bytes that are no pickle
            pass
    return sorted(name for name in found if name.split(".")[0] not in _PLAIN)
