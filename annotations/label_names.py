"""The class names of the data sets, in the order of their official numbers."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "labels"


def label_names(dataset: str) -> list[str]:
    """The class names of a data set: `labels/<dataset>.txt`, one a line, line k being label number k.

    Raises:
        ValueError: no list of that name is shipped.
    """
    path = _FOLDER / f"{dataset}.txt"
    if not path.is_file():
        known = sorted(file.stem for file in _FOLDER.glob("*.txt"))
        raise ValueError(f"no class names of {dataset!r}; there are lists of {', '.join(known)}")
    return path.read_text(encoding="utf-8").splitlines()
