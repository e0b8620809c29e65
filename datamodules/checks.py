"""What is refused of splits before training: repeated, missing and shared videos, and lists that fit nothing."""

from pathlib import Path

from clips.targets import Video
from datamodules.files import read_list


class LeftOut:
    """The videos that a list leaves out; a name before a slash stands for all below it.

    Args:
        path: text file with one video name a line; None leaves out nothing.

    Raises:
        ValueError: if the file does not exist, is empty, or repeats a line.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._found = dict.fromkeys(read_list(path) if path else (), False)

    def __bool__(self) -> bool:
        return bool(self._found)

    def __contains__(self, name: str) -> bool:
        """Whether a video, or what stands before the slash of its name, is listed; remembers what was found."""
        entry = name if name in self._found else name.partition("/")[0]
        if entry not in self._found:
            return False
        self._found[entry] = True
        return True

    def check(self) -> None:
        """Refuse names that were in no split, once all were read.

        Raises:
            ValueError: with the first of them and their number.
        """
        unknown = [name for name, found in self._found.items() if not found]
        if unknown:
            raise ValueError(
                f"{self.path} names {len(unknown)} videos that no split has, the first {unknown[0]!r}; write names as the "
                "data set has them, without suffix where it has none, or remove them"
            )


def check_videos(videos: list[Video], split: str) -> None:
    """Refuse a split that names a video twice, or a file or folder of frames that does not exist.

    Raises:
        ValueError: with the first of them and their number.
    """
    names: set[str] = set()
    for video in videos:
        if video.name in names:
            raise ValueError(f"video {video.name!r} is listed twice in the {split} split; remove one of them")
        names.add(video.name)
    exists: dict[Path, bool] = {}  # many records may show moments of one file
    for video in videos:
        if video.path not in exists:
            exists[video.path] = video.path.exists()
    missing = [video for video in videos if not exists[video.path]]
    if missing:
        names_of = ", ".join(video.name for video in missing[:10]) + (", ..." if len(missing) > 10 else "")
        raise ValueError(
            f"{len(missing)} of {len(videos)} videos of the {split} split do not exist, the first: {missing[0].path}; check "
            f"the root folder, or name them in the file that leave_out points to, one a line: {names_of}"
        )


def check_apart(train: list[Video], test: list[Video]) -> None:
    """Refuse a file that is trained on and tested on.

    Raises:
        ValueError: with the first of them and their number.
    """
    paths = {video.path for video in test}
    both = [video for video in train if video.path in paths]
    if both:
        raise ValueError(
            f"{len(both)} training videos are of files that are validated or tested on too, the first {both[0].path} (video "
            f"{both[0].name!r}); give each file to one split"
        )
