"""What one H.264 packet says about itself without being decoded (ITU-T H.264, 7.3.1 and D.1.8)."""

from collections.abc import Iterator
from enum import IntEnum

_IDR, _SEI, _PARAMETERS = 5, 6, (7, 8, 13, 15)
_SLICES = range(1, 6)
_RECOVERY_POINT = 6


class Start(IntEnum):
    """How decoding can begin at a packet."""

    NO = 0
    OPEN = 1  # pictures shown before it may need earlier ones
    EXACT = 2


def nal_length_size(extradata: bytes) -> int:
    """Bytes of the length before each unit of a packet (MP4 form), or 0 where start codes separate them."""
    return (extradata[4] & 3) + 1 if len(extradata) > 4 and extradata[0] == 1 else 0


def inspect_h264(data: bytes, length_size: int) -> tuple[bool, Start]:
    """Tell whether other pictures may need a packet, and whether decoding can begin at it.

    A picture is droppable when `nal_ref_idc` of its slices is 0 and it carries no parameter sets. Decoding can begin
    at an IDR picture, and at a recovery point that promises exact pictures from itself on; a gradual refresh, which
    containers also mark as a keyframe, is neither.

    Args:
        data: One access unit.
        length_size: As of `nal_length_size`.

    Returns:
        `(reference, start)`; a packet that makes no sense counts as a reference.
    """
    parameters, recovery = False, False
    for begin, end in _marked_units(data) if length_size == 0 else _sized_units(data, length_size):
        kind = data[begin] & 31
        if kind in _SLICES:
            start = Start.EXACT if kind == _IDR else Start.OPEN if recovery else Start.NO
            return parameters or bool(data[begin] >> 5 & 3), start
        parameters |= kind in _PARAMETERS
        recovery |= kind == _SEI and _promises_recovery(data[begin + 1 : end])
    return True, Start.NO


def _sized_units(data: bytes, length_size: int) -> Iterator[tuple[int, int]]:
    begin = length_size
    while begin < len(data):
        end = begin + int.from_bytes(data[begin - length_size : begin], "big")
        yield begin, end
        begin = end + length_size


def _marked_units(data: bytes) -> Iterator[tuple[int, int]]:
    mark = data.find(b"\0\0\1")
    while 0 <= mark < len(data) - 3:
        following = data.find(b"\0\0\1", mark + 3)
        yield mark + 3, len(data) if following < 0 else following
        mark = following


def _promises_recovery(message: bytes) -> bool:
    """Whether supplemental information holds a recovery point with `recovery_frame_cnt` 0 and `exact_match_flag` 1."""
    message = message.replace(b"\0\0\3", b"\0\0")  # undo the emulation prevention
    at = 0
    while at + 2 < len(message):
        numbers = []
        for _ in ("type", "size"):
            number = 0
            while at < len(message) and message[at] == 255:
                number, at = number + 255, at + 1
            numbers.append(number + (message[at] if at < len(message) else 0))
            at += 1
        if numbers[0] == _RECOVERY_POINT and at < len(message):
            return message[at] & 0xC0 == 0xC0  # the code 1 of a zero count, then the flag
        at += numbers[1]
    return False
