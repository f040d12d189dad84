from __future__ import annotations

import gzip
import random

import aiokafka.codec
import cramjam
import lz4.frame
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from zerocopy_lab.errors import CorruptMessage, KafkaError, MessageTooLarge
from zerocopy_lab.errors import UnsupportedCompressionType as Unsupported
from zerocopy_lab.records.compression import Codec, codec_of, compress, decompress

PACKED = [codec for codec in Codec if codec is not Codec.NONE]
SMALL = b"a few bytes"
LONG = b"departure JFK 05:17 " * 10_000  # 200,000 bytes: several blocks of every codec
NOISE = random.Random(7).randbytes(100_000)  # does not get shorter

FOREIGN_DECODERS = {
    Codec.GZIP: gzip.decompress,
    Codec.SNAPPY: aiokafka.codec.snappy_decode,
    Codec.LZ4: lz4.frame.decompress,
    Codec.ZSTD: lambda packed: zstandard.ZstdDecompressor().decompress(packed, 1 << 20),
}
FOREIGN_ENCODERS = {
    Codec.GZIP: gzip.compress,
    Codec.SNAPPY: aiokafka.codec.snappy_encode,
    Codec.LZ4: lz4.frame.compress,
    Codec.ZSTD: zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("codec", Codec)
@given(plain=st.binary(max_size=2_000))
@example(plain=b"")
@example(plain=LONG)
@example(plain=NOISE)
def test_round_trip(codec: Codec, plain: bytes) -> None:
    assert decompress(codec, memoryview(compress(codec, plain))) == plain


@pytest.mark.parametrize("codec", PACKED)
@pytest.mark.parametrize("plain", [SMALL, LONG, NOISE], ids=["small", "long", "noise"])
def test_other_libraries_read_ours_and_we_theirs(codec: Codec, plain: bytes) -> None:
    assert FOREIGN_DECODERS[codec](compress(codec, plain)) == plain
    assert decompress(codec, memoryview(FOREIGN_ENCODERS[codec](plain))) == plain


def test_snappy_as_librdkafka_writes_it() -> None:
    raw = bytes(cramjam.snappy.compress_raw(LONG))
    assert decompress(Codec.SNAPPY, memoryview(raw)) == LONG


@pytest.mark.parametrize(
    ("codec", "first_bytes"),
    [
        (Codec.GZIP, "1f8b08"),
        (Codec.SNAPPY, "82534e4150505900 00000001 00000001 0000000d 0b"),
        (Codec.ZSTD, "28b52ffd"),
    ],
)
def test_first_bytes(codec: Codec, first_bytes: str) -> None:
    expected = bytes.fromhex(first_bytes)
    assert compress(codec, SMALL)[: len(expected)] == expected


def test_lz4_blocks_are_independent_because_kafka_refuses_linked_ones() -> None:
    frame = compress(Codec.LZ4, LONG)
    assert frame[:4] == bytes.fromhex("04224d18")
    version, independent, content_size = frame[4] >> 6, frame[4] >> 5 & 1, frame[4] >> 3 & 1
    assert (version, independent, content_size) == (1, 1, 0)


@pytest.mark.parametrize("codec", PACKED)
def test_no_more_comes_out_than_allowed(codec: Codec) -> None:
    packed = memoryview(compress(codec, LONG))
    assert decompress(codec, packed, len(LONG)) == LONG
    with pytest.raises(MessageTooLarge, match=f"more than the {len(LONG) - 1} allowed"):
        decompress(codec, packed, len(LONG) - 1)


@pytest.mark.parametrize("codec", PACKED)
def test_a_bomb_of_one_gigabyte(codec: Codec) -> None:
    if codec is Codec.SNAPPY:  # a raw block that only claims to be long
        packed = bytes.fromhex("8080808004") + b"\0" * 10
    else:
        chunk = bytes(1 << 20)
        packed = b"".join([compress(codec, chunk)] * 1024)
    with pytest.raises(MessageTooLarge):
        decompress(codec, memoryview(packed))


@pytest.mark.parametrize("codec", PACKED)
def test_cut_anywhere(codec: Codec) -> None:
    packed = compress(codec, SMALL)
    for length in range(len(packed)):
        try:
            plain = decompress(codec, memoryview(packed)[:length])
        except CorruptMessage:
            continue
        # xerial's framing has no end mark: cut right behind its header or a block, it looks whole.
        assert codec is Codec.SNAPPY
        assert len(plain) == 0


@pytest.mark.parametrize("codec", PACKED)
@given(packed=st.binary(max_size=200), honest_start=st.integers(0, 30))
def test_bytes_from_strangers(codec: Codec, packed: bytes, honest_start: int) -> None:
    packed = compress(codec, SMALL)[:honest_start] + packed
    try:
        plain = decompress(codec, memoryview(packed), 1 << 16)
    except KafkaError:
        return
    assert len(plain) <= 1 << 16


def test_codec_in_the_attributes() -> None:
    assert [codec_of(0x78 | code) for code in range(5)] == list(Codec)
    for code in (5, 6, 7):
        with pytest.raises(Unsupported, match=f"codec {code} does not exist"):
            codec_of(code)


def test_xerial_streams_that_were_joined_are_one() -> None:
    joined = compress(Codec.SNAPPY, LONG) + compress(Codec.SNAPPY, b"and more")
    assert bytes(decompress(Codec.SNAPPY, memoryview(joined))) == LONG + b"and more"
