"""The record of one annotated video, as its file states it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, eq=False, slots=True)
class AnnotatedVideo:
    """One video of an annotation file.

    Args:
        name: identifier in the file.
        subset: what the file calls its split, such as `training`; empty if it does not say.
        duration: seconds; None if the file does not say.
        labels: (I,) int64, number of the label of each interval.
        intervals: (I, 2) float64, start and end in seconds, exactly as written.
        where: file and line or key, for messages.
    """

    name: str
    subset: str
    duration: float | None
    labels: npt.NDArray[np.int64]
    intervals: npt.NDArray[np.float64]
    where: str
