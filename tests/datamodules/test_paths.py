"""What a file of annotations names lies below the root of the data set, unless that is allowed."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datamodules import (
    ActivityNetDataModule,
    AnnotatedVideosDataModule,
    AvaDataModule,
    CharadesDataModule,
    FolderDataModule,
    HockeyDataModule,
    MultiThumosDataModule,
    VideoDataModule,
)
from datamodules.files import VideoFiles, leaves_root

OUT = ["/etc/x.mp4", "../x.mp4", "../../etc/x.mp4", "a/../../x.mp4", "a/b/../../../c/x.mp4", "..", "//host/x.mp4"]
UP = ["a/../x.mp4", "a/b/../../x.mp4", "a/.."]  # out of the root where `a` is a link
IN = ["x.mp4", "..x.mp4", "a..b/x..mp4", "...", "./a/x.mp4", "~/x.mp4", "a:b.mp4"]


@pytest.mark.parametrize("name", [*OUT, *IN])
def test_paths_leave_the_root_where_they_end_up_outside(name: str) -> None:
    ends = os.path.abspath(os.path.join("/some/root", name))
    assert leaves_root(name) == (not f"{ends}/".startswith("/some/root/")) == (name in OUT)


@pytest.mark.parametrize("name", UP)
def test_a_step_up_is_refused_also_where_its_text_ends_up_inside(name: str) -> None:
    assert leaves_root(name)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one video, and another video beside it."""
    (tmp_path / "root" / "walk").mkdir(parents=True)
    (tmp_path / "root" / "walk" / "in.mp4").touch()
    (tmp_path / "out.mp4").touch()
    return tmp_path / "root"


def table(folder: Path, video: str) -> Path:
    return write(folder / "a.csv", f"video,label,split\nwalk/in.mp4,walk,train\n\n{video},walk,train\n")


@pytest.mark.parametrize("video", ["../out.mp4", "absolute"])
def test_table_may_name_videos_outside_of_the_root_only_if_allowed(root: Path, video: str) -> None:
    video = str(root.parent / "out.mp4") if video == "absolute" else video
    path = table(root.parent, video)
    with pytest.raises(ValueError, match=r"a\.csv, line 4: video '.*out\.mp4' leads out of .* set outside_root: true"):
        AnnotatedVideosDataModule(path, root=root)
    data = AnnotatedVideosDataModule(path, root=root, outside_root=True)
    data.setup("fit")
    inside, outside = data.videos["train"]
    assert inside.path == root / "walk" / "in.mp4" and outside.path == root / video and outside.path.exists()


def test_json_and_hockey_are_read_with_the_same_care(root: Path) -> None:
    records = '[{"video": "walk/in.mp4", "label": "a"}, {"video": "../out.mp4", "label": "a"}]'
    with pytest.raises(ValueError, match=r"a\.json, record 1: video '\.\./out\.mp4' leads out of the video root"):
        AnnotatedVideosDataModule(write(root / "a.json", records))
    labels = write(root / "labels.txt", "\n".join(map(str, range(11))))
    with pytest.raises(ValueError, match=r"a\.csv, line 4: video '\.\./out\.mp4' leads out of the video root"):
        HockeyDataModule(table(root, "../out.mp4"), labels)


def test_list_may_name_videos_outside_of_the_root_only_if_allowed(root: Path) -> None:
    (root.parent / "run").mkdir()
    (root.parent / "run" / "x.mp4").touch()
    for name in ("../run/x.mp4", str(root.parent / "run" / "x.mp4")):
        path = write(root.parent / "train.txt", f"\nwalk/in.mp4 1\n{name} 2\n")
        with pytest.raises(
            ValueError, match=r"train\.txt, line 3: video '.*x\.mp4' leads out of root .* outside_root: true"
        ):
            FolderDataModule(root, splits={"train": path})
        data = FolderDataModule(root, splits={"train": path}, outside_root=True)
        data.setup("fit")
        assert data.videos["train"][1].path == root / name


def test_links_below_the_root_may_lead_anywhere(root: Path) -> None:
    (root / "link.mp4").symlink_to(root.parent / "out.mp4")
    data = AnnotatedVideosDataModule(table(root, "link.mp4"))
    data.setup("fit")
    assert data.videos["train"][1].path == root / "link.mp4"
    assert VideoFiles(root).path("link", "here") == root / "link.mp4"


def charades(folder: Path, name: str) -> VideoDataModule:
    header = "id,actions,length\n"
    write(folder / "val.csv", f"{header}val,c000 0.00 1.00,2.00\n")
    return CharadesDataModule(
        write(folder / "a.csv", f"{header}in,,1\n{name},,2.00\n"), folder / "val.csv", folder / "root"
    )


def ava(folder: Path, name: str) -> VideoDataModule:
    row = ",0902,0.1,0.2,0.3,0.4,12,1\n"
    return AvaDataModule({"train": write(folder / "a.csv", f"in{row}{name}{row}")}, folder / "root")


def activitynet(folder: Path, name: str) -> VideoDataModule:
    entry = '{"subset": "training", "duration": 2.0, "annotations": []}'
    text = f'{{"version": "1", "taxonomy": [], "database": {{"in": {entry}, "{name}": {entry}}}}}'
    return ActivityNetDataModule(write(folder / "a.json", text), [folder / "root"])


def multithumos(folder: Path, name: str) -> VideoDataModule:
    entry = '{"subset": "training", "duration": 2.0, "actions": []}'
    path = write(folder / "a.json", f'{{"in": {entry}, "{name}": {entry}}}')
    lists: Any = {"train": write(folder / "train.txt", f"in\n{name}\n")}
    return MultiThumosDataModule(path, folder / "root", folder / "root", splits=lists)


@pytest.mark.parametrize(
    ("make", "where"), [(charades, "line 3"), (ava, "line 2"), (activitynet, "video"), (multithumos, "video")]
)
@pytest.mark.parametrize("name", ["x/../../../out", "a/../../out"])
def test_official_sets_never_name_a_video_outside_of_the_root(
    root: Path, make: Callable[[Path, str], VideoDataModule], where: str, name: str
) -> None:
    with pytest.raises(
        ValueError, match=rf"a\.(csv|json), {where}.* leads out of .*root; expected the name of a video"
    ):
        make(root.parent, name).read_split("train")
    assert [video.name.partition("/")[0] for video in make(root.parent, "sub-out").read_split("train")] == [
        "in",
        "sub-out",
    ]


def test_two_files_of_one_name_are_both_named(root: Path) -> None:
    for name in ("a.mp4", "a.MKV", "b.avi", ".mp4", "notes.txt", "c.d.webm"):
        (root / name).touch()
    files = VideoFiles(root)
    assert [files.path(name, "").name for name in ("b", "c.d", "walk", "none")] == [
        "b.avi",
        "c.d.webm",
        "walk",
        "none.mp4",
    ]
    assert files.path("notes", "").name == "notes.mp4"
    with pytest.raises(ValueError, match=r"video 'a' is there twice: \['.*a\.MKV', '.*a\.mp4'\]; keep one"):
        files.path("a", "")
