import pytest

from clips.h264 import Start, inspect_h264


@pytest.mark.parametrize("length_size", [0, 4])
@pytest.mark.parametrize(
    "units, expected",
    [
        ([b"\x65abc"], (True, Start.EXACT)),
        ([b"\x41abc"], (True, Start.NO)),
        ([b"\x01abc"], (False, Start.NO)),
        ([b"\x09\xf0", b"\x01abc"], (False, Start.NO)),
        ([b"\x68abc", b"\x01abc"], (True, Start.NO)),  # carries a parameter set
        ([b"\x06\x06\x01\xc4\x80", b"\x41abc"], (True, Start.OPEN)),
        ([b"\x06\x06\x01\x84\x80", b"\x41abc"], (True, Start.NO)),  # recovery that is not exact
        ([b"\x06\x06\x01\x4c\x80", b"\x41abc"], (True, Start.NO)),  # recovery after further pictures
        ([b"\x06\x05\x02ab\x06\x01\xc4\x80", b"\x41abc"], (True, Start.OPEN)),
        ([b"\x06\x05\xff"], (True, Start.NO)),
        ([b""], (True, Start.NO)),
    ],
)
def test_h264_packets_tell_what_they_are(units: list[bytes], expected: tuple[bool, Start], length_size: int) -> None:
    marks = [b"\0\0\1" if length_size == 0 else len(u).to_bytes(4, "big") for u in units]
    assert inspect_h264(b"".join(m + u for m, u in zip(marks, units, strict=True)), length_size) == expected
