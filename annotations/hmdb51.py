"""HMDB-51: the official 70/30 lists of the three folds, one file a class and fold.

Kuehne et al., HMDB: A Large Video Database for Human Motion Recognition (ICCV 2011).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from annotations.records import AnnotatedVideo
from annotations.values import annotated_video, read_text

_SUBSETS = {"0": "", "1": "train", "2": "test"}


def read_hmdb51(folder: Path, fold: int, label_names: Sequence[str]) -> list[AnnotatedVideo]:
    """Read the files `CLASS_test_split1.txt` of a fold, with lines `video.avi 1`.

    Args:
        folder: of the lists, `testTrainMulti_7030_splits`.
        fold: 1, 2 or 3.
        label_names: K names; label k is the class `label_names[k]`.

    Returns:
        One record for each line, named `CLASS/video`, with one label of the whole video. Subset is `train` for the
        number 1, `test` for 2 and empty for 0, a video that the fold does not use.

    Raises:
        ValueError: a class has no file or an empty one; naming file and line: wrong number of cells, number that is not
            0, 1 or 2, video listed twice.
    """
    records: dict[str, AnnotatedVideo] = {}
    for label, label_name in enumerate(label_names):
        path = folder / f"{label_name}_test_split{fold}.txt"
        if not path.is_file():
            raise ValueError(
                f"list file {path} does not exist; expected one for each of the {len(label_names)} classes"
            )
        lines = [(line, text) for line, text in enumerate(read_text(path).splitlines(), 1) if text.strip()]
        if not lines:
            raise ValueError(f"list file {path} is empty; expected one video of the class a line")
        for line, text in lines:
            where, (video, _, number) = f"{path}, line {line}", text.strip().rpartition(" ")
            if not video or number not in _SUBSETS:
                raise ValueError(
                    f"{where}: expected 'video.avi N' with N 1 for training, 2 for test, 0 for neither, got {text!r}"
                )
            name = f"{label_name}/{Path(video.strip()).stem}"
            if name in records:
                raise ValueError(f"{where}: video {name} is listed before, at {records[name].where}; keep one")
            records[name] = annotated_video(name, _SUBSETS[number], None, [(label, 0.0, math.inf)], where)
    return list(records.values())
