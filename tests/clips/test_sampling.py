import numpy as np
import pytest

from clips.sampling import centred_starts, clip_frames, last_start, on_screen, random_start, span, uniform_starts

AT_24 = np.arange(240) / 24  # ten seconds at 24 fps


@pytest.mark.parametrize("rate", [1, 2, 4, 8])
def test_clip_frames_at_the_nominal_rate_are_every_rate_th_frame(rate: int) -> None:
    numbers = clip_frames(AT_24, 5 / 24, num_frames=16, rate=rate, fps=24)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [5 + rate * i for i in range(16)]


@pytest.mark.parametrize("file_fps", [12, 15, 24, 25, 29.97, 30, 60])
def test_clip_frames_cover_the_same_seconds_in_files_of_any_rate(file_fps: float) -> None:
    times = np.arange(int(12 * file_fps)) / file_fps
    numbers = clip_frames(times, 0.0, num_frames=16, rate=4, fps=24)
    instants = np.arange(16) * 4 / 24
    literal = [max(n for n, time in enumerate(times) if time <= instant + 1e-3) for instant in instants]
    assert numbers.tolist() == literal
    assert times[numbers[-1]] == pytest.approx(span(16, 4, 24), abs=1 / file_fps)


def test_frame_on_screen_follows_a_variable_frame_rate() -> None:
    times = np.array([0.0, 0.1, 0.5, 0.6, 2.0])
    assert on_screen(times, np.array([-1.0, 0.0, 0.09, 0.1, 0.49, 0.55, 1.9, 2.0, 9.0])).tolist() == [
        0,
        0,
        0,
        1,
        1,
        2,
        3,
        4,
        4,
    ]


def test_time_stamps_rounded_to_milliseconds_give_the_same_frames() -> None:
    rounded = np.round(AT_24, 3)
    for rate in (1, 2, 3):
        exact = clip_frames(AT_24, 0.0, num_frames=32, rate=rate, fps=24)
        assert clip_frames(rounded, 0.0, num_frames=32, rate=rate, fps=24).tolist() == exact.tolist()


def test_short_video_repeats_its_last_frame_or_starts_again() -> None:
    times = np.arange(10) / 24
    repeated = clip_frames(times, 0.0, num_frames=8, rate=2, fps=24)
    looped = clip_frames(times, 0.0, num_frames=8, rate=2, fps=24, short_video="loop")
    assert repeated.tolist() == [0, 2, 4, 6, 8, 9, 9, 9]
    assert looped.tolist() == [0, 2, 4, 6, 8, 0, 2, 4]


def test_rate_that_leaves_one_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"rate 48 leaves one frame: 4 frames 2\.000 s apart.*use a smaller rate"):
        clip_frames(np.arange(24) / 24, 0.0, num_frames=4, rate=48, fps=24)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_frames": 0}, "num_frames must be positive, got 0"),
        ({"rate": 0}, "rate must be positive, got 0"),
        ({"fps": -1}, "fps must be positive, got -1"),
        ({"short_video": "mirror"}, "short_video must be one of .*, got 'mirror'"),
        ({"start": 11.0}, r"start must lie in the video's 0 to 9\.958 s, got 11"),
    ],
)
def test_bad_argument_is_named(change: dict[str, object], message: str) -> None:
    arguments = {"start": 0.0, "num_frames": 16, "rate": 4, "fps": 24, **change}
    start = arguments.pop("start")
    with pytest.raises(ValueError, match=message):
        clip_frames(AT_24, start, **arguments)  # type: ignore[arg-type]


def test_uniform_starts_spread_from_first_to_last_and_one_is_centred() -> None:
    seconds = span(16, 4, 24)
    starts = uniform_starts(AT_24, seconds, 3)
    assert np.round(starts * 24).tolist() == [0, 89, 179]  # the last clip shows frames 179, 183, ..., 239
    assert np.round(uniform_starts(AT_24, seconds, 1) * 24).tolist() == [89]
    assert uniform_starts(AT_24, 60.0, 4).tolist() == [0, 0, 0, 0]
    with pytest.raises(ValueError, match="positions must be at least 1, got 0"):
        uniform_starts(AT_24, seconds, 0)


def test_random_starts_are_uniform_over_all_frames_where_the_clip_fits() -> None:
    seconds, random = span(16, 8, 24), np.random.default_rng(0)
    drawn = np.round([random_start(AT_24, seconds, random) * 24 for _ in range(6000)]).astype(int)
    counts = np.bincount(drawn)
    assert len(counts) == 120 and counts.min() > 20  # frames 0..119, each about 50 times
    assert last_start(AT_24, seconds) == pytest.approx(119 / 24)
    assert random_start(AT_24, 60.0, random) == 0


def test_centred_starts_stay_inside_the_video() -> None:
    starts = centred_starts(AT_24, 2.5, np.array([0.0, 5.0, 9.9]))
    assert starts.tolist() == pytest.approx([0.0, 3.75, 9.958333 - 2.5], abs=1 / 24)
