"""Whatever is in `__consumer_offsets`, the broker starts, and what is good in it is believed."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

import pytest
from crc32c import crc32c
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.broker.caller import Caller
from tests.broker.groups.test_requests_of_groups import SUBSCRIPTION, commit, committed, join, sync
from zerocopy_lab.broker.broker import Broker
from zerocopy_lab.broker.groups.consumer_group import (
    ConsumerGroup,
    ConsumerMember,
    GroupChange,
    MemberState,
    Subscription,
)
from zerocopy_lab.broker.groups.consumer_records import encode_change
from zerocopy_lab.broker.groups.record_fields import RecordWriter
from zerocopy_lab.broker.groups.records import (
    CommittedOffset,
    OffsetKey,
    encode_group_key,
    encode_offset_key,
    encode_offset_value,
)
from zerocopy_lab.broker.groups.store import OFFSETS_TOPIC
from zerocopy_lab.broker.settings import BrokerSettings, GroupSettings
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.records.record import Record, build_batch

NUMBERS = st.sampled_from([-(1 << 31), -5, -1, 0, 1, 2, 7, (1 << 31) - 1])
NAMES = st.sampled_from(["", "g", "good", "m0", "m1", "é"])


@st.composite
def group_values(draw: st.DrawFn) -> bytes:
    """A group's record with anything in its fields, and perhaps cut."""
    writer = RecordWriter(draw(st.integers(0, 4)))
    writer.string(draw(st.sampled_from(["consumer", "connect", None])))
    writer.int32(draw(NUMBERS))
    writer.string(draw(st.none() | NAMES))
    writer.string(draw(st.none() | NAMES))
    writer.int64(draw(NUMBERS))
    members = draw(st.integers(0, 3))
    writer.int32(draw(st.sampled_from([members, members, members, -5, (1 << 31) - 1])))
    for _ in range(members):
        for _ in range(4):
            writer.string(draw(st.none() | NAMES))
        writer.int32(draw(NUMBERS))
        writer.int32(draw(NUMBERS))
        writer.bytestring(draw(st.binary(max_size=8)))
        writer.bytestring(draw(st.binary(max_size=8)))
    return bytes(writer.record)[: draw(st.sampled_from([None, None, None, -1, 10]))]


@st.composite
def of_the_new_protocol(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A record of a consumer group with anything in its fields, and perhaps cut."""
    slot = st.tuples(st.sampled_from([UUID(int=1), UUID(int=2)]), NUMBERS)
    slots = st.frozensets(slot, max_size=3)
    subscription = Subscription(
        draw(st.none() | NAMES),
        rebalance_timeout_ms=draw(NUMBERS),
        topic_names=tuple(draw(st.lists(NAMES, max_size=2))),
        topic_regex=draw(st.none() | NAMES),
        assignor=draw(st.none() | NAMES),
    )
    member = ConsumerMember(
        draw(NAMES),
        subscription,
        epoch=draw(NUMBERS),
        state=draw(st.sampled_from(MemberState)),
        owns=draw(slots),
        revokes=draw(slots),
    )
    change = GroupChange(
        epoch=draw(NUMBERS),
        target_epoch=draw(NUMBERS),
        members={member.member_id: member},
        targets={draw(NAMES): draw(slots)},
    )
    key, value = draw(st.sampled_from(encode_change(ConsumerGroup("g"), change)))
    assert value is not None
    return key, value[: draw(st.sampled_from([None, None, None, -1, 10]))]


@st.composite
def forged(draw: st.DrawFn) -> Record:
    """A record that is no broker's, or might be."""
    offset = CommittedOffset(draw(NUMBERS), draw(NUMBERS), draw(NAMES), draw(NUMBERS))
    where = OffsetKey(draw(st.sampled_from(["g", "h", ""])), draw(NAMES), draw(NUMBERS))
    version = st.integers(-2, 30).map(lambda number: number.to_bytes(2, "big", signed=True))
    key = st.one_of(
        st.none(),
        st.just(b""),
        st.binary(max_size=40),
        st.just(encode_group_key("g")),
        st.just(encode_offset_key(where)),
        st.builds(lambda first, rest: first + rest, version, st.binary(max_size=40)),
    )
    value = st.one_of(
        st.none(), st.binary(max_size=60), st.just(encode_offset_value(offset)), group_values()
    )
    if draw(st.booleans()):
        return Record(0, 0, *draw(of_the_new_protocol()))
    return Record(0, draw(NUMBERS), draw(key), draw(value))


def start_to_join(caller: Caller, group_id: str) -> list[Any]:
    types = caller.types(ApiKey.join_group, 3)
    return caller.start(
        ApiKey.join_group,
        3,
        group_id=group_id,
        session_timeout=timedelta(seconds=30),
        rebalance_timeout=timedelta(seconds=60),
        member_id="",
        protocol_type="consumer",
        protocols=(types.JoinGroupRequestProtocol(name="range", metadata=SUBSCRIPTION),),
    )


def beat(caller: Caller, group_id: str) -> int:
    """What somebody hears who joins by the new protocol, and what he hears when he goes."""
    values: dict[str, Any] = {"group_id": group_id, "member_id": "new"}
    joins = {"rebalance_timeout": timedelta(seconds=60), "subscribed_topic_names": ("t",)}
    key, owns = ApiKey.consumer_group_heartbeat, {"topic_partitions": ()}
    answer = caller.call(key, 1, member_epoch=0, **values, **joins, **owns)
    caller.call(key, 1, member_epoch=-1, **values, topic_partitions=None)
    return int(answer.error_code)


def put(broker: Broker, batch: bytes) -> None:
    log = broker.logs.find(OFFSETS_TOPIC, 0)
    log.append(memoryview(bytearray(batch)))


@given(st.lists(st.lists(forged(), min_size=1, max_size=4), max_size=4))
@settings(
    max_examples=25,
    deadline=None,
    phases=[Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
def test_a_broker_starts_whatever_was_written(batches: list[list[Record]]) -> None:
    with TemporaryDirectory() as directory:
        options = BrokerSettings(log_dirs=(Path(directory),))
        with Broker(options) as broker:
            broker.logs.create_topic("t", 1)
            assert commit(Caller(broker), 41, group_id="good") == 0
            broker.logs.alter_settings(OFFSETS_TOPIC, {"cleanup.policy": "delete"})
            for batch in batches:
                put(broker, build_batch([r._replace(offset=i) for i, r in enumerate(batch)]))
        with Broker(options) as again:
            caller = Caller(again)
            assert committed(caller, "good") == {("t", 0): 41}
            joined = join(caller, group_id="good")
            assert joined.error_code == 0
            assert sync(caller, joined, group_id="good").error_code == 0
            found = again.logs.topics()[OFFSETS_TOPIC]
            assert found.settings.cleanup_policy == "compact"
            # What was believed of the others can be lived with: told, joined, written, read again.
            for name in list(again.groups.coordinator.groups):
                assert committed(caller, name) is not None
                described = caller.call(
                    ApiKey.describe_groups, 5, groups=(name,), include_authorized_operations=True
                )
                assert [group.group_id for group in described.groups] == [name]
                assert beat(caller, name) in (0, 42, 69, 110)
                answers = start_to_join(caller, name)
                again.groups.offsets.forget_topic("t")
                assert not answers or answers[0].error_code in (0, 23, 24, 79)
        Broker(options).close()


@pytest.mark.parametrize("codec", [0, 1, 4])
def test_a_batch_that_cannot_be_opened_costs_itself(tmp_path: Path, codec: int) -> None:
    options = BrokerSettings(log_dirs=(tmp_path,))
    with Broker(options) as broker:
        broker.logs.create_topic("t", 1)
        commit(Caller(broker), 41)
        batch = bytearray(build_batch([Record(0, 1, b"k", b"v" * 50)]))
        batch[61:] = os.urandom(len(batch) - 61)
        batch[22] = codec
        broker.logs.alter_settings(OFFSETS_TOPIC, {"cleanup.policy": "delete"})
        _put_behind_the_checks(broker, batch)
        commit(Caller(broker), 42)
    with Broker(options) as again:
        assert committed(Caller(again)) == {("t", 0): 42}


def _put_behind_the_checks(broker: Broker, batch: bytearray) -> None:
    batch[17:21] = crc32c(bytes(batch[21:])).to_bytes(4, "big")
    put(broker, bytes(batch))


def test_another_number_of_partitions_does_not_bring_older_offsets_back(tmp_path: Path) -> None:
    """A group's records are where the number of partitions says; what lies elsewhere is older."""
    few = GroupSettings(offsets_topic_num_partitions=2)
    options = BrokerSettings(log_dirs=(tmp_path,), groups=few)
    groups = [f"g{number}" for number in range(20)]
    with Broker(options) as broker:
        broker.logs.create_topic("t", 1)
        for name in groups:
            commit(Caller(broker), 5, group_id=name)
        broker.logs.add_partitions(OFFSETS_TOPIC, 3)
        for name in groups:
            commit(Caller(broker), 6, group_id=name)
    with Broker(options) as again:
        for name in groups:
            assert committed(Caller(again), name) == {("t", 0): 6}
