"""Lab 11, a leader and its follower: the copy, what fed it, and what is left when the leader's
machine loses its power.

The follower stands for another machine: its copy's pages are in the memory of *that* machine, which
goes on. It is stopped before the leader gets its last messages, so that there is something for an
election to lose. `replicas` measures; what acks=1 and acks=all would have promised at that moment
is arithmetic over where the two logs end.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.conformance.seats import examined, examined_or_ours
from zerocopy_lab.instruments.system_calls import counting_system_calls
from zerocopy_lab.instruments.unavailable import Unavailable, Unmeasured, or_unmeasured
from zerocopy_lab.lessons.lab11.flush_policies import (
    BATCH,
    Broker,
    acknowledged,
    flights,
    flushed_bytes,
    log_path,
    messages_in,
)
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.follower import Follower
from zerocopy_lab.running.passing_topic import a_topic
from zerocopy_lab.running.running_broker import RunningBroker


class Feeding(NamedTuple):
    """The leader's system calls while it fed a follower a whole log."""

    sendfile: int
    reads: int


class Replicas(NamedTuple):
    """A leader and its follower, when the leader's machine lost its power."""

    leader_end: int
    """so many messages the leader had appended, all acknowledged with acks=1"""
    follower_end: int
    """so many of them the follower had, and acks=all would have acknowledged"""
    identical: bool | Unmeasured
    fed_by: Feeding | Unmeasured
    leader_left: int | Unmeasured
    """so many messages are left on the leader's disk, at worst"""
    elected_serves: int
    """so many a client reads from a broker that was started with the copy"""
    whose: str
    """whose follower it was: ours, or the learner's"""


def follower_of(bootstrap: str, topic: str, directory: Path, lab: Lab | None = None) -> Follower:
    """A follower, with the parts that the learner has kept where there are any."""
    mine = lab.parts_dir if lab else None
    follow, recover = (examined_or_ours(mine, name) for name in ("follower", "recovery"))
    return Follower(bootstrap, topic, directory, follow, recover)


def replicas(leader: Broker, directory: Path, lab: Lab) -> Replicas:
    """Follow, stop, write on, lose the leader; a broker that we started does not run afterwards."""
    count = 4000 if lab.fast else 100_000
    batches = flights(count + 20 * BATCH)
    both, alone = batches[: count // BATCH], batches[count // BATCH :]
    with a_topic(leader) as topic:
        with follower_of(leader.bootstrap, topic, directory / "copy", lab) as follower:
            *_, end = acknowledged(leader, topic, both)
            follower.reach(end)
        fed_by = _fed_by(leader, topic, directory / "counted", follower.next_offset)
        *_, end = acknowledged(leader, topic, alone)
        identical, left = _lose_power(leader, topic, follower.path)
    with RunningBroker(directory / "copy") as elected:
        served = flight_events.consume(elected.bootstrap, topic, follower.next_offset).messages
    whose = "yours" if examined(lab.parts_dir, "follower") else "ours"
    return Replicas(end, follower.next_offset, identical, fed_by, left, served, whose)


@or_unmeasured()
def _fed_by(leader: Broker, topic: str, directory: Path, end: int) -> Feeding | Unmeasured:
    """The leader's calls while a second follower copies the whole log."""
    names = ("sendfile", "read", "pread64", "preadv")
    with (
        counting_system_calls(leader.pid, names) as calls,
        follower_of(leader.bootstrap, topic, directory) as follower,
    ):
        follower.reach(end)
    return Feeding(calls.of("sendfile"), sum(map(calls.of, names[1:])))


def _lose_power(
    leader: Broker, topic: str, copy: Path
) -> tuple[bool | Unmeasured, int | Unmeasured]:
    """Whether the copy is the beginning of the leader's log, and what of that log is left."""
    try:
        log = log_path(leader, topic)
    except Unavailable as reason:
        return Unmeasured(str(reason)), Unmeasured(str(reason))
    copied, whole = copy.read_bytes(), log.read_bytes()
    try:
        left: int | Unmeasured = messages_in(whole[: flushed_bytes(log)])
    except Unavailable as reason:
        left = Unmeasured(str(reason))
    assert isinstance(leader, RunningBroker)
    leader.kill()
    return whole[: len(copied)] == copied, left


def show_elections(seen: Replicas) -> None:
    """Who is elected, and what of that which was acknowledged is lost, by acks."""
    behind = seen.leader_end - seen.follower_end
    rows: list[tuple[str, str, int, int]] = [
        ("acks=1", "the leader has it", seen.leader_end, behind),
        ("acks=all, the follower in sync", "both have it", seen.follower_end, 0),
        ("acks=all, the follower no longer in sync", "the leader has it", seen.leader_end, behind),
        ("the same with min.insync.replicas=2", "refused while alone", seen.follower_end, 0),
    ]
    show_table(
        [
            "the producer asks for",
            "answered when",
            "acknowledged",
            "lost if the follower is elected",
        ],
        [[name, when, f"{acknowledged:,}", f"{lost:,}"] for name, when, acknowledged, lost in rows],
    )
