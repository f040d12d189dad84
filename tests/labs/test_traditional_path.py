"""Lab 04 tells copies from calls and Python from both, whatever the figures are."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.labs.outcomes import outcome_of
from zerocopy_lab.classroom.evidence import Evidence, Verdict
from zerocopy_lab.classroom.subject import THIS_BROKER
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab04 import loop_price as price
from zerocopy_lab.lessons.lab04 import moves as hops
from zerocopy_lab.lessons.lab04 import traditional_path as lesson
from zerocopy_lab.lessons.lab04.moves import DeviceReads, Moves
from zerocopy_lab.measuring.alias_test import AliasVerdict, alias_test
from zerocopy_lab.measuring.alias_test_of_topic import MANY_BYTES
from zerocopy_lab.measuring.racing import random_file
from zerocopy_lab.running import flight_events
from zerocopy_lab.running.running_broker import RunningBroker

ALIAS = AliasVerdict("sendfile", "tcp", "alias", "the new ones arrived", ("new",))
COPIED = AliasVerdict("sendfile", "tcp", "copied", "the old ones arrived", ("old",))
UNCLEAR = AliasVerdict("sendfile", "tcp", "inconclusive", "old, new", ("old", "new"))
READS = DeviceReads(1 << 20, 0, 1 << 20)
NO_COMPILER = "there is no compiler."

Four = tuple[float, float, float, float]
"""Small loop, large loop, small sendfile, large sendfile: CPU without Python."""


def measured(
    costs: Four, python: float = 0.0, in_c: Four | None = None, noise: float = 0.0
) -> price.Sweep:
    """A sweep with these costs and so much Python in a small loop's turns, half in sendfile's."""
    names = (price.SMALL_LOOP, price.LARGE_LOOP, price.SMALL_DIRECT, price.LARGE_DIRECT)
    own = (python, python / 256, python / 2, python / 512)
    figures = {n: cost + each for n, cost, each in zip(names, costs, own, strict=True)}
    figures |= {price.EMPTY_LOOP: python + 0.1, price.EMPTY_DIRECT: python / 2 + 0.05}
    if in_c:
        figures |= {f"{name}, in C": cost for name, cost in zip(names, in_c, strict=True)}
        figures |= {f"{price.EMPTY_LOOP}, in C": 0.1, f"{price.EMPTY_DIRECT}, in C": 0.05}
    draw = random.Random(4)
    switches = {"voluntary_switches": 1.0, "involuntary_switches": 2.0, "gib": 0.5}
    rounds = {
        name: [
            {"sender_cpu_s_per_gib": cost * (1 + draw.uniform(-noise, noise)), **switches}
            for _ in range(3)
        ]
        for name, cost in figures.items()
    }
    return price.Sweep(outcome_of(rounds), None if in_c else NO_COMPILER)


def told(moves: Moves) -> dict[str, Verdict]:
    return {found.part: Verdict(found.verdict) for found in hops.findings(moves)}


def moves_of(
    reads: DeviceReads | Unmeasured = READS,
    direct: AliasVerdict = ALIAS,
    answer: AliasVerdict | Unmeasured = ALIAS,
    send_copied: bool = True,
) -> Moves:
    return Moves(reads, True, send_copied, direct, THIS_BROKER, answer)


# -- the price -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("costs", "verdict", "answer"),
    [
        ((2.0, 0.3, 1.6, 0.2), Verdict.CONTRADICTED, 3),
        ((2.0, 1.9, 0.4, 0.2), Verdict.SUPPORTED, 1),
        ((2.0, 1.1, 1.1, 0.2), Verdict.INCONCLUSIVE, 2),
    ],
)
def test_copies_and_calls_are_told_apart(costs: Four, verdict: Verdict, answer: int) -> None:
    sweep = measured(costs, python=0.4, in_c=costs)
    assert price.cost_finding(sweep).verdict is verdict
    assert price.worth_answer(sweep) == (answer, "")


def test_an_upper_bound_alone_proves_nothing() -> None:
    """Not copying brings back 80 %, but so do larger chunks with the same copies."""
    costs = (2.0, 0.56, 0.56, 0.2)
    assert price.cost_finding(measured(costs, in_c=costs)).verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("python", [0.0, 0.3, 3.0])
def test_a_slow_language_changes_neither_shares_nor_verdict(python: float) -> None:
    costs = (0.7, 0.25, 0.55, 0.15)
    sweep = measured(costs, python, in_c=costs)
    ours, cs = price.shares(sweep), price.shares(sweep, in_c=True)
    assert ours
    assert cs
    assert ours.larger_chunks.median == pytest.approx(cs.larger_chunks.median)
    assert ours.no_copies.median == pytest.approx(cs.no_copies.median)
    assert price.cost_finding(sweep).verdict is Verdict.CONTRADICTED


def test_where_c_says_otherwise_there_is_no_verdict() -> None:
    sweep = measured((2.0, 0.3, 1.6, 0.2), in_c=(2.0, 1.9, 0.4, 0.2))
    assert price.cost_finding(sweep).verdict is Verdict.INCONCLUSIVE


def test_both_orders_add_up_to_the_whole() -> None:
    words = price.price_words(measured((0.7, 0.25, 0.55, 0.15), in_c=(0.7, 0.25, 0.55, 0.15)))
    assert (
        "brings back 82% (82% to 82%, n = 3) of the difference, and not copying the other 18%"
        in (words)
    )
    assert "brings back 27% (27% to 27%, n = 3), and larger chunks the other 73%" in words
    assert "The same loops in C, where nothing is Python's: 82% (82%" in words


def test_without_a_compiler_the_empty_turn_is_one_part_and_c_is_told_as_recorded() -> None:
    sweep = measured((0.7, 0.25, 0.55, 0.15), python=0.2)
    words = price.price_words(sweep)
    assert "an empty turn (Python, and entering the kernel)" in words
    assert f"There is no control here: {NO_COMPILER}" in words
    assert "Recorded on " in words
    assert "Python, and entering the kernel" in price.price_picture(sweep).alt


def test_no_difference_is_nothing_to_explain() -> None:
    sweep = measured((0.2, 0.2, 0.2, 0.2), in_c=(0.2, 0.2, 0.2, 0.2))
    answer, why = price.worth_answer(sweep)
    assert answer is None
    assert "no difference to explain" in why
    assert price.cost_finding(sweep).verdict is Verdict.INCONCLUSIVE
    assert price.price_picture(sweep).png()


def test_noise_never_turns_the_verdict_round() -> None:
    for noise in (0.05, 0.1, 0.2, 0.4):
        sweep = measured(
            (0.7, 0.25, 0.55, 0.15), python=0.3, in_c=(0.7, 0.25, 0.55, 0.15), noise=noise
        )
        assert price.cost_finding(sweep).verdict is not Verdict.SUPPORTED


# -- mode switches ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loop", "direct", "kernels", "verdict"),
    [
        (524_288, 1024, 524_288, Verdict.SUPPORTED),
        (2048, 1024, 2048, Verdict.CONTRADICTED),
        (524_288, 1024, 262_144, Verdict.INCONCLUSIVE),  # the loop counts what nobody called
        (524_288, 1024, None, Verdict.SUPPORTED),
    ],
)
def test_mode_switches_are_judged_by_their_counts(
    loop: float, direct: float, kernels: float | None, verdict: Verdict
) -> None:
    counted = {price.SMALL_LOOP: loop, price.LARGE_DIRECT: direct}
    kernel = Unmeasured("no meter.") if kernels is None else {**counted, price.SMALL_LOOP: kernels}
    found = lesson.switch_finding(
        lesson.Switches(counted, kernel), measured((0.7, 0.25, 0.55, 0.15))
    )
    assert found.verdict is verdict
    assert "2 (2-2, n=3) times because it waited" in found.words


def test_the_table_tells_mode_switches_from_the_schedulers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    counted = {price.SMALL_LOOP: 524_288.0, price.LARGE_DIRECT: 1024.0}
    sweep = measured((0.7, 0.25, 0.55, 0.15))
    lesson.show_switches(lesson.Switches(counted, {price.SMALL_LOOP: 524_288.0}), sweep)
    lesson.show_switches(lesson.Switches(counted, Unmeasured("no meter.")), sweep)
    told = capsys.readouterr().out
    assert "loop of 4 KiB | 524,288 | 524,288 | 2 | 4" in told
    assert "sendfile of 1 MiB | 1,024 |  | 2 | 4" in told
    assert "The kernel's own count is missing: no meter." in told


def test_the_kernel_counts_what_the_loop_counts() -> None:
    counts = lesson.switches({price.SMALL_LOOP: 524_288.0, price.LARGE_DIRECT: 1024.0})
    if isinstance(counts.by_the_kernel, Unmeasured):
        pytest.skip(counts.by_the_kernel.reason)
    assert counts.by_the_kernel == counts.counted


# -- who moves a byte ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reads", "in_memory", "out_of_memory"),
    [
        (READS, Verdict.CONTRADICTED, Verdict.SUPPORTED),
        (DeviceReads(1 << 20, 1 << 20, 1 << 20), Verdict.INCONCLUSIVE, Verdict.SUPPORTED),
        (DeviceReads(1 << 20, 0, 0), Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE),
        (Unmeasured("it is on tmpfs"), Verdict.NOT_TESTABLE, Verdict.NOT_TESTABLE),
    ],
)
def test_the_disks_move_is_judged_by_the_device_bytes(
    reads: DeviceReads | Unmeasured, in_memory: Verdict, out_of_memory: Verdict
) -> None:
    verdicts = told(moves_of(reads))
    assert verdicts["four moves, file in memory"] is in_memory
    assert verdicts["four moves, file out of memory"] is out_of_memory
    assert verdicts["two of the moves are the processor's"] is Verdict.SUPPORTED


def test_picture_and_verdict_count_the_same_moves() -> None:
    alt = hops.ledger_picture(moves_of()).alt
    assert "read and write, file on the disk: moved 2× by the CPU, 2× by DMA" in alt
    assert "read and write, file in memory: moved 2× by the CPU, 1× by DMA" in alt


def test_a_send_that_copies_nothing_is_neither_drawn_nor_told_as_a_copy() -> None:
    moves = moves_of(send_copied=False)
    assert "moved 1× by the CPU" in hops.ledger_picture(moves).alt
    assert told(moves)["two of the moves are the processor's"] is Verdict.CONTRADICTED


@pytest.mark.parametrize(
    ("verdict", "hop"),
    [
        (ALIAS, "page cache to socket by nobody (a reference, PROVED)"),
        (COPIED, "page cache to socket by CPU (PROVED)"),
        (UNCLEAR, "page cache to socket by unclear ()"),
    ],
)
def test_the_ledger_shows_what_the_alias_test_found(verdict: AliasVerdict, hop: str) -> None:
    alone = hops.ledger_picture(moves_of(direct=verdict, answer=Unmeasured("from afar"))).alt
    answer = hops.ledger_picture(moves_of(answer=verdict)).alt
    assert hop in alone
    assert hop in answer
    assert ("by nobody" in alone) == (verdict is ALIAS)


@pytest.mark.parametrize("reads", [Unmeasured("it is on tmpfs"), DeviceReads(1 << 20, 0, 0)])
def test_what_was_not_counted_is_not_drawn_as_counted(reads: DeviceReads | Unmeasured) -> None:
    assert Evidence.COUNTED not in hops.ledger_picture(moves_of(reads)).alt
    assert Evidence.COUNTED in hops.ledger_picture(moves_of()).alt


def test_every_hop_of_this_machine(tmp_path: Path) -> None:
    with RunningBroker(tmp_path / "data") as broker:
        flight_events.produce(broker.bootstrap, hops.TOPIC, flight_events.repeated(2000))
        moves = hops.look_at(broker, random_file(tmp_path, 4 << 20))
    assert moves.copies == 2
    assert moves.direct.verdict == "alias"
    assert isinstance(moves.answer, AliasVerdict)
    assert moves.answer.verdict == "alias"
    if isinstance(moves.reads, DeviceReads):
        assert moves.reads.warm_bytes == 0
        assert moves.reads.cold_bytes >= 2 << 20


@pytest.mark.usefixtures("brokers_that_copy")
def test_a_sendfile_that_copies_is_drawn_as_a_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with RunningBroker(tmp_path / "data") as broker:
        flight_events.produce(broker.bootstrap, hops.TOPIC, flight_events.repeated(2000))
        answer = hops.alias_of_an_answer(broker)

    def copies(out: int, file: int, position: int, count: int) -> int:
        return os.write(out, os.pread(file, min(count, 65_536), position))

    monkeypatch.setattr(os, "sendfile", copies)
    direct = alias_test("sendfile", probe_bytes=MANY_BYTES)
    picture = hops.ledger_picture(moves_of(direct=direct, answer=answer))
    assert "by nobody" not in picture.alt


def test_what_could_not_be_counted_is_shown_as_recorded() -> None:
    words = hops.ledger_words(moves_of(Unmeasured("it is on tmpfs.")))
    assert "could not be counted here: it is on tmpfs. Recorded on " in words
    assert "after an eviction" in words
