from __future__ import annotations

import pytest

from zerocopy_lab.broker.groups.records import CommittedOffset, decode_offset_value
from zerocopy_lab.errors import InvalidRecord

NUMBERS = "000000000000002a ffffffff"
COMMITTED = CommittedOffset(42, -1, "", 1795338777294)


@pytest.mark.parametrize(
    "value",
    [
        f"0003 {NUMBERS} 0000 000001a20287b2ce",
        f"0004 {NUMBERS} 01 000001a20287b2ce 00",  # as Kafka 4.2 writes it
        f"0004 {NUMBERS} 01 000001a20287b2ce 01 00 10 {bytes(16).hex()}",  # with a topic id
    ],
)
def test_a_committed_offset_in_the_versions_of_kafka(value: str) -> None:
    assert decode_offset_value(bytes.fromhex(value)) == COMMITTED


@pytest.mark.parametrize(
    "value", ["0005", "0004", f"0004 {NUMBERS}", f"0004 {NUMBERS} ff", f"0004 {NUMBERS} 05 61"]
)
def test_what_is_no_committed_offset(value: str) -> None:
    with pytest.raises(InvalidRecord):
        decode_offset_value(bytes.fromhex(value))
