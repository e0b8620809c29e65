"""One file a data set: label names and annotations; everything else is in `VideoDataModule`."""

from datamodules.annotated_videos import AnnotatedVideosDataModule
from datamodules.base import VideoDataModule
from datamodules.folder import FolderDataModule
from datamodules.tempo_shapes import TempoShapesDataModule

__all__ = ["AnnotatedVideosDataModule", "FolderDataModule", "TempoShapesDataModule", "VideoDataModule"]
