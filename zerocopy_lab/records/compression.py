"""The codecs of a batch: one byte string in, one out, and never more than asked for.

| id | codec | what Kafka expects in the batch |
|---|---|---|
| 0 | none | the records as they are |
| 1 | gzip | RFC 1952, one or several members |
| 2 | snappy | Java: xerial's framing (below), one stream or several; librdkafka: one raw block |
| 3 | lz4 | an LZ4 frame of *independent* blocks: Kafka's reader refuses linked ones |
| 4 | zstd | RFC 8878 frames |

xerial's snappy: `82 "SNAPPY" 00`, version i32, oldest compatible version i32, then blocks: length
i32, raw snappy of at most 32 KiB.

To produce or to fetch a broker needs none of this: the batch stays shut. Labs, consumers,
compaction and lookups by exact timestamp open it.

A few hundred bytes can unpack to gigabytes (a "bomb"), so every caller states the most it will
take; Kafka itself has no such limit. Left out: compression levels, which Kafka lets a producer
choose.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterator
from enum import IntEnum

import cramjam

from zerocopy_lab.errors import (
    CorruptMessage,
    InvalidRecord,
    MessageTooLarge,
    UnsupportedCompressionType,
)

# Of one batch, which has at most `max.message.bytes` (1 MiB by default) while it is shut: thirty
# times as much. Real records pack less tightly; what packs tighter is made to fill our memory.
MOST_DECOMPRESSED_BYTES = 32 << 20
CODEC_MASK = 0x07


class Codec(IntEnum):
    """Bits 0-2 of a batch's attributes; in lower case the names of `compression.type`."""

    NONE = 0
    GZIP = 1
    SNAPPY = 2
    LZ4 = 3
    ZSTD = 4


_CODECS = tuple(Codec)  # a tuple is looked up five times faster than an enum

_XERIAL_MAGIC = b"\x82SNAPPY\x00"
_XERIAL_HEADER = _XERIAL_MAGIC + struct.pack(">ii", 1, 1)
_XERIAL_BLOCK_BYTES = 32 << 10
_LZ4_MAGIC = bytes.fromhex("04224d18")
_LZ4_INDEPENDENT = 0x60  # version 1 of the frame format; no block needs another
_ZSTD_LEVEL = 3  # zstd's own default, and Kafka's


def compress(codec: Codec, plain: bytes) -> bytes:
    """The bytes in a codec's format, as a Java client would accept them."""
    match codec:
        case Codec.NONE:
            return plain
        case Codec.GZIP:
            return bytes(cramjam.gzip.compress(plain))
        case Codec.SNAPPY:
            return _XERIAL_HEADER + b"".join(_xerial_blocks(plain))
        case Codec.LZ4:
            return _lz4_frame(plain)
        case Codec.ZSTD:
            return bytes(cramjam.zstd.compress(plain, level=_ZSTD_LEVEL))


def decompress(
    codec: Codec, packed: memoryview, max_bytes: int = MOST_DECOMPRESSED_BYTES
) -> memoryview:
    """What was compressed, at most `max_bytes` of it.

    Raises CorruptMessage when the bytes are not of this codec, MessageTooLarge when more than
    `max_bytes` would come out.
    """
    if codec is Codec.NONE:
        return packed
    # Pages of it that are never written to cost no memory, so the room may be as large as the
    # limit.
    room = memoryview(mmap.mmap(-1, max_bytes))
    try:
        return room[: _UNPACK[codec](packed, room)]
    except cramjam.DecompressionError as error:
        if _ROOM_FULL in str(error):
            raise MessageTooLarge(
                f"{len(packed)} bytes of {codec.name} unpack to more than the {max_bytes} allowed"
            ) from None
        raise CorruptMessage(f"{len(packed)} bytes are not {codec.name}: {error}") from None


def codec_of(attributes: int) -> Codec:
    """The codec in a batch's attributes. Raises UnsupportedCompressionType for the ids 5-7 that
    nobody has given out.
    """
    try:
        return _CODECS[attributes & CODEC_MASK]
    except IndexError:
        raise UnsupportedCompressionType(
            f"compression codec {attributes & CODEC_MASK} does not exist, only 0 to {Codec.ZSTD:d}"
        ) from None


def check_frame_start(codec_id: int, start: memoryview) -> None:
    """What the first five bytes of compressed records give away.

    LZ4 can make a block refer to the one before it. Kafka's Java reader takes no such frame: every
    consumer that uses it stops at the batch, for good. One bit of the fifth byte tells.

    Raises UnsupportedCompressionType, InvalidRecord.
    """
    if codec_of(codec_id) is Codec.LZ4 and (
        len(start) < 5 or start[:4] != _LZ4_MAGIC or start[4] & 0xE0 != _LZ4_INDEPENDENT
    ):
        raise InvalidRecord(
            f"an LZ4 frame that begins with {start.hex()}: Kafka's readers want "
            f"{_LZ4_MAGIC.hex()}, then a byte whose bits 5 to 7 are 011 (independent blocks)"
        )


def _xerial_blocks(plain: bytes) -> Iterator[bytes]:
    for start in range(0, len(plain), _XERIAL_BLOCK_BYTES):
        block = bytes(cramjam.snappy.compress_raw(plain[start : start + _XERIAL_BLOCK_BYTES]))
        yield struct.pack(">i", len(block)) + block


def _lz4_frame(plain: bytes) -> bytes:
    frame = cramjam.lz4.Compressor(content_checksum=False, block_linked=False)
    frame.compress(plain)
    return bytes(frame.finish())


def _unpack_snappy(packed: memoryview, room: memoryview) -> int:
    unpacked_bytes = 0
    for block in _snappy_blocks(packed):
        if cramjam.snappy.decompress_raw_len(block) > len(room) - unpacked_bytes:
            raise cramjam.DecompressionError(_ROOM_FULL)
        unpacked_bytes += cramjam.snappy.decompress_raw_into(block, room[unpacked_bytes:])
    return unpacked_bytes


def _snappy_blocks(packed: memoryview) -> Iterator[memoryview]:
    """The raw blocks inside: all of it (librdkafka), or one after each length (xerial)."""
    if packed[: len(_XERIAL_MAGIC)] != _XERIAL_MAGIC:
        yield packed
        return
    position = len(_XERIAL_HEADER)
    while position < len(packed):
        if packed[position : position + len(_XERIAL_MAGIC)] == _XERIAL_MAGIC:
            position += len(_XERIAL_HEADER)  # a second stream, joined to the first
            continue
        if len(packed) - position < 4:
            raise CorruptMessage(f"the snappy framing is cut at byte {position} of {len(packed)}")
        (block_bytes,) = struct.unpack_from(">i", packed, position)
        position += 4
        if not 0 < block_bytes <= len(packed) - position:
            raise CorruptMessage(
                f"a snappy block of {block_bytes} bytes at byte {position} of {len(packed)}"
            )
        yield packed[position : position + block_bytes]
        position += block_bytes


_ROOM_FULL = "failed to write whole buffer"  # the library's words; it has no type of error for it
_UNPACK: dict[Codec, Callable[[memoryview, memoryview], int]] = {
    Codec.GZIP: cramjam.gzip.decompress_into,
    Codec.SNAPPY: _unpack_snappy,
    Codec.LZ4: cramjam.lz4.decompress_into,
    Codec.ZSTD: cramjam.zstd.decompress_into,
}
