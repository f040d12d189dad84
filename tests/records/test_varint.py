from __future__ import annotations

import pytest
from aiokafka.record.util import encode_varint as foreign_encode_varint
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.errors import CorruptMessage, InvalidRecord
from zerocopy_lab.records.varint import INT64_VARINT_BYTES, decode_varint, encode_varint

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)

TABLE = [
    (0, "00"),
    (-1, "01"),
    (1, "02"),
    (-2, "03"),
    (63, "7e"),
    (-64, "7f"),
    (64, "8001"),
    (-65, "8101"),
    (8191, "fe7f"),
    (8192, "808001"),
    ((1 << 31) - 1, "feffffff0f"),
    (-(1 << 31), "ffffffff0f"),
    ((1 << 63) - 1, "feffffffffffffffff01"),
    (-(1 << 63), "ffffffffffffffffff01"),
]


@pytest.mark.parametrize(("value", "encoded"), TABLE)
def test_value_and_bytes(value: int, encoded: str) -> None:
    packed = bytes.fromhex(encoded)
    assert encode_varint(value) == packed
    assert decode_varint(memoryview(packed), 0, INT64_VARINT_BYTES) == (value, len(packed))


@given(INT64, st.binary(max_size=3), st.binary(max_size=3))
def test_round_trip_between_other_bytes(value: int, before: bytes, behind: bytes) -> None:
    encoded = encode_varint(value)
    view = memoryview(before + encoded + behind)
    end = len(before) + len(encoded)
    assert decode_varint(view, len(before), INT64_VARINT_BYTES) == (value, end)


@given(INT64)
def test_same_bytes_as_another_client(value: int) -> None:
    theirs = bytearray()
    foreign_encode_varint(value, theirs.append)
    assert encode_varint(value) == bytes(theirs)


@pytest.mark.parametrize("value", [1 << 63, -(1 << 63) - 1])
def test_more_than_64_bits_is_our_own_mistake(value: int) -> None:
    with pytest.raises(OverflowError):
        encode_varint(value)


@pytest.mark.parametrize(
    ("encoded", "longest_bytes"),
    [
        ("", 5),  # nothing there
        ("80", 5),  # more follows, but nothing does
        ("ffffffff", 5),
        ("808080808000", 5),  # a sixth byte of an int32
        ("ffffffff1f", 5),  # 33 bits in five bytes
        ("8080808080808080808000", 10),  # an eleventh byte of an int64
        ("ffffffffffffffffff03", 10),  # 65 bits in ten bytes
    ],
)
def test_bytes_that_are_no_varint(encoded: str, longest_bytes: int) -> None:
    with pytest.raises((InvalidRecord, CorruptMessage), match="varint at position 0"):
        decode_varint(memoryview(bytes.fromhex(encoded)), 0, longest_bytes)
