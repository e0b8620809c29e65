from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from metrics.step_labels import Boundary, meant_step, step_instants, step_labels


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


STEPS = [
    (0.1, Fraction(1, 10)),
    (0.2, Fraction(1, 5)),
    (0.04, Fraction(1, 25)),
    (0.32, Fraction(8, 25)),
    (8 / 25, Fraction(8, 25)),
    (1 / 3, Fraction(1, 3)),
    (8 / 24, Fraction(1, 3)),
    (16 * (1 / 30), Fraction(8, 15)),
    (1001 / 30000, Fraction(1001, 30000)),
    (1 / 29.97, Fraction(100, 2997)),
    (0.25, Fraction(1, 4)),
    (0.7, Fraction(7, 10)),
    (0.1 + 0.2, Fraction(3, 10)),
    (0.123456789, Fraction(123456789, 10**9)),
    (1e-5, Fraction(1, 100000)),
    (2.0, Fraction(2)),
]


@pytest.mark.parametrize(("step", "exact"), STEPS)
def test_step_instants_are_the_exact_multiples_rounded_once(step: float, exact: Fraction) -> None:
    got = step_instants(10_000, step)
    assert got.dtype == np.float64
    assert got.tolist() == [float(i * exact) for i in range(10_000)]


def test_step_instants_meet_the_ends_of_intervals_that_are_written_in_decimals() -> None:
    assert (np.arange(100) * 0.1).tolist() != [float(f"{i / 10:.1f}") for i in range(100)]  # what plain floats miss
    assert step_instants(100, 0.1).tolist() == [float(f"{i / 10:.1f}") for i in range(100)]
    for boundary, expected in (("<", [4, 5]), ("<=", [3, 4, 5, 6])):
        labels = step_labels(np.array([0]), np.array([[0.3, 0.6]]), 1, step_instants(10, 0.1), boundary)  # type: ignore[arg-type]
        assert np.flatnonzero(labels[:, 0]).tolist() == expected


@pytest.mark.parametrize(
    ("step", "exact"),
    [
        (np.float32(0.1), Fraction(1, 10)),
        (np.float16(0.1), Fraction(1, 10)),
        (np.float32(1 / 3), Fraction(1, 3)),
        (np.float16(1 / 3), Fraction(1, 3)),
        (np.float32(1 / 30), Fraction(1, 30)),
        (np.float32(0.7), Fraction(7, 10)),
        (np.float16(0.0023), Fraction(23, 10000)),
        (np.float32(8 / 15), Fraction(8, 15)),
        (np.float32(4), Fraction(4)),
    ],
)
def test_meant_step_undoes_the_rounding_of_small_floats(step: np.floating[Any], exact: Fraction) -> None:
    assert meant_step(step) == exact
    assert type(step)(float(exact)) == step  # what was saved is kept


@pytest.mark.parametrize("step", [0.0, -0.1, float("nan"), float("inf"), 1e308, np.float16("inf")])
def test_step_instants_refuse_what_is_no_step(step: float) -> None:
    with pytest.raises(ValueError, match="step must be a positive number of seconds up to 1e\\+09, got"):
        step_instants(3, step)
