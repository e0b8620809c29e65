"""How others read a clip of a video: what each of them does, step by step, as one function of the same form.

None of their packages is a requirement: `usable` tells which can be imported here and why the others cannot.
"""

from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch
from av.video.stream import VideoStream
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate

Numbers = NDArray[np.int64]
# Path, evenly spaced ascending frame numbers (T,), height and width -> (T, H, W, 3): uint8 RGB, or floats scaled to 0..1.
Read = Callable[[Path, Numbers, tuple[int, int]], Tensor]


class Peer(NamedTuple):
    """A way to read a clip, and the modules that it needs."""

    read: Read
    modules: tuple[str, ...] = ()


def torchcodec(path: Path, numbers: Numbers, size: tuple[int, int], *, mode: str = "exact", at: bool = True) -> Tensor:
    """Torchcodec's own resize while decoding; `at` asks by frame numbers, else by a range with a step."""
    decoders, transforms = import_module("torchcodec.decoders"), import_module("torchcodec.transforms")
    decoder = decoders.VideoDecoder(
        str(path), seek_mode=mode, num_ffmpeg_threads=1, dimension_order="NHWC", transforms=[transforms.Resize(size)]
    )
    if at:
        frames: Tensor = decoder.get_frames_at(numbers.tolist()).data
    else:
        step = int(numbers[1] - numbers[0])
        frames = decoder.get_frames_in_range(int(numbers[0]), int(numbers[-1]) + 1, step).data
    return frames


def decord(path: Path, numbers: Numbers, size: tuple[int, int]) -> Tensor:
    """Decord resizes while decoding."""
    module = import_module("decord")
    reader = module.VideoReader(str(path), ctx=module.cpu(0), height=size[0], width=size[1], num_threads=1)
    return torch.from_numpy(reader.get_batch(numbers.tolist()).asnumpy())


def mmaction2(path: Path, numbers: Numbers, size: tuple[int, int]) -> Tensor:
    """mmaction2: the file goes to decord as bytes, every wanted frame is decoded at full size and resized by OpenCV."""
    cv2, module = import_module("cv2"), import_module("decord")
    cv2.setNumThreads(1)
    reader = module.VideoReader(BytesIO(path.read_bytes()), num_threads=1)
    pictures = reader.get_batch(numbers.tolist()).asnumpy()
    resized = [cv2.resize(picture, size[::-1], interpolation=cv2.INTER_LINEAR) for picture in pictures]
    return torch.from_numpy(np.stack(resized))


def pyav(path: Path, numbers: Numbers, size: tuple[int, int]) -> Tensor:
    """The usual loop: seek to a keyframe, decode everything up to the last wanted frame, convert what is wanted."""
    wanted, pictures = set(numbers.tolist()), []
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        ticks = _ticks(stream)
        # two frames earlier, because a seek by presentation time may land behind the frame
        container.seek(max(int(numbers[0]) - 2, 0) * ticks, stream=stream)
        for frame in container.decode(stream):
            number = (frame.pts or 0) // ticks
            if number in wanted:
                small = frame.reformat(size[1], size[0], "rgb24", interpolation="BILINEAR")
                pictures.append(torch.from_numpy(small.to_ndarray()))
            if number >= numbers[-1]:
                break
    return torch.stack(pictures)


def span_at_full_size(path: Path, numbers: Numbers) -> NDArray[np.uint8]:
    """The first half of PySlowFast's way: all frames of the span to RGB at full size, then every r-th; (T, H, W, 3)."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        ticks = _ticks(stream)
        start, end = int(numbers[0]) * ticks, int(numbers[-1]) * ticks
        container.seek(max(start - 1024, 0), stream=stream, backward=True, any_frame=False)
        frames = {}
        for frame in container.decode(video=0):
            pts = frame.pts or 0
            if pts >= start:
                frames[pts] = frame
            if pts >= end:
                break
        span = np.stack([frames[pts].to_rgb().to_ndarray() for pts in sorted(frames)])
    chosen: NDArray[np.uint8] = span[np.linspace(0, len(span) - 1, len(numbers)).round().astype(int)]
    return chosen


def pyslowfast(path: Path, numbers: Numbers, size: tuple[int, int]) -> Tensor:
    """PySlowFast: the chosen frames become floats at full size and are resized as floats."""
    floats = torch.from_numpy(span_at_full_size(path, numbers)).float() / 255.0
    return _resized(floats.permute(3, 0, 1, 2), size)


def pytorchvideo(path: Path, numbers: Numbers, size: tuple[int, int]) -> Tensor:
    """PyTorchVideo: its own decoder gives all frames of the span as floats; then every r-th of them, resized."""
    video = import_module("pytorchvideo.data.encoded_video").EncodedVideo.from_path(str(path), decode_audio=False)
    with av.open(str(path)) as container:
        fps = float(container.streams.video[0].average_rate or 1)
    # half a frame of slack, so that rounding does not lose the first frame or win one more
    clip: Tensor = video.get_clip((numbers[0] - 0.5) / fps, (numbers[-1] + 0.5) / fps)["video"]
    video.close()
    return _resized(clip[:, torch.linspace(0, clip.shape[1] - 1, len(numbers)).round().long()] / 255.0, size)


def _ticks(stream: VideoStream) -> int:
    """Time of one frame in units of the stream."""
    assert stream.average_rate and stream.time_base
    return round(1 / (stream.average_rate * stream.time_base))


def _resized(floats: Tensor, size: tuple[int, int]) -> Tensor:
    """(C, T, H0, W0) to (T, H, W, C)."""
    return interpolate(floats, size=size, mode="bilinear", align_corners=False).permute(1, 2, 3, 0)


PEERS = {
    "torchcodec, exact, range": Peer(partial(torchcodec, at=False), ("torchcodec.decoders",)),
    "torchcodec, exact, at": Peer(torchcodec, ("torchcodec.decoders",)),
    "torchcodec, approximate, range": Peer(partial(torchcodec, mode="approximate", at=False), ("torchcodec.decoders",)),
    "torchcodec, approximate, at": Peer(partial(torchcodec, mode="approximate"), ("torchcodec.decoders",)),
    "decord": Peer(decord, ("decord",)),
    "mmaction2's way": Peer(mmaction2, ("decord", "cv2")),
    "PyAV, seek then decode all": Peer(pyav),
    "PySlowFast's steps": Peer(pyslowfast),
    "pytorchvideo": Peer(pytorchvideo, ("pytorchvideo.data.encoded_video",)),
}


def usable(peers: Mapping[str, Peer]) -> tuple[dict[str, Read], dict[str, str]]:
    """Those whose modules can be imported, and why the others cannot."""
    reads, absent = {}, {}
    for name, (read, modules) in peers.items():
        try:
            for module in modules:
                import_module(module)  # also before any fork, so that no worker pays for it
        except ModuleNotFoundError as error:
            absent[name] = f"not installed ({error.name})"
        except (ImportError, OSError, RuntimeError) as error:  # such as a missing FFmpeg
            absent[name] = f"cannot be imported: {str(error).strip().splitlines()[0]}"
        else:
            reads[name] = read
    return reads, absent
