"""Truth and predictions must cover the same videos; with --allow-missing what they do not share is counted and said."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Coverage:
    """How truth and predictions cover each other.

    Args:
        missing: truth videos without a prediction.
        unknown: predicted videos that are not in the truth.
        notes: what was done about them.
    """

    missing: list[str]
    unknown: list[str]
    notes: list[str]

    @property
    def facts(self) -> dict[str, Any]:
        """Counts for the JSON file."""
        return {"num_missing_videos": len(self.missing), "num_unknown_videos": len(self.unknown)}


def cover(
    truth: Collection[str],
    path: Path,
    where: Mapping[str, str],
    *,
    allow_missing: bool,
    missing_are: str,
    unknown_are: str = "left out",
) -> Coverage:
    """Compare the videos of truth and predictions.

    Args:
        truth: names of the truth videos.
        path: the file of predictions.
        where: name of each predicted video -> place in the file.
        allow_missing: go on when they differ.
        missing_are: what happens to a truth video without a prediction then, such as `ranked last`.
        unknown_are: what is said of predictions of other videos then.

    Raises:
        ValueError: they differ and that is not allowed, or they have nothing in common.
    """
    known = set(truth)
    missing = [name for name in truth if name not in where]
    unknown = [name for name in where if name not in known]
    if len(unknown) == len(where):
        seen, wanted = next(iter(where), None), next(iter(truth), None)
        raise ValueError(
            f"{path}: none of its {len(where)} videos is in the truth, which has {len(known)}; expected the same names, got "
            f"{seen!r} here and {wanted!r} there; check --truth, the subset and the form of the names"
        )
    texts = []
    if unknown:
        texts.append(f"{len(unknown)} of {len(where)} predicted videos are not in the truth ({_first(unknown)})")
    if missing:
        texts.append(f"{len(missing)} of {len(known)} truth videos have no prediction ({_first(missing)})")
    if texts and not allow_missing:
        place = f", {where[unknown[0]]}" if unknown else ""
        raise ValueError(
            f"{path}{place}: {'; '.join(texts)}; expected the same videos in both; check --truth, the subset and the names, "
            "or pass --allow-missing: predictions of unknown videos are then left out, and truth videos without any "
            f"{missing_are}"
        )
    ends = ([unknown_are] if unknown else []) + ([missing_are] if missing else [])
    return Coverage(missing, unknown, [f"{text}: {end}" for text, end in zip(texts, ends, strict=True)])


def _first(names: list[str]) -> str:
    """The first names of a list, for messages."""
    return ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
