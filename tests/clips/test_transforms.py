import numpy as np
import pytest
import torch

from clips.transforms import Box, cut, cut_rows, random_box, resized, uniform_boxes


@pytest.mark.parametrize(
    ("size", "short_side", "expected"),
    [((480, 640), 256, (256, 341)), ((640, 480), 256, (341, 256)), ((100, 100), 56, (56, 56)), ((1, 9), 4, (4, 36))],
)
def test_resize_keeps_the_aspect_ratio(size: tuple[int, int], short_side: int, expected: tuple[int, int]) -> None:
    assert resized(*size, short_side) == expected


def test_three_crops_lie_left_centre_right_or_top_centre_bottom() -> None:
    assert uniform_boxes(4, 10, 4, 3) == [Box(0, 0, 4), Box(0, 3, 4), Box(0, 6, 4)]
    assert uniform_boxes(10, 4, 4, 3) == [Box(0, 0, 4), Box(3, 0, 4), Box(6, 0, 4)]
    assert uniform_boxes(8, 10, 4, 1) == [Box(2, 3, 4)]


def test_all_frames_of_a_view_share_one_cut() -> None:
    frames = torch.arange(2 * 5 * 6 * 3, dtype=torch.uint8).view(2, 5, 6, 3)
    view = cut(frames, Box(1, 2, 3, flip=True))
    assert view.shape == (3, 2, 3, 3)
    for t in range(2):
        for c in range(3):
            assert view[c, t].tolist() == frames[t, 1:4, 2:5, c].flip(1).tolist()


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("planes", [False, True])
def test_cut_of_chosen_frames_is_the_cut_of_all_of_them(flip: bool, planes: bool) -> None:
    frames = torch.arange(4 * 5 * 6 * 3, dtype=torch.float32).view(4, 5, 6, 3)
    stored = frames.permute(0, 3, 1, 2).contiguous().permute(0, 2, 3, 1) if planes else frames
    rows = torch.tensor([2, 0, 0, 3, 1])
    view = cut_rows(stored, rows, Box(1, 2, 3, flip))
    assert view.shape == (3, 5, 3, 3)
    for t, row in enumerate(rows):
        for c in range(3):
            window = frames[row, 1:4, 2:5, c]
            assert view[c, t].tolist() == (window.flip(1) if flip else window).tolist()


def test_random_boxes_reach_every_place_and_flip_half() -> None:
    random = np.random.default_rng(0)
    boxes = [random_box(5, 7, 4, flip=True, random=random) for _ in range(800)]
    assert {(box.top, box.left) for box in boxes} == {(top, left) for top in range(2) for left in range(4)}
    assert 300 < sum(box.flip for box in boxes) < 500
    assert not any(random_box(5, 7, 4, flip=False, random=random).flip for _ in range(50))


def test_crop_larger_than_the_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="crop size must be 1 to 5 for frames of 5x7, got 6"):
        uniform_boxes(5, 7, 6, 1)
    with pytest.raises(ValueError, match="crops must be at least 1, got 0"):
        uniform_boxes(5, 7, 4, 0)
    with pytest.raises(ValueError, match="sizes must be positive"):
        resized(5, 7, 0)
