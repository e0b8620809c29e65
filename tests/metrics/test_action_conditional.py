import itertools

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from metrics.action_conditional import ActionConditionalMetric, action_conditional

LENGTHS = [30, 9, 1, 44]
NUM_LABELS = 5
TAUS = [-3, 0, 1, 5]


def videos(seed: int = 0, ties: bool = False) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Scores and truth of some videos, in runs; label 4 occurs in no step with label 0, and label 3 never."""
    random = np.random.default_rng(seed)
    preds, labels = [], []
    for steps in LENGTHS:
        truth = np.repeat(random.random((steps, NUM_LABELS)) < 0.3, random.integers(1, 4), axis=0)[:steps]
        truth[:, 4] &= ~truth[:, 0]
        truth[:, 3] = False
        scores = np.clip(random.random((steps, NUM_LABELS)) * 0.7 + 0.3 * truth, 0, 1)
        scores[:, 2] *= 0.4  # never predicted
        preds.append(np.round(scores, 1) if ties else scores)
        labels.append(truth)
    return preds, labels


def looked_at(truth: np.ndarray, t: int, j: int, tau: int) -> bool:
    """Eq. 10 and 11, and for tau < 0 the same with time reversed."""
    if tau == 0:
        return bool(truth[t, j])
    near = range(t - tau, t + 1) if tau > 0 else range(t, t - tau + 1)
    return not truth[t, j] and any(truth[other, j] for other in near if 0 <= other < len(truth))


def literal(
    preds: list[np.ndarray], labels: list[np.ndarray], tau: int, threshold: float
) -> dict[str, dict[tuple[int, int], float]]:
    tables: dict[str, dict[tuple[int, int], float]] = {name: {} for name in ("precision", "recall", "f1", "ap")}
    for i, j in itertools.permutations(range(NUM_LABELS), 2):
        steps = [
            (scores[t, i], truth[t, i])
            for scores, truth in zip(preds, labels, strict=True)
            for t in range(len(truth))
            if looked_at(truth, t, j, tau)
        ]
        n_gt = sum(bool(truth) for _, truth in steps)
        if n_gt == 0:
            continue
        n_predict = sum(bool(score >= threshold) for score, _ in steps)
        n_correct = sum(bool(score >= threshold and truth) for score, truth in steps)
        precision, recall = n_correct / n_predict if n_predict else 0.0, n_correct / n_gt
        tables["precision"][i, j], tables["recall"][i, j] = precision, recall
        tables["f1"][i, j] = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
        tables["ap"][i, j] = average_precision_score([truth for _, truth in steps], [score for score, _ in steps])
    return tables


@pytest.mark.parametrize("tau", TAUS)
@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_action_conditional_equals_the_equations_written_out(tau: int, ties: bool, seed: int) -> None:
    preds, labels = videos(seed, ties)
    got = action_conditional(preds, labels, tau)
    expected = literal(preds, labels, tau, 0.5)
    for name, table in (
        ("precision", got.precision),
        ("recall", got.recall),
        ("f1", got.f1),
        ("ap", got.average_precision),
    ):
        for pair in np.ndindex(NUM_LABELS, NUM_LABELS):
            value = expected[name].get(pair, np.nan)
            assert table[pair] == pytest.approx(value, abs=1e-12, nan_ok=True), (name, pair)
    pairs = set(expected["ap"])
    assert 0 < len(pairs) < NUM_LABELS * (NUM_LABELS - 1)
    assert ((0, 4) in pairs) == (tau != 0)
    assert all(expected["precision"][pair] == 0 for pair in pairs if pair[0] == 2), "label 2 is never predicted"


@pytest.mark.parametrize("tau", TAUS)
def test_action_conditional_means_are_over_the_pairs_that_count(tau: int) -> None:
    preds, labels = videos()
    expected = literal(preds, labels, tau, 0.5)
    means = action_conditional(preds, labels, tau).means()
    for name, key in (("precision", "precision"), ("recall", "recall"), ("f1", "f1"), ("map", "ap")):
        assert means[name] == pytest.approx(sum(expected[key].values()) / len(expected[key]), abs=1e-12)
    p, r = means["precision"], means["recall"]
    assert means["f1_of_means"] == pytest.approx(2 * p * r / (p + r), abs=1e-12)
    assert means["f1_of_means"] > means["f1"]


def selected_steps(j_at: int, tau: int, steps: int = 8) -> list[int]:
    """Which steps are looked at, when label 1 is at one step and label 0 everywhere.

    Label 0 is scored 1 at one step and 0 elsewhere: it is recalled there if that step is looked at.
    """
    labels = np.zeros((steps, 2), bool)
    labels[:, 0], labels[j_at, 1] = True, True
    found = []
    for step in range(steps):
        preds = np.zeros((steps, 2))
        preds[step, 0] = 1.0
        if action_conditional([preds], [labels], tau).recall[0, 1] > 0:
            found.append(step)
    return found


@pytest.mark.parametrize(
    ("tau", "expected"),
    [
        (0, [3]),
        (1, [4]),
        (2, [4, 5]),
        (99, [4, 5, 6, 7]),
        (-1, [2]),
        (-2, [1, 2]),  # the authors' script takes 0 and 1
        (-99, [0, 1, 2]),
    ],
)
def test_action_conditional_looks_at_the_steps_beside_the_action(tau: int, expected: list[int]) -> None:
    assert selected_steps(3, tau) == expected


@pytest.mark.parametrize(("tau", "pairs"), [(2, [(0, 1)]), (-2, [(0, 1)])])
def test_action_conditional_never_looks_into_another_video(tau: int, pairs: list[tuple[int, int]]) -> None:
    # label 1 at the end of one video and at the start of the other; label 0 across the border only in the wrong places
    first, second = np.zeros((4, 2), bool), np.zeros((4, 2), bool)
    first[3, 1], second[0, 0] = True, True
    if tau < 0:
        first, second = second[::-1], first[::-1]
    apart = action_conditional([np.ones((4, 2))] * 2, [first, second], tau)
    joined = action_conditional([np.ones((8, 2))], [np.concatenate([first, second])], tau)
    assert np.isnan(apart.recall).all()
    assert [pair for pair in np.ndindex(2, 2) if not np.isnan(joined.recall[pair])] == pairs


def test_action_conditional_by_hand() -> None:
    # label 0 given label 1 in the same step: steps 0, 1, 2, of which 0 and 2 have it; predicted at 0 and 1
    labels = np.array([[1, 1], [0, 1], [1, 1], [1, 0]], bool)
    preds = np.array([[0.9, 0.5], [0.7, 0.5], [0.2, 0.5], [0.8, 0.5]])
    got = action_conditional([preds], [labels], 0)
    assert (got.precision[0, 1], got.recall[0, 1], got.f1[0, 1]) == (0.5, 0.5, 0.5)
    assert got.average_precision[0, 1] == pytest.approx((1 + 2 / 3) / 2, abs=1e-15)
    # label 1 given label 0: steps 0, 2, 3, of which 0 and 2 have it; all are predicted at 0.5, and all are tied
    assert (got.precision[1, 0], got.recall[1, 0]) == (pytest.approx(2 / 3), 1.0)
    assert got.average_precision[1, 0] == pytest.approx(2 / 3)
    assert np.isnan(np.diag(got.recall)).all()


def test_action_conditional_predicts_at_the_threshold() -> None:
    labels, preds = np.ones((2, 2), bool), np.full((2, 2), 0.3)
    assert action_conditional([preds], [labels], 0, threshold=0.3).recall[0, 1] == 1
    assert action_conditional([preds], [labels], 0, threshold=0.31).recall[0, 1] == 0


def test_action_conditional_without_pairs_has_no_means() -> None:
    got = action_conditional([np.ones((3, 2))], [np.zeros((3, 2), bool)], 0)
    assert np.isnan(list(got.means().values())).all()


@pytest.mark.parametrize("tau", TAUS)
def test_action_conditional_metric_equals_the_function_from_windows(tau: int) -> None:
    preds, labels = videos()
    preds = [table.astype(np.float32) for table in preds]
    metric = ActionConditionalMetric(NUM_LABELS, tau)
    for index in (2, 0, 3, 1):
        scores, truth = torch.from_numpy(preds[index]), torch.from_numpy(labels[index])
        for first in (20, 10, 0):  # late windows first, and each with some steps of the next
            part = slice(first, first + (14 if first < 20 else 99))
            if len(scores[part]):
                metric.update(index, scores[part], truth[part], first)
                metric.update(index, scores[part], truth[part], first)
    got = metric.compute()
    for name, value in action_conditional(preds, labels, tau).means().items():
        assert got[name].item() == pytest.approx(value, abs=1e-12), name


def test_action_conditional_metric_refuses_missing_steps() -> None:
    metric = ActionConditionalMetric(2, tau=1)
    for first in (0, 7):
        metric.update(4, torch.rand(5, 2), torch.ones(5, 2, dtype=torch.int64), first)
    with pytest.raises(ValueError, match=r"video 4 has no scores for the steps 5 \.\. 6"):
        metric.compute()


@pytest.mark.parametrize("sign", [-1, 1])
def test_action_conditional_with_a_tau_beyond_all_videos_looks_at_the_whole(sign: int) -> None:
    preds, labels = videos()
    huge, enough = (action_conditional(preds, labels, sign * tau) for tau in (10**30, 44))
    np.testing.assert_array_equal(huge.recall, enough.recall)
    np.testing.assert_array_equal(huge.average_precision, enough.average_precision)
    assert (~np.isnan(huge.recall)).any()
