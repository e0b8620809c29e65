"""Run `python -m metrics` on the files of a test."""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from metrics.__main__ import main

Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Run a protocol and return its JSON file."""

    def call(*words: object) -> dict[str, Any]:
        output = tmp_path / "out" / "values.json"
        assert main([*map(str, words), "--output", str(output)]) == 0
        content: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
        return content

    return call


def refused(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    """The one message of a run that must fail with code 2 and print nothing else."""
    with TemporaryDirectory() as folder:
        assert main([*map(str, words), "--output", f"{folder}/values.json"]) == 2
        assert not list(Path(folder).iterdir())
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1 and "Traceback" not in printed.err
    return printed.err
