"""Makers of small video files of many kinds; picture i of each encodes i in its pixels."""

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from av.video.reformatter import VideoReformatter
from av.video.stream import VideoStream

from clips.encoding import write_video

HEIGHT, WIDTH, FRAMES = 48, 64, 50
_OPEN = "open-gop=1:scenecut=0:keyint=12:min-keyint=12:bframes=3:b-adapt=0"


def pictures(count: int = FRAMES, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Moving gradients with the picture's number as six black or white blocks (bits) in the top row."""
    y, x = np.mgrid[:height, :width]
    out = np.empty((count, height, width, 3), np.uint8)
    for i in range(count):
        out[i] = np.stack([x * 3 + i * 5, y * 4 + i * 3, x + y + i * 7], -1) % 256
        for bit in range(6):
            out[i, :8, bit * 8 : bit * 8 + 8] = 255 * (i >> bit & 1)
    return out


def number_shown(picture: np.ndarray) -> int:
    """Read the number back from the blocks of `pictures`."""
    return sum(int(picture[2:6, bit * 8 + 2 : bit * 8 + 6].mean() > 128) << bit for bit in range(6))


def full_decode(path: Path, size: tuple[int, int] | None = None, stream: int | None = None) -> np.ndarray:
    """Decode all frames in sequence, resize each, then turn it: slow, plain and right."""
    reformatter, out = VideoReformatter(), []
    with av.open(str(path), metadata_errors="ignore") as container:
        chosen = container.streams.best("video") if stream is None else container.streams[stream]
        assert isinstance(chosen, VideoStream)
        chosen.codec_context.thread_count = 1
        for frame in container.decode(chosen):
            assert isinstance(frame, av.VideoFrame)
            turns = frame.rotation // 90
            height, width = size or (frame.height, frame.width)
            if size and turns % 2:
                height, width = width, height
            kind = "gbrp" if (height, width) != (frame.height, frame.width) else "rgb24"
            frame = reformatter.reformat(frame, width, height, kind, interpolation="BILINEAR", threads=1)
            out.append(np.rot90(frame.to_ndarray(), turns))
    return np.stack(out)


def remux(source: Path, target: Path, first: int = 0, origin: int | None = None, title: str = "") -> Path:
    """Copy the packets from number `first` on; packets shown before packet number `origin` get negative times."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = old.streams.video[0]
        if title:
            new.metadata["title"] = title
        copy = new.add_stream_from_template(stream)
        packets = [p for p in old.demux(stream) if p.size]
        shift = 0 if origin is None else packets[origin].pts or 0
        for packet in packets[first:]:
            assert packet.pts is not None and packet.dts is not None
            packet.pts, packet.dts = packet.pts - shift, packet.dts - shift
            packet.stream = copy
            new.mux(packet)
    return target


def patch(path: Path, change: Callable[[bytearray], None]) -> Path:
    data = bytearray(path.read_bytes())
    change(data)
    path.write_bytes(data)
    return path


def with_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    """Write the display matrix into the track header of an MP4 file."""

    def change(data: bytearray) -> None:
        start = data.index(b"tkhd") + 44
        data[start : start + 20] = struct.pack(">5i", a << 16, b << 16, 0, c << 16, d << 16)

    return patch(path, change)


def _write(suffix: str, **settings: object) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        path = folder / f"video{suffix}"
        write_video(path, pictures(), **settings)  # type: ignore[arg-type]
        return path

    return make


def _h264(suffix: str, parameters: str, **settings: object) -> Callable[[Path], Path]:
    return _write(suffix, options={"preset": "medium", "g": "12", "x264-params": parameters}, **settings)


def _hevc(
    suffix: str, parameters: str = "open-gop=1:keyint=12:min-keyint=12:bframes=3:b-adapt=0"
) -> Callable[[Path], Path]:
    text = f"log-level=none:pools=none:frame-threads=1:scenecut=0:{parameters}"
    return _write(suffix, codec="libx265", options={"preset": "superfast", "x265-params": text})


def _remuxed(
    maker: Callable[[Path], Path], suffix: str, first: int = 0, origin: int | None = None
) -> Callable[[Path], Path]:
    return lambda folder: remux(maker(folder), folder / f"remuxed{suffix}", first, origin)


def _variable(suffix: str, start: int = 0) -> Callable[[Path], Path]:
    steps = np.random.default_rng(0).integers(1, 9, FRAMES)
    pts = (start + np.cumsum(steps) - steps[0]).tolist()
    return _write(suffix, pts=pts, time_base=Fraction(1, 120), fps=24)


def _rotated(*matrix: int) -> Callable[[Path], Path]:
    return lambda folder: with_matrix(_h264(".mp4", "keyint=12")(folder), *matrix)


def _odd_size(folder: Path) -> Path:
    write_video(folder / "video.avi", pictures(40, 47, 65), codec="mpeg4", options={"g": "12", "bf": "1"})
    return folder / "video.avi"


def _two_streams(folder: Path) -> Path:
    """A small stream first, then the larger default one, packets interleaved."""
    path = folder / "video.mkv"
    with av.open(str(path), "w") as container:
        streams = []
        for scale, crf in ((1, "40"), (2, "10")):
            stream = container.add_stream("libx264", rate=24, options={"crf": crf, "g": "12"})
            stream.disposition = Disposition.default if scale == 2 else Disposition(0)
            stream.width, stream.height, stream.pix_fmt = WIDTH * scale, HEIGHT * scale, "yuv420p"
            streams.append((stream, pictures(40, HEIGHT * scale, WIDTH * scale)))
        for i in range(40):
            for stream, images in streams:
                container.mux(stream.encode(av.VideoFrame.from_ndarray(images[i], format="rgb24")))
        for stream, _ in streams:
            container.mux(stream.encode(None))
    return path


def _cover(folder: Path) -> Path:
    """A cover picture as the first stream, then the video."""
    path, source = folder / "cover.mp4", _h264(".mp4", "keyint=12")(folder)
    encoder = av.CodecContext.create("png", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 200, 300, "rgb24", Fraction(1, 24)
    image = av.VideoFrame.from_ndarray(np.full((300, 200, 3), 90, np.uint8), format="rgb24")
    image.pts, image.time_base = 0, Fraction(1, 24)
    (png,) = [*encoder.encode(image), *encoder.encode(None)]
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        cover = new.add_stream("png", rate=24)
        cover.width, cover.height, cover.pix_fmt = 200, 300, "rgb24"
        cover.disposition = Disposition.attached_pic  # alone, or the muxer writes an ordinary track
        copy = new.add_stream_from_template(old.streams.video[0])
        png.stream = cover
        new.mux(png)
        for packet in old.demux(video=0):
            if packet.size:
                packet.stream = copy
                new.mux(packet)
    return patch(path, _metadata_first)


def _metadata_first(data: bytearray) -> None:
    """Move `udta`, which holds the cover, before the tracks in `moov`, the last box of the file."""
    start = data.index(b"moov") - 4
    boxes: list[bytes] = []
    at = start + 8
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        boxes.append(bytes(data[at : at + size]))
        at += size
    boxes.sort(key=lambda box: {b"mvhd": 0, b"udta": 1}.get(box[4:8], 2))
    data[start + 8 :] = b"".join(boxes)


def _wrong_count(folder: Path) -> Path:
    """An AVI whose two frame counts are both wrong."""

    def change(data: bytearray) -> None:
        total, length = data.index(b"avih") + 24, data.index(b"strh") + 40
        data[total : total + 4] = data[length : length + 4] = struct.pack("<I", FRAMES + 13)

    return patch(_write(".avi", codec="mpeg4", options={"g": "12", "bf": "2"})(folder), change)


def _not_unicode(folder: Path) -> Path:
    """A title that is not UTF-8."""
    path = remux(_h264(".mp4", "keyint=12")(folder), folder / "title.mp4", title="placeholder")

    def change(data: bytearray) -> None:
        start = data.index(b"placeholder")
        data[start : start + 3] = b"\xff\xfe\xe9"

    return patch(path, change)


KINDS: dict[str, Callable[[Path], Path]] = {
    "h264": _write(".mp4"),
    "h264 closed GOP": _h264(".mp4", "keyint=12:bframes=3:b-pyramid=2:b-adapt=0"),
    "h264 long GOP": _h264(".mp4", "keyint=250:bframes=3"),
    "h264 open GOP": _h264(".mp4", f"{_OPEN}:b-pyramid=2"),
    "h264 open GOP, many references": _h264(".mp4", f"{_OPEN}:b-pyramid=2:ref=6:weightp=2:bframes=7"),
    "h264 open GOP mkv": _h264(".mkv", f"{_OPEN}:b-pyramid=1"),
    "h264 open GOP mpegts": _h264(".ts", f"{_OPEN}:ref=4"),
    "h264 interlaced slices mpegts": _h264(".ts", "keyint=12:tff=1:slices=3"),
    "h264 gradual refresh": _h264(".mp4", "intra-refresh=1:keyint=12"),
    "h264 fragmented": _write(".mp4", container_options={"movflags": "frag_keyframe+empty_moov"}),
    "h264 flv": _h264(".flv", "keyint=12"),
    "h264 avi": _h264(".avi", "keyint=12"),
    "h264 elementary": _h264(".h264", "keyint=12"),
    "hevc open GOP": _hevc(".mp4"),
    "hevc open GOP mkv": _hevc(".mkv"),
    "hevc open GOP mpegts": _hevc(".ts"),
    "av1": _write(".mp4", codec="libsvtav1", options={"g": "12", "preset": "12"}),
    "av1 mkv": _write(".mkv", codec="libsvtav1", options={"g": "12", "preset": "12"}),
    "vp9": _write(".webm", codec="libvpx-vp9", options={"g": "12", "cpu-used": "8"}),
    "vp8": _write(".webm", codec="libvpx", options={"g": "24", "auto-alt-ref": "1", "lag-in-frames": "16"}),
    "mpeg4 avi": _write(".avi", codec="mpeg4", options={"g": "12", "bf": "2"}),
    "mpeg4 mp4": _write(".mp4", codec="mpeg4", options={"g": "12", "bf": "2"}),
    "mpeg2 mpegts": _write(".ts", codec="mpeg2video", options={"g": "12", "bf": "2"}),
    "edit list": _remuxed(_h264(".mp4", "keyint=20:bframes=3"), ".mp4", 0, 9),
    "edit list, open GOP": _remuxed(_h264(".mp4", f"{_OPEN}:b-pyramid=2"), ".mp4", 9, 13),
    "cut between keyframes mpegts": _remuxed(_h264(".ts", "keyint=12:bframes=3"), ".ts", 5),
    "cut at an open GOP mpegts": _remuxed(_h264(".ts", f"{_OPEN}:b-pyramid=2"), ".ts", 9),
    "cut at an open GOP mp4": _remuxed(_h264(".mp4", f"{_OPEN}:b-pyramid=2"), ".mp4", 9),
    "hevc cut at an open GOP": _remuxed(_hevc(".mp4"), ".mp4", 12),
    "mpeg2 cut between keyframes": _remuxed(
        _write(".ts", codec="mpeg2video", options={"g": "12", "bf": "2"}), ".ts", 4
    ),
    "variable rate": _variable(".mp4"),
    "variable rate mkv": _variable(".mkv"),
    "late start": _variable(".mp4", 5000),
    "late start mpegts": _variable(".ts", 5000),
    "rotated 90": _rotated(0, 1, -1, 0),
    "rotated 180": _rotated(-1, 0, 0, -1),
    "rotated 270": _rotated(0, -1, 1, 0),
    "odd size": _odd_size,
    "two streams": _two_streams,
    "cover picture": _cover,
    "wrong count": _wrong_count,
    "title not UTF-8": _not_unicode,
}
