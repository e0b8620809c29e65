import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clips.decoding import VideoError, read_frames, read_index
from clips.encoding import write_video
from clips.views import ViewBatch, normalise
from datamodules import AnnotatedVideosDataModule, FolderDataModule, VideoDataModule
from datamodules.checks import LeftOut
from tests.clips.test_frame_folder import write_picture
from tests.conftest import LABELS, settings

Make = Callable[..., AnnotatedVideosDataModule]


@pytest.fixture
def make(tiny: Path, tmp_path: Path) -> Make:
    """A data module over a copy of the tiny set, its annotation text changed by `edit`."""
    folder = tmp_path / "copy"
    shutil.copytree(tiny, folder)

    def build(edit: Callable[[str], str] = lambda text: text, **changes: Any) -> AnnotatedVideosDataModule:
        path = folder / "annotations.csv"
        path.write_text(edit(path.read_text()))
        return AnnotatedVideosDataModule(**{**settings(folder), "annotations": path, **changes})

    return build


def batches(data: VideoDataModule, loader: str = "train") -> list[Any]:
    data.setup("fit" if loader in ("train", "val") else loader)
    return [data.on_before_batch_transfer(batch, 0) for batch in getattr(data, f"{loader}_dataloader")()]


def test_training_batch_holds_clips_and_the_labels_of_each_clips_own_span(make: Make) -> None:
    data = make(train_rates=[2, 4, 8], rate_per="clip", batch_size=6, crop_size=36, short_side=(36, 36), flip=False)
    (batch,) = batches(data)
    assert batch["clips"].shape == (6, 1, 3, 4, 36, 36) and batch["clips"].dtype == torch.uint8
    assert batch["labels"].shape == (6, 5) and batch["index"].dtype == torch.int64
    videos = data.videos["train"]
    for clip, labels, number, rate in zip(*(batch[key] for key in ("clips", "labels", "index", "rate")), strict=True):
        video = videos[int(number)]
        index = read_index(video.path)
        every = read_frames(index, np.arange(index.total_frames), (36, 36))
        # find the clip in the video by its pixels; its span must then have exactly these labels
        starts = [
            start
            for start in range(index.total_frames)
            if torch.equal(
                every[[min(start + int(rate) * i, index.total_frames - 1) for i in range(4)]],
                clip[0].permute(1, 2, 3, 0),
            )
        ]
        assert starts, "the clip shows frames `rate` apart"
        expected = [
            video.clip_labels(s / 24, min(s + 3 * float(rate), index.total_frames - 1) / 24, 5, "overlap").tolist()
            for s in starts
        ]
        assert labels.tolist() in expected


def test_one_rate_a_batch_by_default_and_epochs_differ(make: Make) -> None:
    data = make(train_rates=[2, 4, 8], clips_per_video=6)
    data.setup("fit")
    loader = data.train_dataloader()
    first = list(loader)
    rates = {float(rate) for batch in first for rate in batch["rate"]}
    assert rates <= {2, 4, 8} and len(rates) > 1
    assert all(len(set(batch["rate"].tolist())) == 1 for batch in first)
    again = list(loader)
    assert all(torch.equal(a["clips"], b["clips"]) for a, b in zip(first, again, strict=True))
    loader.batch_sampler.sampler.set_epoch(1)  # type: ignore[union-attr]
    assert not torch.equal(first[0]["clips"], next(iter(loader))["clips"])


def test_the_draws_do_not_depend_on_the_number_of_workers(make: Make) -> None:
    alone, helped = batches(make()), batches(make(num_workers=2))
    assert all(torch.equal(a["clips"], b["clips"]) for a, b in zip(alone, helped, strict=True))


def test_views_equal_frames_cut_one_by_one(make: Make) -> None:
    data = make(test_views={2: (2, 3), 8: (1, 1)}, views_per_step=4, crop_size=20, test_batch_size=2)
    batch = data.on_after_batch_transfer(batches(data, "test")[0], 0)
    assert isinstance(batch, ViewBatch) and len(batch) == 2 and batch.num_views == 7
    views = list(batch.views())
    assert [len(part) for part in views] == [4, 4, 4, 2]
    (clips,) = [torch.cat(views)]
    for place, number in enumerate(batch.index.tolist()):
        index = read_index(data.videos["test"][number].path)
        last = index.total_frames - 1
        wanted = [(start, 2, left) for start in (0, last - 6) for left in (0, 8, 16)] + [((last - 24) // 2, 8, 8)]
        every = read_frames(index, np.arange(index.total_frames), (36, 36))
        for view, (start, rate, left) in enumerate(wanted):
            frames = every[[start + rate * i for i in range(4)], 8:28, left : left + 20].permute(3, 0, 1, 2)
            expected = (frames.double() / 255 - 0.45) / 0.225
            assert torch.allclose(clips[place * 7 + view].double(), expected, atol=1e-5)
    unfolded = batch.unfold(torch.arange(14.0)[:, None])
    assert unfolded[:, :, 0].tolist() == [list(range(7)), list(range(7, 14))]


def test_normalise_equals_the_formula() -> None:
    clips = torch.randint(0, 256, (2, 3, 2, 4, 4), dtype=torch.uint8)
    mean, std = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.5, 0.4, 0.3])
    literal = (clips.double() / 255 - mean.double().view(3, 1, 1, 1)) / std.double().view(3, 1, 1, 1)
    assert torch.allclose(normalise(clips, mean, std).double(), literal, atol=1e-5)


def test_cooccurrence_counts_videos(make: Make) -> None:
    data = make()
    data.setup("fit")
    expected = np.zeros((5, 5), int)
    for video in data.videos["train"]:
        for j in set(video.labels.tolist()):
            for k in set(video.labels.tolist()):
                expected[j, k] += 1
    assert data.cooccurrence().tolist() == expected.tolist() and data.label_names == LABELS


# Bad input -----------------------------------------------------------------------------------------------------------


def break_file(data: AnnotatedVideosDataModule, name: str, kind: str) -> None:
    path = data.root / name
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("this is no video")
    else:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("kind", ["empty", "text", "truncated"])
def test_broken_training_video_is_replaced_counted_and_listed(make: Make, kind: str) -> None:
    data = make(max_broken=0.5)
    break_file(data, "train_2.mp4", kind)
    clips = batches(data)
    assert sum(len(batch["clips"]) for batch in clips) == 6
    assert 2 not in torch.cat([batch["index"] for batch in clips])
    assert list(data.broken) == ["train_2.mp4"] and "train_2.mp4" in data.broken["train_2.mp4"]


def test_too_many_broken_training_videos_stop_the_fit(make: Make) -> None:
    data = make()
    break_file(data, "train_2.mp4", "empty")
    with pytest.raises(ValueError, match=r"1 of 6 training videos cannot be read, more than max_broken \(0\.05\)"):
        batches(data)


def test_broken_test_video_is_an_error_or_reported(make: Make) -> None:
    data = make()
    break_file(data, "test_1.mp4", "truncated")
    with pytest.raises(VideoError, match=r"test_1\.mp4"):
        batches(data, "test")
    reported = make(broken_test="report", test_batch_size=5)
    (batch,) = batches(reported, "test")
    assert list(batch.errors) == [1] and "test_1.mp4" in batch.errors[1]
    views = sum(len(part) for part in batch.views())
    logits = batch.unfold(torch.zeros(views, 5))
    assert logits.shape == (5, 2, 5) and logits[1].isinf().all() and logits[[0, 2, 3, 4]].isfinite().all()


@pytest.mark.parametrize(
    ("stage", "edit", "changes", "message"),
    [
        (
            "fit",
            lambda t: t.replace("train_0.mp4", "gone.mp4"),
            {},
            r"1 of 6 videos of the train split do not exist.*gone",
        ),
        ("fit", lambda t: t.replace(",train", ",test"), {}, "the train split of AnnotatedVideosDataModule is empty"),
        ("test", lambda t: t.replace(",test", ",train").replace(",val", ",train"), {}, "the test split .* is empty"),
    ],
)
def test_bad_split_is_refused(
    make: Make, stage: str, edit: Callable[[str], str], changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(edit, **changes).setup(stage)


def test_interval_past_the_end_names_file_interval_and_remedy(make: Make) -> None:
    def late(text: str) -> str:
        return text + "train_0.mp4,ball,1,60,train\n"

    with pytest.raises(ValueError, match=r"train_0\.mp4: interval 1 to 60 s .* past the end .* set past_end: clip"):
        batches(make(late))
    assert len(batches(make(past_end="clip"))) == 2


def test_rate_that_leaves_one_frame_names_the_file(make: Make) -> None:
    with pytest.raises(ValueError, match=r"train_\d\.mp4: rate 200 leaves one frame"):
        batches(make(train_rates=[200]))
    with pytest.raises(ValueError, match=r"test_\d\.mp4: rate 200 leaves one frame"):
        batches(make(test_views={200: (1, 1)}), "test")


def test_split_lists_replace_the_column_and_refuse_repeats(make: Make, tmp_path: Path) -> None:
    train, test = tmp_path / "train.txt", tmp_path / "test.txt"
    train.write_text("train_0.mp4\nval_1.mp4\n")
    test.write_text("test_3.mp4\n")
    data = make(splits={"train": train, "test": test})
    data.setup("fit")
    assert [video.name for video in data.videos["train"]] == ["train_0.mp4", "val_1.mp4"]
    test.write_text("val_1.mp4\n")
    with pytest.raises(ValueError, match=r"'val_1\.mp4' is in the train list and in the test list"):
        make(splits={"train": train, "test": test})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"crop_size": 40}, r"crop_size 40 must fit into short_side \[32, 36\] and test_short_side 36"),
        ({"short_side": (40, 36)}, r"short_side must be \[smallest, largest\], got \[40, 36\]"),
        ({"batch_size": 0}, "must be at least 1"),
        ({"max_broken": 2.0}, "max_broken is a share"),
        ({"curve_step": 0.0}, "curve_step must be positive"),
        ({"test_views": {4: (0, 1)}}, r"test_views maps a positive rate to \[positions, crops\]"),
    ],
)
def test_bad_argument_is_named(make: Make, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(**changes)


# One folder a class --------------------------------------------------------------------------------------------------


@pytest.fixture
def classes(tmp_path: Path) -> Path:
    for split, count in (("train", 2), ("test", 1)):
        for name in ("run", "jump"):
            (tmp_path / "set" / split / name).mkdir(parents=True)
            for number in range(count):
                frames = np.random.default_rng(number).integers(0, 255, (12, 40, 40, 3)).astype(np.uint8)
                write_video(tmp_path / "set" / split / name / f"{number}.mp4", frames)
    return tmp_path / "set"


def folder_settings() -> dict[str, Any]:
    return {key: value for key, value in settings(Path()).items() if key != "annotations"}


def test_folders_are_labels_and_lists_of_ucf_style_work(classes: Path, tmp_path: Path) -> None:
    data = FolderDataModule(classes, **folder_settings())
    data.setup("fit")
    assert data.label_names == ["jump", "run"]
    assert [video.video_labels(2).tolist() for video in data.videos["train"]] == [[1, 0], [1, 0], [0, 1], [0, 1]]
    train = tmp_path / "trainlist.txt"
    train.write_text("run/0.mp4 2\nrun/1.mp4 2\n")
    listed = FolderDataModule(classes / "train", splits={"train": train}, **folder_settings())
    listed.setup("fit")
    assert [video.name for video in listed.videos["train"]] == ["run/0.mp4", "run/1.mp4"]


def test_folder_errors_name_the_remedy(classes: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        FolderDataModule(tmp_path / "none", **folder_settings())
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"no video in .*; expected .*/train/CLASS/video\.mp4"):
        FolderDataModule(tmp_path / "empty", **folder_settings())
    labels = tmp_path / "labels.txt"
    labels.write_text("run\n")
    with pytest.raises(ValueError, match="videos lie in folder 'jump', which is not among the labels"):
        FolderDataModule(classes, labels=labels, **folder_settings())


def test_left_out_videos_are_in_no_split_and_may_be_absent(make: Make, tmp_path: Path) -> None:
    (tmp_path / "absent.txt").write_text("train_0.mp4\nval_1.mp4\n")
    data = make(leave_out=tmp_path / "absent.txt")
    (data.root / "train_0.mp4").unlink()
    everything = make().cooccurrence()
    assert int((everything - data.cooccurrence()).sum()) > 0
    data.setup("fit")
    names = {split: [video.name for video in videos] for split, videos in data.videos.items()}
    assert len(names["train"]) == 5 and len(names["val"]) == 2
    assert not {"train_0.mp4", "val_1.mp4"} & {*names["train"], *names["val"]}


def test_folders_of_frames_need_their_rate_and_then_train(make: Make, tmp_path: Path) -> None:
    def as_folders(text: str) -> str:
        return text.replace(".mp4", "")

    data = make(as_folders)
    for path in sorted(data.root.rglob("*.mp4")):
        path.with_suffix("").mkdir()
        index = read_index(path)
        for k, frame in enumerate(read_frames(index, np.arange(index.total_frames)).numpy()):
            write_picture(path.with_suffix("") / f"{k + 1:06d}.png", frame)
        path.unlink()
    with pytest.raises(ValueError, match="folder_fps must be the frame rate"):
        batches(data)
    (batch,) = batches(make(as_folders, folder_fps=24, batch_size=6))
    assert batch["clips"].shape[0] == 6 and "broken" not in batch


def test_list_of_videos_to_leave_out_that_fits_nothing_is_refused(make: Make, tmp_path: Path) -> None:
    (tmp_path / "absent.txt").write_text("train_0.mp4\ntest_1\n")
    with pytest.raises(ValueError, match=r"absent.txt names 1 videos that no split has, the first 'test_1'"):
        make(leave_out=tmp_path / "absent.txt").setup("fit")
    (tmp_path / "absent.txt").write_text("test_1.mp4\n")  # of a split that a fit does not read
    make(leave_out=tmp_path / "absent.txt").setup("fit")


def test_name_before_a_slash_leaves_out_all_below_it(tmp_path: Path) -> None:
    (tmp_path / "absent.txt").write_text("7\n12/3\n")
    left_out = LeftOut(tmp_path / "absent.txt", below=True)
    assert [name in left_out for name in ("7/1", "7/2", "12/3", "12/4", "70/1")] == [True, True, True, False, False]
    left_out.check()


def test_file_that_is_trained_and_tested_on_is_refused(make: Make) -> None:
    def shared(text: str) -> str:
        return text.replace("val_0.mp4", "./train_0.mp4")

    with pytest.raises(ValueError, match="1 training videos are of files that are validated or tested on too"):
        make(shared).setup("fit")
    with pytest.raises(ValueError, match="1 training videos are of files that are validated or tested on too"):
        make(lambda text: shared(text).replace(",val", ",test")).setup("fit")


def test_cooccurrence_counts_videos_and_not_intervals(make: Make) -> None:
    data = make(lambda text: text + "train_0.mp4,ball,0.1,0.2,train\n")
    data.setup("fit")
    labels = np.stack([video.video_labels(5) for video in data.videos["train"]])
    np.testing.assert_array_equal(data.cooccurrence().numpy(), labels.T @ labels)
    assert int(data.cooccurrence()[0, 0]) < sum(int((video.labels == 0).sum()) for video in data.videos["train"])
