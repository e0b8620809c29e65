"""Loaders, rates and device-side normalisation that all data sets share.

Half of the file is the list of arguments: it is what `--data.help` prints, and must stand in one constructor.
"""

import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import lightning.pytorch as pl
import numpy as np
import torch
from torch.utils.data import DataLoader

from clips.dataset import ClipSpec, PastEnd, TrainClips, ViewedVideos, collate_train
from clips.feature_cache import CachedClips, FeatureCache
from clips.index_cache import IndexCache, content_stamp
from clips.rate_batches import RateBatches, RatePer, TrainLoader
from clips.sampling import ShortVideo
from clips.shards import Shard
from clips.targets import Target, Video
from clips.video_table import VideoTable
from clips.views import VideoViews, ViewBatch, Views, collate_views, normalise
from datamodules.arguments import (
    check_at_least,
    check_channels,
    check_positive,
    check_share,
    check_sizes,
    checked_rates,
    checked_views,
)
from datamodules.cached_features import fill_cache, open_cache
from datamodules.checks import LeftOut, check_apart, check_videos
from datamodules.files import to_predict
from datamodules.resume import batches_done, score_facts, trained_on

Split = Literal["train", "val", "test"]

_SPLITS: dict[str, tuple[Split, ...]] = {"fit": ("train", "val"), "validate": ("val",), "test": ("test",)}


class VideoDataModule(pl.LightningDataModule, ABC):
    """Multi-rate clips of annotated videos; a data set provides `label_names` and `read_split`.

    A training batch is a dictionary: `clips` float (B, 1, C, T, H, W), `labels` float (B, K), `index` int64 (B,), `rate`
    float (B,). A validation, test or prediction batch is a `clips.views.ViewBatch`, which yields its views a few at a time.

    Args:
        train_rates: downsampling rates to draw training clips at: one for stage 1, {s/2, s, 2s} for stage 2.
        rate_per: draw one rate for each `batch` (Algorithm 1 of the papers) or for each `clip`.
        test_views: rate -> [positions in time, crops]; {2: [3, 3], 4: [4, 3], 8: [3, 3]} are the papers' 30 views.
        val_views: the same for validation; by default one central crop at each of three positions of each training rate.
        num_frames: frames in a clip.
        fps: nominal frame rate in which rates are counted; null for each file's own.
        folder_fps: frames a second of videos that are folders of frames.
        short_video: a video shorter than the clip repeats its last frame (`repeat_last`) or starts again (`loop`).
        target: labels of a training clip: those that touch its span (`overlap`), those of the whole `video`, or the
            `fraction` of the span that each covers.
        short_side: smallest and largest short side of training frames in pixels (scale jitter).
        crop_size: pixels; training crops are random.
        flip: mirror half of the training clips; switch it off when left and right are labels.
        test_short_side: short side of test frames; crops are spread along the long side.
        mean: of each channel, of pixels scaled to 0..1.
        std: of each channel, of pixels scaled to 0..1.
        batch_size: training clips of one process.
        test_batch_size: videos of one process.
        clips_per_video: how often an epoch draws each training video.
        num_workers: loader processes.
        views_per_step: test views that go through the network at once.
        max_broken: share of training videos that may be unreadable before training stops.
        broken_test: `error` stops at an unreadable test video; `report` counts it as scored lowest and lists it.
        past_end: an interval past the end of its video is an `error`, or cut there (`clip`).
        past_end_tolerance: seconds that an interval may end late, for annotations that round.
        leave_out: text file with one video name a line: videos of the annotations that are missing or broken here. With AVA
            and Volleyball the name before the slash stands for all moments of a video: the movie of `MOVIE/0902`.
        index_cache: folder in which the frame times of each video are kept, for all processes and later runs; made where it
            is absent, filled as videos are opened, or at once by the command `scan`.
        predict: what `predict` reads: a video, a folder of videos, or a text file with one path a line.
        curve_step: seconds between the points of a predicted score curve; null for none.

    Raises:
        ValueError: if an argument is out of range.
    """

    label_names: list[str]
    left_out_below = False  # whether names are `VIDEO/MOMENT`, and a listed VIDEO stands for all of them

    def __init__(
        self,
        train_rates: list[float] = [4],  # noqa: B006  jsonargparse shows the default; it is never changed
        rate_per: RatePer = "batch",
        test_views: dict[float, tuple[int, int]] | None = None,
        val_views: dict[float, tuple[int, int]] | None = None,
        num_frames: int = 32,
        fps: float | None = None,
        folder_fps: float | None = None,
        short_video: ShortVideo = "repeat_last",
        target: Target = "overlap",
        short_side: tuple[int, int] = (256, 320),
        crop_size: int = 224,
        flip: bool = True,
        test_short_side: int = 256,
        mean: tuple[float, float, float] = (0.45, 0.45, 0.45),
        std: tuple[float, float, float] = (0.225, 0.225, 0.225),
        batch_size: int = 12,
        test_batch_size: int = 1,
        clips_per_video: int = 1,
        num_workers: int = 2,
        views_per_step: int = 6,
        max_broken: float = 0.05,
        broken_test: Literal["error", "report"] = "error",
        past_end: PastEnd = "error",
        past_end_tolerance: float = 1.0,
        leave_out: Path | None = None,
        index_cache: Path | None = None,
        predict: Path | None = None,
        curve_step: float | None = 1.0,
    ) -> None:
        super().__init__()
        self.train_rates = checked_rates("train_rates", train_rates)
        self.test_views = checked_views("test_views", test_views or {rate: (10, 3) for rate in self.train_rates})
        self.val_views = checked_views("val_views", val_views or {rate: (3, 1) for rate in self.train_rates})
        check_sizes(short_side, test_short_side, crop_size)
        check_channels(mean, std)
        check_positive(fps=fps, folder_fps=folder_fps, curve_step=curve_step)
        check_share("max_broken", max_broken)
        check_at_least(0, num_workers=num_workers, past_end_tolerance=past_end_tolerance)
        check_at_least(1, num_frames=num_frames, crop_size=crop_size, clips_per_video=clips_per_video)
        check_at_least(1, batch_size=batch_size, test_batch_size=test_batch_size, views_per_step=views_per_step)
        self.rate_per, self.target, self.flip, self.short_side = rate_per, target, flip, short_side
        self.test_short_side, self.batch_size, self.test_batch_size = test_short_side, batch_size, test_batch_size
        self.clips_per_video, self.num_workers, self.views_per_step = clips_per_video, num_workers, views_per_step
        self.max_broken, self.broken_test = max_broken, broken_test
        self.predict_path, self.curve_step = predict, curve_step
        self.mean, self.std = torch.tensor(mean), torch.tensor(std)
        if index_cache is not None:
            IndexCache(index_cache)  # refuses what cannot be a folder
        self.spec = ClipSpec(
            num_frames, fps, folder_fps, short_video, crop_size, past_end, past_end_tolerance, index_cache
        )
        self.left_out = LeftOut(leave_out, self.left_out_below)
        self.videos: dict[str, VideoTable] = {}
        self.broken: dict[str, str] = {}
        self._resumed: dict[str, Any] = {}
        self.scored_before: Callable[[set[int]], Mapping[int, torch.Tensor]] | None = None
        self.features: FeatureCache | None = None

    @property
    def num_labels(self) -> int:
        """Number of labels K; linked to the model's `num_labels`."""
        return len(self.label_names)

    @abstractmethod
    def read_split(self, split: Split) -> Sequence[Video]:
        """The videos of a split; empty if the data set has no such split.

        A list of records will do; a `VideoTable` is for hundreds of thousands of them.
        """

    def setup(self, stage: str) -> None:
        """Read the splits that the stage needs.

        Raises:
            ValueError: if a split that is needed is empty, names a video twice, or names a file that does not exist; if a
                file is in the training split and in another; if `leave_out` names a video that no split has.
        """
        if stage == "predict":
            self.videos["predict"] = VideoTable.from_videos(to_predict(self.predict_path))
            return
        if stage == "fit":
            self.features = None  # of an earlier fit with these data
        splits: tuple[Split, ...] = _SPLITS[stage]
        for split in splits:
            videos = self._read(split)
            if not videos and split == "test":  # data sets such as Charades are tested on their validation videos
                videos = self._read("val")
            if not videos and not (stage == "fit" and split == "val"):
                raise ValueError(
                    f"the {split} split of {type(self).__name__} is empty; check its annotations and splits"
                )
            check_videos(videos, split)
            self.videos[split] = videos
        if stage == "fit":
            check_apart(self.videos["train"], self.videos["val"] or self._read("test"))
        if self.left_out:
            for split in {*_SPLITS["fit"], *_SPLITS["test"]} - set(splits):
                self._read(split)  # only to see which of the listed videos are there
            self.left_out.check()

    def _read(self, split: Split) -> VideoTable:
        videos = VideoTable.from_videos(self.read_split(split))
        if not self.left_out:
            return videos
        return videos.take(np.flatnonzero([name not in self.left_out for name in videos.names()]))

    def cooccurrence(self) -> torch.Tensor:
        """int64 (K, K), training videos that have both labels; the diagonal counts those that have one."""
        videos = self.videos.get("train") or self._read("train")
        return torch.from_numpy(videos.cooccurrence(self.num_labels))

    def train_dataloader(self) -> DataLoader[Any]:
        """Clips at random starts, their rates drawn by `clips.rate_batches.RateBatches`; or cached features of such."""
        dataset: Any = (
            self.train_clips() if self.features is None else CachedClips(self.features, len(self.videos["train"]))
        )
        rank, world_size = self._place()
        batches = RateBatches(
            len(dataset),
            self.batch_size,
            self.train_rates,
            per=self.rate_per,
            clips_per_video=self.clips_per_video,
            rank=rank,
            world_size=world_size,
            seed=int(os.environ.get("PL_GLOBAL_SEED", 0)),
            done=lambda: batches_done(self.trainer, batches, self._resumed.get("batches")),
        )
        if self.trainer:  # it does not know that the sampler leaves out what is done
            warnings.filterwarnings("ignore", message="You're resuming from a checkpoint that ended before the epoch")
        return TrainLoader(dataset, batch_sampler=batches, collate_fn=collate_train, **self._loader_options())

    def train_clips(self) -> TrainClips:
        """The training clips, each by its `Draw`."""
        return TrainClips(
            self.videos["train"],
            self.num_labels,
            self.spec,
            target=self.target,
            short_side=self.short_side,
            flip=self.flip,
        )

    def cache_features(self, root: Path, num_clips: int) -> None:
        """Train on cached features of `num_clips` clips per video and rate; `fill_features` must follow before a step."""
        self.features = FeatureCache(root, num_clips)

    def fill_features(
        self, extract: Callable[[torch.Tensor], torch.Tensor], device: torch.device, key: dict[str, Any]
    ) -> int:
        """Compute what the cache lacks, each process its share; the clips of all. See `datamodules.cached_features`."""
        assert self.features is not None
        open_cache(self, self.features, extract, device, key)
        return fill_cache(self, self.features, extract, device, *self._place())

    def state_dict(self) -> dict[str, Any]:
        """How the training batches are drawn, for checkpoints in mid-epoch."""
        batches = trained_on(self.trainer)
        return {"batches": batches.plan} if batches else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep how they were drawn until the epoch goes on."""
        self._resumed = state_dict

    def val_dataloader(self) -> DataLoader[Any] | list[DataLoader[Any]]:
        """Fixed views of the validation videos; none if the data set has no validation split."""
        if not self.videos.get("val"):
            warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
            return []
        return self._view_loader("val", self.val_views)

    def test_dataloader(self) -> DataLoader[Any]:
        """All test views of each test video; none of those that `scored_before`, which is asked once, has logits of."""
        ask, self.scored_before = self.scored_before, None
        scored = ask(set(Shard(len(self.videos["test"]), *self._place()))) if ask else None
        return self._view_loader("test", self.test_views, scored=scored)

    def score_facts(self) -> dict[str, Any]:
        """What the scores of the test videos depend on, besides the weights."""
        return score_facts(self)

    def score_stamp(self, number: int) -> tuple[int, int] | None:
        """Bytes and time of change of a test video, ns; None if it is not there."""
        return content_stamp(self.videos["test"][number].path)

    def predict_dataloader(self) -> DataLoader[Any]:
        """All test views, and the views of the score curve, of the videos under `predict`."""
        return self._view_loader("predict", self.test_views, self.curve_step)

    def _view_loader(
        self,
        split: str,
        views: Views,
        curve_step: float | None = None,
        scored: Mapping[int, torch.Tensor] | None = None,
    ) -> DataLoader[Any]:
        dataset = ViewedVideos(
            self.videos[split],
            self.num_labels,
            self.spec,
            views=views,
            short_side=self.test_short_side,
            broken=self.broken_test,
            curve_step=curve_step,
            scored=scored,
        )
        num_views = sum(positions * crops for positions, crops in views.values())
        loader: DataLoader[VideoViews] = DataLoader(
            dataset,
            batch_size=self.test_batch_size if curve_step is None else 1,
            sampler=Shard(len(dataset), *self._place()),
            collate_fn=partial(collate_views, num_views=num_views, views_per_step=self.views_per_step),
            **self._loader_options(),
        )
        return loader

    def _place(self) -> tuple[int, int]:
        """Rank and number of processes."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _loader_options(self) -> dict[str, Any]:
        workers = self.num_workers
        return {"num_workers": workers, "persistent_workers": workers > 0, "pin_memory": torch.cuda.is_available()}

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Count unreadable training videos; see `count_broken`."""
        if isinstance(batch, dict) and "broken" in batch:
            self.count_broken(batch.pop("broken"))
        return batch

    def count_broken(self, broken: Mapping[str, str]) -> None:
        """Take note of unreadable training videos, by name and reason, and stop if they are too many.

        Raises:
            ValueError: if more than the share `max_broken` of the training videos could not be read.
        """
        self.broken.update(broken)
        total = len(self.videos["train"])
        if len(self.broken) > self.max_broken * total:
            listing = "\n".join(f"  {name}: {reason}" for name, reason in sorted(self.broken.items())[:10])
            raise ValueError(
                f"{len(self.broken)} of {total} training videos cannot be read, more than max_broken "
                f"({self.max_broken:g}) allows; mend or remove them:\n{listing}"
            )

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Normalise training clips on the device, not cached features; tell test batches how to normalise theirs."""
        if isinstance(batch, ViewBatch):
            return ViewBatch(batch.videos, batch.num_views, batch.views_per_step, self.mean, self.std)
        clips = batch["clips"]
        batch["clips"] = normalise(clips, self.mean, self.std) if clips.dtype == torch.uint8 else clips.float()
        return batch
