"""The classic group protocol as a table: state × event → state, and who may do what in which state.

    Empty              ── joined ──▶       PreparingRebalance
    PreparingRebalance ── joined ──▶       PreparingRebalance
    PreparingRebalance ── lost ──▶         PreparingRebalance
    PreparingRebalance ── gathered ──▶     CompletingRebalance
    PreparingRebalance ── deserted ──▶     Empty
    CompletingRebalance ── assigned ──▶    Stable
    CompletingRebalance ── not written ──▶ PreparingRebalance
    CompletingRebalance ── joined ──▶      PreparingRebalance
    CompletingRebalance ── lost ──▶        PreparingRebalance
    Stable             ── joined ──▶       PreparingRebalance
    Stable             ── lost ──▶         PreparingRebalance

A rebalance has two halves. First everybody joins again (PreparingRebalance): the answers of
JoinGroup wait until all members are there or the rebalance timeout is over. Then the leader, a
client, assigns the partitions and brings the result with its SyncGroup (CompletingRebalance).

A generation is one agreement about who is a member. Every request names the generation it believes
in, so that a process that was away too long cannot commit offsets for partitions that others own by
now.

What is not in the table cannot happen: `ClassicGroup.happen` raises KeyError, which is a bug of
ours. Compared with Kafka's `ClassicGroupState` there is no Dead state that a group is in: one lock
guards all groups, so nobody can hold a group that was deleted.
"""

from __future__ import annotations

from enum import Enum, StrEnum, auto

from zerocopy_lab.errors import KafkaError, RebalanceInProgress, UnknownMemberId


class ClassicState(StrEnum):
    """The states by the names that Kafka's tools print."""

    EMPTY = "Empty"
    PREPARING_REBALANCE = "PreparingRebalance"
    COMPLETING_REBALANCE = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"  # what is said of a group that does not exist


class ClassicEvent(StrEnum):
    """What moves a group from one state to another."""

    JOINED = "joined"  # a member is new, came back, or wants something else than before
    LOST = "lost"  # a member left, fell silent, or never asked for its assignment
    GATHERED = "gathered"  # everybody joined, or the time for it is over
    DESERTED = "deserted"  # the time for joining is over, and nobody is there
    ASSIGNED = "assigned"  # the leader's assignment is in the log
    NOT_WRITTEN = "not written"  # the leader's assignment could not be put into the log


_EMPTY, _STABLE = ClassicState.EMPTY, ClassicState.STABLE
_PREPARING, _COMPLETING = ClassicState.PREPARING_REBALANCE, ClassicState.COMPLETING_REBALANCE

TRANSITIONS: dict[tuple[ClassicState, ClassicEvent], ClassicState] = {
    (_EMPTY, ClassicEvent.JOINED): _PREPARING,
    (_PREPARING, ClassicEvent.JOINED): _PREPARING,
    (_PREPARING, ClassicEvent.LOST): _PREPARING,
    (_PREPARING, ClassicEvent.GATHERED): _COMPLETING,
    (_PREPARING, ClassicEvent.DESERTED): _EMPTY,
    (_COMPLETING, ClassicEvent.ASSIGNED): _STABLE,
    (_COMPLETING, ClassicEvent.NOT_WRITTEN): _PREPARING,
    (_COMPLETING, ClassicEvent.JOINED): _PREPARING,
    (_COMPLETING, ClassicEvent.LOST): _PREPARING,
    (_STABLE, ClassicEvent.JOINED): _PREPARING,
    (_STABLE, ClassicEvent.LOST): _PREPARING,
}


class Wish(Enum):
    """What somebody who is who he says may still not want at any time."""

    SYNC = auto()
    HEARTBEAT = auto()
    COMMIT = auto()
    COMMIT_WITHOUT_MEMBERSHIP = auto()  # assign() instead of subscribe(), or an administrator


#: Who may not do what in which state, and what he is told. The rest may.
REFUSALS: dict[tuple[Wish, ClassicState], type[KafkaError]] = {
    # Whoever hears this joins again.
    (Wish.SYNC, _PREPARING): RebalanceInProgress,
    (Wish.HEARTBEAT, _PREPARING): RebalanceInProgress,
    # The member is in the new generation but does not know yet what it owns.
    (Wish.COMMIT, _COMPLETING): RebalanceInProgress,
    # A group that has members is theirs.
    (Wish.COMMIT_WITHOUT_MEMBERSHIP, _PREPARING): UnknownMemberId,
    (Wish.COMMIT_WITHOUT_MEMBERSHIP, _COMPLETING): UnknownMemberId,
    (Wish.COMMIT_WITHOUT_MEMBERSHIP, _STABLE): UnknownMemberId,
}
