"""One file a data set: label names and annotations; everything else is in `VideoDataModule`."""

from datamodules.activitynet import ActivityNetDataModule
from datamodules.annotated_videos import AnnotatedVideosDataModule
from datamodules.ava import AvaDataModule
from datamodules.base import VideoDataModule
from datamodules.charades import CharadesDataModule
from datamodules.charades_ego import CharadesEgoDataModule
from datamodules.folder import FolderDataModule
from datamodules.hmdb51 import HMDB51DataModule
from datamodules.hockey import HockeyDataModule
from datamodules.kinetics import KineticsDataModule
from datamodules.multithumos import MultiThumosDataModule
from datamodules.tempo_shapes import TempoShapesDataModule
from datamodules.ucf101 import UCF101DataModule
from datamodules.volleyball import VolleyballDataModule

__all__ = [
    "ActivityNetDataModule",
    "AnnotatedVideosDataModule",
    "AvaDataModule",
    "CharadesDataModule",
    "CharadesEgoDataModule",
    "FolderDataModule",
    "HMDB51DataModule",
    "HockeyDataModule",
    "KineticsDataModule",
    "MultiThumosDataModule",
    "TempoShapesDataModule",
    "UCF101DataModule",
    "VideoDataModule",
    "VolleyballDataModule",
]
