"""UCF-101: the official lists of the three folds.

Soomro et al., UCF101: A Dataset of 101 Human Actions Classes From Videos in The Wild (https://arxiv.org/abs/1212.0402).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from annotations.records import AnnotatedVideo
from annotations.values import annotated_video, read_text


def read_ucf101(path: Path, label_names: Sequence[str]) -> list[AnnotatedVideo]:
    """Read `trainlist01.txt` or `testlist01.txt`, with lines `CLASS/v_CLASS_g08_c01.avi` and perhaps a class number.

    Args:
        path: the list.
        label_names: K names in the order of `classInd.txt`; its class 1 is label 0.

    Returns:
        One record a line, named `CLASS/v_CLASS_g08_c01`, with one label of the whole video. The class is that of the
        folder; a number behind it, as the training lists have, must be the number of that class.

    Raises:
        ValueError: naming file and line: unknown class, other number than that of the class, video listed twice.
    """
    numbers = {name: k for k, name in enumerate(label_names)}
    records: dict[str, AnnotatedVideo] = {}
    for line, text in enumerate(read_text(path).splitlines(), 1):
        if not text.strip():
            continue
        where, parts = f"{path}, line {line}", text.split()
        video = PurePosixPath(parts[0])
        folder = video.parent.name
        if len(video.parts) != 2 or len(parts) > 2:
            raise ValueError(f"{where}: expected 'CLASS/video.avi' and perhaps the number of the class, got {text!r}")
        if folder not in numbers:
            raise ValueError(
                f"{where}: unknown class {folder!r}; expected one of {len(numbers)}, such as {label_names[0]}"
            )
        if len(parts) == 2 and parts[1] != str(numbers[folder] + 1):
            raise ValueError(f"{where}: class {folder} has number {numbers[folder] + 1}, but the line says {parts[1]}")
        name = str(video.with_suffix(""))
        if name in records:
            raise ValueError(f"{where}: video {name} is listed before, at {records[name].where}; keep one")
        records[name] = annotated_video(name, "", None, [(numbers[folder], 0.0, math.inf)], where)
    if not records:
        raise ValueError(f"list file {path} is empty; expected one video a line")
    return list(records.values())
