import numpy as np
import pytest

from metrics.label_groups import group_means, label_groups


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ([5, 9, 1, 7, 3, 2], ([1, 3], [0, 4], [2, 5])),
        ([5, 9, 1, 7], ([1, 3], [0], [2])),
        ([5, 9, 1, 7, 3], ([1, 3], [0, 4], [2])),
        ([4, 4, 4], ([0], [1], [2])),  # equal counts keep the order of the labels
        ([0, 6], ([1], [0], [])),
    ],
)
def test_label_groups_are_thirds_by_falling_count(counts: list[int], expected: tuple[list[int], ...]) -> None:
    groups = label_groups(np.array(counts))
    assert list(groups) == ["head", "medium", "tail"]
    assert tuple(part.tolist() for part in groups.values()) == expected


def test_label_groups_take_unsigned_counts() -> None:
    # the sum of a uint8 table is unsigned: its negative would put an absent label first
    counts = np.array([[1, 0, 1], [1, 0, 0]], np.uint8).sum(axis=0)
    assert counts.dtype.kind == "u"
    assert [part.tolist() for part in label_groups(counts).values()] == [[0], [2], [1]]


def test_group_means_leave_out_labels_without_a_value() -> None:
    values = np.array([0.5, np.nan, 0.25, 0.75, np.nan, np.nan])
    means = group_means(values, np.array([9, 8, 7, 6, 1, 0]))
    assert means["head"] == 0.5
    assert means["medium"] == (0.25 + 0.75) / 2
    assert np.isnan(means["tail"])


def test_label_groups_refuse_by_message() -> None:
    with pytest.raises(ValueError, match=r"counts must have shape \(K,\), got \(2, 2\)"):
        label_groups(np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"must both be \(K,\), got \(3,\) and \(2,\)"):
        group_means(np.zeros(3), np.zeros(2))
