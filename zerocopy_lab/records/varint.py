"""Whole numbers in as few bytes as they need: the zigzag varints of a record.

| value | bytes | why |
|---|---|---|
| 0, -1, 1, -2 | `00 01 02 03` | zigzag: the sign is bit 0, so small negative numbers stay short |
| 63, 64 | `7e`, `80 01` | seven bits a byte, lowest first; the top bit says "more follows" |

Every length, count and delta inside a record is one (source: Kafka's `ByteUtils.writeVarint`,
Protocol Buffers' `sint32`). They make a record short, and they are why record 1,000 of a batch can
only be found by walking over the 999 in front of it.

Requests have unsigned ones, for their lengths: the same loop without the zigzag.
"""

from __future__ import annotations

from zerocopy_lab.errors import CorruptMessage, InvalidRecord

INT32_VARINT_BYTES = 5  # 32 bits, seven a byte
INT64_VARINT_BYTES = 10

# Most numbers in a record are tiny. A table look-up is several times cheaper than the loop.
_ONE_BYTE = [bytes([zigzag]) for zigzag in range(128)]


def encode_varint(value: int) -> bytes:
    """The bytes of a signed number of up to 64 bits. Raises OverflowError beyond that."""
    zigzag = (value << 1) ^ (value >> 63)
    if 0 <= zigzag < 128:
        return _ONE_BYTE[zigzag]
    if not -(1 << 63) <= value < 1 << 63:
        raise OverflowError(f"{value} does not fit the 64 bits of a varint")
    encoded = bytearray()
    while zigzag >= 128:
        encoded.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    encoded.append(zigzag)
    return bytes(encoded)


def decode_varint(
    view: memoryview | bytes, position: int, longest_bytes: int = INT32_VARINT_BYTES
) -> tuple[int, int]:
    """The number at a position, and the position behind it.

    Raises InvalidRecord when it runs past the end of the view, CorruptMessage when it has more
    bytes or bits than its field: both come from a damaged or a hostile batch (Kafka's
    `ByteUtils.readVarint` tells them apart as well).
    """
    try:
        byte = view[position]
        if byte < 128:  # nearly always
            return (byte >> 1) ^ -(byte & 1), position + 1
        second = view[position + 1]
        if second < 128:  # nearly all others
            return (byte >> 1 & 63 | second << 6) ^ -(byte & 1), position + 2
        most_bits = 32 if longest_bytes == INT32_VARINT_BYTES else 64
        zigzag, end = unsigned_varint(view, position, most_bits)
    except IndexError:
        raise InvalidRecord(
            f"the varint at position {position} runs past the {len(view)} bytes there are"
        ) from None
    except OverflowError:
        raise CorruptMessage(
            f"the varint at position {position} does not fit in {longest_bytes} bytes"
        ) from None
    return (zigzag >> 1) ^ -(zigzag & 1), end


def unsigned_varint(
    view: memoryview | bytes, position: int, most_bits: int = 32
) -> tuple[int, int]:
    """The unsigned number at a position, and the position behind it: the "compact" lengths of
    requests (KIP-482), and what lies under a record's zigzag.

    Raises IndexError when it runs past the end, OverflowError when it has more than `most_bits`.
    """
    number = shift = 0
    while shift < most_bits:
        byte = view[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80 and not number >> most_bits:
            return number, position
        shift += 7
    raise OverflowError(f"a varint of more than {most_bits} bits before byte {position}")
