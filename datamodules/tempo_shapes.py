"""TempoShapes, the embedded data set: shapes that move at many tempos, made on first use."""

from pathlib import Path
from typing import Any, Literal

from clips import shapes
from clips.video_table import VideoTable
from datamodules.annotations import read_annotations
from datamodules.base import Split, VideoDataModule


class TempoShapesDataModule(VideoDataModule):
    """Sixteen activities of moving shapes, some brief, some slow; `docs/tempo_shapes.md` says what it can show.

    Args:
        root: folder of the data set; the videos are written to `root/SIZE` unless they are there.
        size: `tiny` for tests, `demo` for minutes on a CPU, `full` for more.
        data_seed: seed of the generator.
        **kwargs: see `VideoDataModule`.
    """

    def __init__(
        self,
        root: Path = Path("data/tempo_shapes"),
        size: Literal["tiny", "demo", "full"] = "demo",
        data_seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.label_names = list(shapes.LABELS)
        self.folder = root / size
        self.size: Literal["tiny", "demo", "full"] = size
        self.data_seed = data_seed

    def prepare_data(self) -> None:
        """Write the videos that are not there yet; a folder of another seed or version is an error."""
        shapes.write(self.folder, self.size, self.data_seed)

    def read_split(self, split: Split) -> VideoTable:
        """The videos of a split."""
        annotations = read_annotations(self.folder / "annotations.csv")
        return annotations.split_videos(split, self.label_names, self.folder)
