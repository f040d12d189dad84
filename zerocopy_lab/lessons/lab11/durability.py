"""Lab 11: what survives kill -9, a torn write, a power cut, and the loss of the leader.

    flush_policies   acknowledged messages that each end takes away      counted
    flush_prices     what each policy costs                              timed
    failed_fsync     what the kernel and a broker make of a failed one   proved
    replicas         the follower's copy                                 proved

Here are the pictures and their words; the verdicts are in `durability_findings`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import about
from zerocopy_lab.conformance.recovering import Damage, WrittenLog, drawn_log, flipped, recovery
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab11.durability_exercises import a_life
from zerocopy_lab.lessons.lab11.flush_policies import EACH, RECORDED_AS, SOME, SYSTEM, Survivors
from zerocopy_lab.lessons.lab11.flush_prices import against_system, waits_ms
from zerocopy_lab.lessons.lab11.replicas import Replicas
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.measuring.host import host_facts
from zerocopy_lab.measuring.recorded import marked, recorded, recorded_origin, recorded_words
from zerocopy_lab.pictures.kept_and_lost import Kind, Piece, Stretch, kept_and_lost
from zerocopy_lab.pictures.ladder import NO_CLEAR_CHANGE, Rung, ladder
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.plain_words import factor

__all__ = ["a_life", "about"]

Seen = Sequence[Survivors] | Unmeasured

_KINDS: Mapping[Kind, str] = {
    "kept": "on the disk for certain",
    "lost": "in memory only: a power cut may take it",
}

# -- what each end takes ---------------------------------------------------------------------------


def _recorded_policies() -> list[Survivors]:
    return [Survivors(**fields) for fields in recorded(RECORDED_AS)]


def policies_picture(seen: Seen, lab: Lab) -> Picture:
    """What is on the disk when the last message is acknowledged; from the recorded run where that
    cannot be seen here.
    """
    if isinstance(seen, Unmeasured):
        return marked(_policies_drawn(_recorded_policies(), recorded_origin("COUNTED")))
    return _policies_drawn(seen, Origin("COUNTED", _host(lab)))


def _host(lab: Lab) -> str:
    facts = host_facts(lab.out_dir)
    return ", ".join(facts[name] for name in ("system", "file system") if name in facts)


def _policies_drawn(seen: Sequence[Survivors], origin: Origin) -> Picture:
    rows = []
    for each in seen:
        lost = each.lost("power")
        pieces = Piece(each.power, "kept", f"{each.power:,}"), Piece(lost, "lost", f"{lost:,}")
        remark = f"kill -9 took {each.lost('kill'):,}, a torn write {each.lost('torn'):,}"
        rows.append(Stretch(each.policy, tuple(p for p in pieces if p.amount), remark))
    title = "At the last acknowledgement"
    return kept_and_lost(
        rows, unit="acknowledged messages", kinds=_KINDS, origin=origin, title=title
    )


def policies_words(seen: Seen) -> str:
    """The conclusion under that picture."""
    if isinstance(seen, Unmeasured):
        return f"{seen} {recorded_words(policies_words(_recorded_policies()))}"
    taken = "; ".join(f"{each.lost('power'):,} where {_who_flushes(each)}" for each in seen)
    killed = sum(each.lost("kill") + each.lost("torn") for each in seen)
    survived = (
        "kill -9 and half a written batch took none of them away, whatever the policy"
        if not killed
        else f"kill -9 and half a written batch took {killed:,} of them away"
    )
    otherwise = "".join(f" But {each.otherwise}." for each in seen if each.otherwise)
    return (
        f"Of {seen[0].acknowledged:,} acknowledged messages, {survived}. A power cut at the last "
        f"acknowledgement takes, at worst, {taken}.{otherwise}"
    )


def _who_flushes(seen: Survivors) -> str:
    if seen.policy == SYSTEM:
        return "the system decides when to flush"
    return f"the broker flushes {seen.policy}"


def power_answer(seen: Seen) -> int | None:
    """What a power cut takes with the default: the number of the notebook's choice."""
    if isinstance(seen, Unmeasured):
        return None
    [default] = [each for each in seen if each.policy == SYSTEM]
    if default.otherwise:
        return None
    share = default.lost("power") / default.acknowledged
    return 1 if share == 0 else 3 if share > 0.9 else 2


def why_no_answer(seen: Seen) -> str:
    """Why the machine could not tell; nothing where it could."""
    if isinstance(seen, Unmeasured):
        return str(seen)
    return "; ".join(filter(None, (each.otherwise for each in seen)))


# -- what it costs ---------------------------------------------------------------------------------


def prices_picture(outcome: Outcome) -> Picture:
    """What a batch waits for its acknowledgement, by policy."""
    waits = waits_ms(outcome)
    rungs = []
    for policy, wait in waits.items():
        found = against_system(outcome, policy)
        clear = policy != SYSTEM and found.verdict != "inconclusive"
        step = f"× {factor(found.ratio.median)}" if clear else NO_CLEAR_CHANGE
        rungs.append(Rung(policy, wait, step="" if policy == SYSTEM else step))
    picture = ladder(
        rungs,
        unit="ms until a batch of 25 messages is acknowledged",
        origin=Origin("TIMED", outcome.host.text()),
        title="What a flush costs",
    )
    told = "; ".join(f"{policy} {wait.text('ms')}" for policy, wait in waits.items())
    picture.alt = f"How long a batch waits for its acknowledgement: {told}."
    return picture


def prices_words(outcome: Outcome) -> str:
    """The conclusion under that picture."""
    waits = waits_ms(outcome)
    told = [f"{SYSTEM}, a batch was acknowledged after {waits[SYSTEM].text('ms')}"]
    for policy in (SOME, EACH):
        found = against_system(outcome, policy)
        verdict = {
            "dearer": f"× {factor(found.ratio.median)} of that",
            "cheaper": f"strangely only × {factor(found.ratio.median)} of that",
            "inconclusive": f"no clear difference ({found.why})",
        }[found.verdict]
        told.append(f"flushed {policy}, after {waits[policy].text('ms')}: {verdict}")
    return f"Where {'; '.join(told)}. The producer sent the next batch only then."


# -- the copy --------------------------------------------------------------------------------------


def replicas_picture(seen: Replicas, lab: Lab) -> Picture:
    """Both logs when the leader's machine has lost its power."""
    left = seen.leader_left
    if isinstance(left, Unmeasured):
        leader = Stretch("the leader's disk", (), "not seen from here")
    else:
        gone = seen.leader_end - left
        pieces = Piece(left, "kept", f"{left:,}"), Piece(gone, "lost", f"{gone:,}")
        leader = Stretch("the leader's disk", tuple(p for p in pieces if p.amount))
    behind = seen.leader_end - seen.follower_end
    copy = Stretch(
        "the follower's copy",
        (
            Piece(seen.follower_end, "kept", f"{seen.follower_end:,}"),
            Piece(behind, "lost", f"{behind:,}"),
        ),
    )
    return kept_and_lost(
        [leader, copy],
        unit="messages",
        kinds={"kept": "there", "lost": "gone, or never came"},
        origin=Origin("COUNTED", _host(lab)),
        title="The leader's machine has lost its power",
    )


def replicas_words(seen: Replicas) -> str:
    """What the copy is, what fed it, and what an election would make of it."""
    same = f"not compared ({seen.identical})"
    if not isinstance(seen.identical, Unmeasured):
        same = "byte for byte" if seen.identical else "NOT"
        same += " the beginning of the leader's log"
    fed = (
        f"its calls were not counted here ({seen.fed_by})"
        if isinstance(seen.fed_by, Unmeasured)
        else f"sendfile fed it (calls of the leader for all of it: {seen.fed_by.sendfile:,})"
    )
    left = (
        "What is left on the leader's disk cannot be seen from here"
        if isinstance(seen.leader_left, Unmeasured)
        else f"On the leader's disk are, at worst, {seen.leader_left:,} of {seen.leader_end:,}"
    )
    return (
        f"The copy of {seen.follower_end:,} messages is {same}; {fed}. {left}; a broker that was "
        f"started with the copy serves {seen.elected_serves:,}. The last "
        f"{seen.leader_end - seen.follower_end:,} came when nobody followed: only acks=1 had "
        "promised those."
    )


# -- a damaged log, to play with -------------------------------------------------------------------

CUT, FLIP, ZEROS = "the file ends", "a bit flips", "zeros begin"


class LogToBreak:
    """A small log of the learner's seed, and what `recovery` keeps of it."""

    def __init__(self, lab: Lab) -> None:
        self._written: WrittenLog = drawn_log(lab.random("a log"), next_offset=0)
        self.bytes = len(self._written.content)

    def _after(self, damage: str, position: int) -> Damage:
        log, position = self._written.content, min(position, self.bytes - 1)
        if damage == FLIP:
            return flipped(self._written, position, 0)
        left = log[:position] + (bytes(len(log) - position) if damage == ZEROS else b"")
        return Damage(left, f"{damage} at byte {position}", "")

    def draw(self, damage: str, position: int) -> Picture:
        """The batches as they were written, and what a recovery keeps."""
        left = self._after(damage, position).left
        good = recovery(memoryview(left), 0)
        written, kept, start = [], [], 0
        for number, batch in enumerate(self._written.batches):
            end = start + len(batch)
            is_hit = start <= position < end
            written.append(Piece(len(batch), "damaged" if is_hit else "kept", f"{number}"))
            kept.append(Piece(len(batch), "kept" if end <= good else "lost", f"{number}"))
            start = end
        what = f"{damage} at byte {position}"
        rows = [Stretch("as written", tuple(written), what), Stretch("recovery", tuple(kept))]
        return kept_and_lost(
            rows,
            unit="bytes of the log",
            kinds={"kept": "good", "lost": "cut away", "damaged": "the batch that was hit"},
            origin=Origin("COMPUTED"),
            title="A log that was damaged, and what recovery keeps of it",
        )

    def words(self, damage: str, position: int) -> str:
        """What was kept, and why."""
        hit = self._after(damage, position)
        good = recovery(memoryview(hit.left), 0)
        log = self._written.content
        if hit.left == log:
            return (
                f"{damage}, at byte {position}: nothing changed there, all {good} bytes are good."
            )
        unseen = " Nobody notices: no CRC covers that byte." if good == len(log) else ""
        behind = len(log) - good
        return f"{hit.words}: {good} bytes are good, {behind} are cut away.{unseen}"
