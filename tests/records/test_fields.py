from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.records.golden_hex import golden_bytes
from zerocopy_lab.errors import CorruptMessage, InvalidRecord
from zerocopy_lab.records.batch import HEADER_BYTES, read_header
from zerocopy_lab.records.fields import (
    Field,
    attributes_in_words,
    header_fields,
    record_fields,
    time_in_words,
)

GOLDEN = memoryview(golden_bytes("two_records.hex"))


def test_header_fields_cover_the_header_and_agree_with_it() -> None:
    fields = header_fields(GOLDEN)
    end = 0
    for field in fields:
        assert field.position == end
        end += field.length
    assert end == HEADER_BYTES
    assert tuple(field.value for field in fields) == read_header(GOLDEN)
    assert fields[7].told == "2013-01-01 10:00:50.080Z"
    assert (fields[4].told, fields[9].told, fields[12].told) == ("0x23917063", "none", "2")


def test_fields_of_both_records() -> None:
    body = GOLDEN[HEADER_BYTES:]
    first = record_fields(body, 0)
    second = record_fields(body, first[-1].position + first[-1].length)
    assert [(field.name, field.value) for field in first] == [
        ("length", 13),
        ("attributes", 0),
        ("timestampDelta", 0),
        ("offsetDelta", 0),
        ("keyLength", 3),
        ("key", b"JFK"),
        ("valueLength", 4),
        ("value", b"1545"),
        ("headersCount", 0),
    ]
    assert [(field.name, field.told) for field in second[4:]] == [
        ("keyLength", "null"),
        ("valueLength", "3"),
        ("value", "EWR"),
        ("headersCount", "2"),
        ("headerKeyLength", "3"),
        ("headerKey", "dst"),
        ("headerValueLength", "null"),
        ("headerKeyLength", "1"),
        ("headerKey", "n"),
        ("headerValueLength", "1"),
        ("headerValue", "7"),
    ]
    shown = b"".join(body[field.position : field.position + field.length] for field in first)
    assert shown == body[: second[0].position]


def test_what_is_no_header() -> None:
    with pytest.raises(CorruptMessage):
        header_fields(GOLDEN[:60])


@given(st.binary(max_size=60), st.integers(0, 35))
def test_bytes_from_strangers(noise: bytes, honest: int) -> None:
    view = memoryview(bytes(GOLDEN[HEADER_BYTES : HEADER_BYTES + honest]) + noise)
    try:
        fields = record_fields(view, 0)
    except (InvalidRecord, CorruptMessage):
        return
    assert all(isinstance(field, Field) for field in fields)
    assert fields[-1].position + fields[-1].length <= len(view)


@pytest.mark.parametrize(
    ("timestamp_ms", "words"),
    [
        (-1, "none"),
        (0, "1970-01-01 00:00:00.000Z"),
        (1357034450080, "2013-01-01 10:00:50.080Z"),
        ((1 << 63) - 1, ""),
        (-(1 << 63), ""),
    ],
)
def test_times(timestamp_ms: int, words: str) -> None:
    assert time_in_words(timestamp_ms) == words


def test_attributes() -> None:
    assert attributes_in_words(0) == "none"
    assert attributes_in_words(0x3C) == "zstd, LogAppendTime, transactional, control"
    assert attributes_in_words(0x47) == "codec 7, delete horizon"
