from typing import Any

import numpy as np
import pytest

from metrics.step_labels import Boundary, step_labels


def literal(
    labels: list[int], intervals: list[tuple[float, float]], num_labels: int, instants: list[float], rule: str
) -> list[list[bool]]:
    table = []
    for t in instants:
        row = [False] * num_labels
        for label, (start, end) in zip(labels, intervals, strict=True):
            if (rule == "<" and start < t and t < end) or (rule == "<=" and start <= t and t <= end):
                row[label] = True
        table.append(row)
    return table


@pytest.mark.parametrize("boundary", ["<", "<="])
def test_step_labels_equal_the_rule_written_out(boundary: Boundary) -> None:
    random = np.random.default_rng(0)
    # quarters of a second on both sides: many instants fall on an end
    labels = random.integers(0, 5, 40)
    starts = random.integers(-4, 60, 40) / 4
    intervals = np.stack([starts, starts + random.integers(-3, 20, 40) / 4], axis=1)
    instants = np.arange(64) * 0.25
    got = step_labels(labels, intervals, 6, instants, boundary)
    expected = literal(labels.tolist(), intervals.tolist(), 6, instants.tolist(), boundary)
    assert got.dtype == np.bool_
    assert got.tolist() == expected
    assert 0 < got.sum() < got.size
    assert not got[:, 5].any()


@pytest.mark.parametrize(
    ("interval", "boundary", "expected"),
    [
        ((1.0, 3.0), "<", [0, 0, 1, 0, 0]),
        ((1.0, 3.0), "<=", [0, 1, 1, 1, 0]),
        ((2.0, 2.0), "<", [0, 0, 0, 0, 0]),  # no length
        ((2.0, 2.0), "<=", [0, 0, 1, 0, 0]),
        ((1.5, 1.5), "<=", [0, 0, 0, 0, 0]),
        ((3.0, 1.0), "<", [0, 0, 0, 0, 0]),  # ends before it starts
        ((3.0, 1.0), "<=", [0, 0, 0, 0, 0]),
        ((3.5, 99.0), "<", [0, 0, 0, 0, 1]),  # past the end
    ],
)
def test_step_labels_at_the_ends_by_hand(
    interval: tuple[float, float], boundary: Boundary, expected: list[int]
) -> None:
    got = step_labels(np.array([0]), np.array([interval]), 1, np.arange(5.0), boundary)
    assert got[:, 0].astype(int).tolist() == expected


def test_step_labels_of_nothing_are_empty() -> None:
    none = step_labels(np.empty(0, np.int64), np.empty((0, 2)), 3, np.arange(4.0), "<")
    assert none.shape == (4, 3)
    assert not none.any()
    assert step_labels(np.array([1]), np.array([[0.0, 1.0]]), 3, np.empty(0), "<=").shape == (0, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"boundary": "half"}, "boundary must be one of <, <=, got 'half'"),
        ({"labels": np.array([0, 3])}, r"integers in 0 .. 2, got int64 from 0 to 3"),
        ({"labels": np.array([-1, 0])}, r"integers in 0 .. 2, got int64 from -1 to 0"),
        ({"labels": np.array([0.0, 1.0])}, "integers in 0 .. 2, got float64"),
        ({"labels": np.array([0])}, r"got \(1,\), \(2, 2\) and \(4,\)"),
        ({"intervals": np.zeros((2, 3))}, r"got \(2,\), \(2, 3\) and \(4,\)"),
        ({"instants": np.zeros((4, 1))}, r"got \(2,\), \(2, 2\) and \(4, 1\)"),
        ({"intervals": np.array([[0.0, np.nan], [0.0, 1.0]])}, "must be numbers, got NaN"),
        ({"instants": np.array([np.nan])}, "must be numbers, got NaN"),
    ],
)
def test_step_labels_refuse_by_message(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "labels": np.array([0, 2]),
        "intervals": np.array([[0.0, 1.0], [1.0, 2.0]]),
        "num_labels": 3,
        "instants": np.arange(4.0),
        "boundary": "<",
    }
    with pytest.raises(ValueError, match=message):
        step_labels(**(arguments | change))
