"""The exercises of lab 11: recovery, a follower, and what an election loses."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, tried
from zerocopy_lab.classroom.lab import Lab

Event = tuple[str, int]
"""("write", so many messages), or what a follower does, by its number: ("fetch", 1) up to the
leader's end, ("leave", 1) and ("join", 1) the in-sync replicas.
"""

FOLLOWERS = (1, 2)
_CASES = 300


def drawn_life(draw: random.Random) -> list[Event]:
    """What happens to a leader and two followers, until the leader is lost."""
    events: list[Event] = []
    in_sync, caught_up = set(FOLLOWERS), set(FOLLOWERS)
    for _ in range(draw.randrange(0, 12)):
        kind = draw.choice(("write", "write", "fetch", "fetch", "leave", "join"))
        follower = draw.choice(FOLLOWERS)
        if kind == "write":
            events.append(("write", draw.randrange(1, 9)))
            caught_up.clear()
        elif kind == "fetch":
            events.append(("fetch", follower))
            caught_up.add(follower)
        elif kind == "leave" and follower in in_sync:
            events.append(("leave", follower))
            in_sync.discard(follower)
        elif kind == "join" and follower not in in_sync and follower in caught_up:
            events.append(("join", follower))
            in_sync.add(follower)
    return events


def lost_by_message(events: Sequence[Event], acks: str, min_in_sync: int, elected: int) -> int:
    """The answer by another way than the obvious one: who has each message, and whether it was
    acknowledged, message by message. While too few are in sync nothing is: Kafka's high watermark
    stands still (`Partition.maybeIncrementLeaderHW`, isUnderMinIsr), and who waits for it is told
    NOT_ENOUGH_REPLICAS_AFTER_APPEND (`checkEnoughReplicasReachOffset`).
    """
    holders: list[set[int]] = []
    acknowledged: list[bool] = []
    in_sync = set(FOLLOWERS)
    for kind, number in events:
        if kind == "write":
            if acks == "all" and 1 + len(in_sync) < min_in_sync:
                continue  # refused: NOT_ENOUGH_REPLICAS
            holders += [set() for _ in range(number)]
            acknowledged += [acks == "1"] * number
        elif kind == "fetch":
            for holder in holders:
                holder.add(number)
        elif kind == "leave":
            in_sync.discard(number)
        else:
            in_sync.add(number)
        if 1 + len(in_sync) >= min_in_sync:
            acknowledged = [
                done or in_sync <= there for done, there in zip(acknowledged, holders, strict=True)
            ]
    return sum(
        done and elected not in there for done, there in zip(acknowledged, holders, strict=True)
    )


def a_life(lab: Lab) -> tuple[list[Event], str, int, int]:
    """One that is printed: of the learner's seed, and one in which something is lost."""
    draw = lab.random("a life")
    while True:
        case = _drawn(draw)
        if lost_by_message(*case):
            return case


def _drawn(draw: random.Random) -> tuple[list[Event], str, int, int]:
    acks, least = draw.choice((("1", 1), ("all", 1), ("all", 2), ("all", 2)))
    return drawn_life(draw), acks, least, draw.choice(FOLLOWERS)


def _grade_election(answer: Any, lab: Lab) -> Grade:
    draw = lab.random("elections")
    lives = [a_life(lab), *(_drawn(draw) for _ in range(_CASES))]
    return tried(
        answer,
        "lost(events, acks, min_in_sync, elected)",
        ((life, lost_by_message(*life)) for life in lives),
        lambda told, right, events, acks, least, elected: (
            f"events={events}, acks={acks!r}, min_in_sync={least}, elected={elected}: {right} "
            f"acknowledged messages are lost, yours says {told!r}. "
            + _hint(events, acks, least, told, right)
        ),
        f"In all {_CASES} drawn lives. With acks=all a follower that is in sync has all that was "
        "acknowledged: only an unclean election can lose.",
    )


def _hint(events: Sequence[Event], acks: str, least: int, told: object, right: int) -> str:
    if type(told) is not int:
        return "The answer is a whole number."
    if acks == "1":
        return "With acks=1 all that the leader has is acknowledged; the elected one may have less."
    alone = ("leave", 1) in events and ("leave", 2) in events
    if told > right and least == 2 and alone:
        return (
            "While fewer than min_in_sync (the leader counts) are in sync, a write is refused, and "
            "what was written before and still waits is not acknowledged."
        )
    if told > right:
        return "With acks=all only what *every* replica in sync has is acknowledged."
    return (
        "Whoever leaves no longer holds up the others: what they have is acknowledged then, and "
        "stays so."
    )


EXERCISES = (
    building(
        "11.1",
        "recovery",
        "Write recovery: how much of a damaged log is good?",
        (
            "From batch to batch: a header says how long its batch is, and there the next begins.",
            "Stop where 61 bytes are not there, or the batch's end is not, or magic is not 2, or "
            "the CRC does not hold, or the base offset is below what is due.",
            'base, length, epoch, magic, crc, attributes, delta = struct.unpack_from(">qiibIhi", '
            "log, position); the batch ends at position + 12 + length, its CRC is crc32c(log["
            "position + 21 : end]), and base + delta + 1 is due next.",
        ),
    ),
    building(
        "11.2",
        "follower",
        "Write a round of following a leader.",
        (
            "Fetch once, from next_offset. Of what came, how much is whole and good? You have just "
            "written the function that says so.",
            "log.write that much of it, as it is. Then next_offset is behind its last batch.",
            "came = memoryview(fetch(next_offset)); good = came[: recovery(came, next_offset)]; "
            'walk over it with struct.unpack_from(">qi11xi", ...): base offset, length and '
            "lastOffsetDelta.",
        ),
    ),
    Exercise(
        "11.3",
        "What does an election lose?",
        _grade_election,
        (
            "Keep where each log ends: the leader's, and each follower's. A fetch brings a "
            "follower to the leader's end.",
            "With acks=all the acknowledged end is the least end of all that are in sync. It never "
            "goes back, it moves with fetch and leave, too, and it stands still while 1 + "
            "len(in_sync) < min_in_sync. With acks=1 it is the leader's.",
            "Lost is what was acknowledged beyond the elected one's end, and never less than 0. "
            "With acks=all a write is left out while 1 + len(in_sync) < min_in_sync.",
        ),
        takes_code=True,
    ),
)
