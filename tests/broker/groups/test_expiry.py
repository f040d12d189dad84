"""When committed offsets are forgotten (KIP-211), partition by partition."""

from __future__ import annotations

import time
from collections.abc import Iterable

from tests.broker.groups.group_play import Client, Stage, settle
from zerocopy_lab.broker.groups.classic_group import ClassicGroup
from zerocopy_lab.broker.groups.offsets import CommittedOffsets, Where
from zerocopy_lab.broker.groups.records import CommittedOffset
from zerocopy_lab.broker.groups.store import AnyGroup, Committed

RETENTION_MIN = 60
CHECK_MS = 1_000
NOW_MS = time.time_ns() // 1_000_000
LONG_AGO_MS = NOW_MS - 2 * RETENTION_MIN * 60_000
READS_A = b"\x00\x01\x00\x00\x00\x01\x00\x01a\xff\xff\xff\xff"  # version 1, topic "a"


class Tombstones:
    """A store that remembers what was removed."""

    def __init__(self) -> None:
        self.removed: set[Where] = set()
        self.groups: list[str] = []

    def remove(self, group_id: str, offsets: Iterable[Where]) -> None:
        self.removed |= set(offsets)

    def remove_group(self, group: AnyGroup, offsets: Iterable[Where] = ()) -> None:
        self.remove(group.group_id, offsets)
        self.groups.append(group.group_id)


class Life:
    """A stage with offsets that were committed long ago, or just now."""

    def __init__(self, ages_ms: dict[Where, int], group: ClassicGroup | None = None) -> None:
        self.stage = Stage(
            offsets_retention_minutes=RETENTION_MIN, offsets_retention_check_interval_ms=CHECK_MS
        )
        if group is not None:
            self.stage.coordinator.groups["g"] = group
        self.store = Tombstones()
        known: Committed = {w: CommittedOffset(5, -1, "", at_ms) for w, at_ms in ages_ms.items()}
        self.offsets = CommittedOffsets(
            self.stage.coordinator,
            self.store,  # type: ignore[arg-type]
            self.stage.timers,
            {"g": known},
        )

    def left(self) -> set[Where]:
        """What is there after a check."""
        self.stage.timers.advance(CHECK_MS / 1000)
        left = set(self.offsets.committed("g"))
        assert not left & self.store.removed
        return left


def empty_since(state_since_ms: int) -> ClassicGroup:
    return ClassicGroup.restored("g", "consumer", None, 3, state_since_ms, None, [])


def test_without_members_each_partition_has_its_own_time() -> None:
    life = Life({("t", 0): LONG_AGO_MS, ("t", 1): NOW_MS})
    assert life.left() == {("t", 1)}
    assert life.store.groups == []


def test_a_group_goes_with_its_last_offset() -> None:
    life = Life({("t", 0): LONG_AGO_MS})
    assert life.left() == set()
    assert "g" not in life.stage.coordinator.groups
    assert life.store.groups == ["g"]


def test_where_members_were_the_time_begins_when_the_last_one_left() -> None:
    old = {("t", 0): LONG_AGO_MS}
    assert Life(old, empty_since(NOW_MS)).left() == {("t", 0)}
    assert Life(old, empty_since(LONG_AGO_MS)).left() == set()


def test_what_was_committed_to_an_empty_group_just_now_stays() -> None:
    life = Life({("t", 0): LONG_AGO_MS, ("t", 1): NOW_MS}, empty_since(LONG_AGO_MS))
    assert life.left() == {("t", 1)}


def test_topics_that_a_stable_group_no_longer_reads() -> None:
    life = Life({("a", 0): LONG_AGO_MS, ("b", 0): LONG_AGO_MS, ("c", 0): NOW_MS})
    settle(Client(life.stage, protocols={"range": READS_A}))
    assert life.left() == {("a", 0), ("c", 0)}


def test_a_group_in_a_rebalance_and_one_that_cannot_be_read_keep_everything() -> None:
    for protocols in ({"range": READS_A}, {"range": b"?"}):
        life = Life({("b", 0): LONG_AGO_MS})
        client = Client(life.stage, protocols=protocols)
        client.join()
        if protocols["range"] == b"?":
            client.sync({client.member_id: b""})
        assert life.left() == {("b", 0)}
