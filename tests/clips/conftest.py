"""Videos of many kinds, made once, and the plain way of decoding them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import av
import pytest

from tests.clips.odd_files import KINDS


@pytest.fixture
def quiet() -> Iterator[None]:
    """Damaged files make FFmpeg talk."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.PANIC)
    yield
    av.logging.set_level(level)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Make a file of a kind, once."""
    files: dict[str, Path] = {}

    def make(kind: str) -> Path:
        if kind not in files:
            files[kind] = KINDS[kind](tmp_path_factory.mktemp("video"))
        return files[kind]

    return make
