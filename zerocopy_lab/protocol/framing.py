"""Framing: every request and every response is a length (int32, big-endian) and that many bytes.

    | at | field                      |
    |----|----------------------------|
    | 0  | length i32 (without itself)|
    | 4  | header, body               |

Source: Kafka protocol guide, "Common Request and Response Structure"; Kafka's `NetworkReceive`.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct

from zerocopy_lab.errors import FrameError
from zerocopy_lab.file_slice import FileSlice

#: A response is a row of pieces: bytes that were made, and slices of files that nobody read.
Piece = bytes | FileSlice
Pieces = Sequence[Piece]

LENGTH = Struct(">i")


def frame_length(view: bytes | memoryview, limit_bytes: int, at: int = 0) -> int:
    """The length that the four bytes at position `at` announce.

    Raises FrameError when it is negative or above `limit_bytes` (Kafka's
    `socket.request.max.bytes`): a stranger's four bytes must not make us reserve two gigabytes.
    """
    length: int = LENGTH.unpack_from(view, at)[0]
    if length < 0:
        raise FrameError(f"a frame of negative length {length}")
    if length > limit_bytes:
        raise FrameError(f"a frame of {length} bytes, over socket.request.max.bytes={limit_bytes}")
    return length


def framed(payload: bytes) -> bytes:
    """`payload` with its length in front."""
    return LENGTH.pack(len(payload)) + payload


def total_bytes(pieces: Pieces) -> int:
    """How many bytes the pieces put on the wire, file slices included."""
    return sum(p.length if isinstance(p, FileSlice) else len(p) for p in pieces)
