from __future__ import annotations

import pytest

from zerocopy_lab.broker.groups.assignors import NO_SLOTS
from zerocopy_lab.broker.groups.consumer_group import ConsumerGroup, ConsumerMember, GroupChange
from zerocopy_lab.broker.groups.consumer_records import (
    ConsumerRecordKind,
    decode_consumer_key,
    encode_change,
    keys_of_group,
)
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


def test_a_member_goes_in_the_order_in_which_kafka_wants_to_hear_it() -> None:
    """Kafka's replay throws when a member's record goes before what refers to it."""
    group, member = ConsumerGroup("g"), ConsumerMember("a")
    group.apply(GroupChange(members={"a": member}, targets={"a": NO_SLOTS}))
    change = GroupChange(epoch=2, members={"a": None}, targets={"a": None})
    gone = [decode_consumer_key(key) for key, value in encode_change(group, change)]
    kinds = ConsumerRecordKind
    assert [key.kind for key in gone] == [kinds.CURRENT, kinds.TARGET, kinds.MEMBER, kinds.GROUP]
    assert [decode_consumer_key(key).kind for key in keys_of_group(group)] == [
        kinds.TARGET_EPOCH,
        kinds.GROUP,
    ]
