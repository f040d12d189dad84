"""Lab 09: who moves each byte is told from what was seen, whatever that is."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.labs.outcomes import outcome_of
from tests.labs.right_code import ledger
from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import THIS_BROKER
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab09 import devices, journeys, receiving
from zerocopy_lab.lessons.lab09 import dma_and_the_copy_ledger as lesson
from zerocopy_lab.lessons.lab09 import dma_and_the_copy_ledger_exercises as exercises
from zerocopy_lab.lessons.lab09.devices import AS_IT_COMES, NO_CHECKSUM, NO_GATHER, Cards
from zerocopy_lab.lessons.lab09.journeys import CACHE, SOCKET, Run, Way
from zerocopy_lab.lessons.lab09.receiving import Mapped, Spliced, Taken
from zerocopy_lab.measuring.card_test import CardVerdict
from zerocopy_lab.measuring.card_test_of_broker import ANSWER
from zerocopy_lab.measuring.experiment import Outcome

LabOf = Callable[..., Lab]
ALL_COPY = {"recv": True, "pwrite": True, "pread": True, "send": True}
SPLICED = Spliced("Invalid argument", False, True)
LACKING = Unmeasured("there is none here")
MIB = 1 << 20


def cards(as_it_comes: str = "alias", no_gather: str = "copied", no_sum: str = "copied") -> Cards:
    verdicts = {AS_IT_COMES: as_it_comes, NO_GATHER: no_gather, NO_CHECKSUM: no_sum}
    return [
        CardVerdict(card, strategy, verdict if strategy == "sendfile" else "copied", "")
        for card, verdict in verdicts.items()
        for strategy in ("sendfile", "read_then_send")
    ]


def answers(as_it_comes: str = "alias", no_gather: str = "copied") -> Cards:
    verdicts = {AS_IT_COMES: as_it_comes, NO_GATHER: no_gather, NO_CHECKSUM: "copied"}
    return [CardVerdict(card, ANSWER, verdict, "") for card, verdict in verdicts.items()]


def disk(past: tuple[float, ...] = (0.1, 0.12, 0.09), warm: float = 0.95) -> Outcome:
    """CPU shares of one second on the clock."""
    return outcome_of(
        {
            "past the cache": [{"cpu_s": each, "interrupts": 70.0} for each in past],
            "cold": [{"cpu_s": 0.3, "interrupts": 40.0}] * 3,
            "warm": [{"cpu_s": warm, "interrupts": 0.0}] * 3,
        }
    )


def run(**seen: Any) -> Run:
    known: dict[str, Any] = {
        "copies": ALL_COPY,
        "taken": Taken(MIB, MIB + 5000),
        "cards": cards(),
        "disk": disk(),
        "mapped_copies": True,
    }
    return Run(**{**known, **seen})


def verdicts(seen: Run, **other: Any) -> dict[tuple[str, str], Verdict]:
    receivers = {"touching": Taken(MIB, MIB), "dropping": Taken(MIB, 0)}
    found = lesson.findings(
        seen,
        other.get("spliced", SPLICED),
        other.get("receivers", receivers),
        THIS_BROKER,
        other.get("answers", answers()),
    )
    return {(each.claim_id, each.part): Verdict(each.verdict) for each in found}


USUAL = verdicts(run())


def changed(seen: Run, **other: Any) -> dict[tuple[str, str], Verdict]:
    return {key: each for key, each in verdicts(seen, **other).items() if USUAL[key] != each}


# -- verdicts --------------------------------------------------------------------------------------


def test_what_is_usually_seen() -> None:
    assert USUAL == {
        ("D1", "with recv and write"): Verdict.CONTRADICTED,
        ("D1", "without the application"): Verdict.CONTRADICTED,
        ("D1", "from the socket into the broker"): Verdict.CONTRADICTED,
        ("Z2", "a card that gathers and checksums"): Verdict.SUPPORTED,
        ("Z2", "a card that cannot"): Verdict.CONTRADICTED,
        ("Z2", "a broker's answer, card by card"): Verdict.CONTRADICTED,
        ("D2", "what is left for the card"): Verdict.SUPPORTED,
        ("D2", "the principle, seen at the disk"): Verdict.SUPPORTED,
        ("D2", "over the loopback"): Verdict.CONTRADICTED,
    }


def test_an_ability_switched_off_behind_the_labs_back_changes_the_cards_verdicts_only() -> None:
    assert changed(run(cards=cards(as_it_comes="copied"))) == {
        ("Z2", "a card that gathers and checksums"): Verdict.CONTRADICTED,
        ("D2", "what is left for the card"): Verdict.CONTRADICTED,
    }


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (answers(no_gather="alias"), Verdict.CONTRADICTED),
        ([*answers(no_gather="alias")[:2]], Verdict.SUPPORTED),
        (answers(as_it_comes="inconclusive"), Verdict.INCONCLUSIVE),
        (LACKING, Verdict.NOT_TESTABLE),
    ],
)
def test_a_brokers_answer_is_judged_by_what_arrived(seen: Cards, verdict: Verdict) -> None:
    assert lesson.answer_finding(seen, THIS_BROKER).verdict is verdict


def test_far_away_no_card_is_switched() -> None:
    seen = devices.try_answers("far.away:9092")
    assert "far.away:9092" in devices.show_answers(seen, THIS_BROKER)


SWITCHES_BEHIND_ONES_BACK = '''\
"""Python imports this module by itself at its start: whatever the lab asks of its card, an ability
more is switched off when the card comes up.
"""

import subprocess
import sys

run = subprocess.run


def run_and_switch(words, **more):
    done = run(words, **more)
    if list(words) == ["ip", "link", "set", "card", "up"]:
        sys.modules["__main__"].switch("card", "{ability}", False)
    return done


if "zerocopy_lab.measuring.card_test" in sys.orig_argv:
    subprocess.run = run_and_switch
'''


@pytest.mark.namespaces
@pytest.mark.parametrize(
    ("ability", "brings_the_copy_back"), [("scatter-gather", True), ("generic segmentation", False)]
)
def test_a_real_cards_ability_switched_off_behind_the_labs_back(
    ability: str, brings_the_copy_back: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SWITCHES_BEHIND_ONES_BACK.format(ability=ability))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    seen = devices.try_cards()
    if isinstance(seen, Unmeasured):
        pytest.skip(str(seen))
    cards_verdicts = {
        ("Z2", "a card that gathers and checksums"): Verdict.CONTRADICTED,
        ("D2", "what is left for the card"): Verdict.CONTRADICTED,
    }
    assert changed(run(cards=seen)) == (cards_verdicts if brings_the_copy_back else {})


def test_a_kernel_that_copies_for_no_card_changes_one_verdict() -> None:
    assert changed(run(cards=cards(no_gather="alias", no_sum="alias"))) == {
        ("Z2", "a card that cannot"): Verdict.SUPPORTED
    }


@pytest.mark.parametrize(
    ("seen", "key", "verdict"),
    [
        (
            run(copies={**ALL_COPY, "recv": False, "pwrite": False}),
            ("D1", "with recv and write"),
            Verdict.SUPPORTED,
        ),
        (
            run(copies={**ALL_COPY, "recv": None}),
            ("D1", "with recv and write"),
            Verdict.INCONCLUSIVE,
        ),
        (
            run(taken=Taken(MIB, 90)),
            ("D1", "from the socket into the broker"),
            Verdict.SUPPORTED,
        ),
        (
            run(taken=Taken(MIB, MIB // 2)),
            ("D1", "from the socket into the broker"),
            Verdict.INCONCLUSIVE,
        ),
        (run(taken=LACKING), ("D1", "from the socket into the broker"), Verdict.NOT_TESTABLE),
        (run(disk=disk(past=(0.95, 0.97, 1.0))), ("D2", "the principle, seen at the disk"), False),
        (run(disk=disk(past=(0.1, 0.12, 0.6))), ("D2", "the principle, seen at the disk"), None),
        (run(disk=disk(warm=0.11)), ("D2", "the principle, seen at the disk"), None),
        (run(disk=LACKING), ("D2", "the principle, seen at the disk"), Verdict.NOT_TESTABLE),
    ],
)
def test_each_measurement_moves_its_own_verdict(
    seen: Run, key: tuple[str, str], verdict: Verdict | bool | None
) -> None:
    wanted = {False: Verdict.CONTRADICTED, None: Verdict.INCONCLUSIVE}
    expected = verdict if isinstance(verdict, Verdict) else wanted[verdict]
    assert changed(seen) == {key: expected}


def test_without_a_pair_of_cards_nothing_is_said_of_cards_but_what_is_recorded(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert set(changed(run(cards=LACKING)).values()) == {Verdict.NOT_TESTABLE}
    assert devices.card_answer(LACKING) is None
    assert "there is none here Recorded on " in devices.show_cards(LACKING)
    assert lesson.invariants(run(cards=LACKING), LACKING)


def test_what_was_not_counted_is_told_as_recorded() -> None:
    assert "there is none here Recorded on " in receiving.taken_in_words(LACKING)
    told = receiving.show_receivers(LACKING, Mapped(4096, 0, 4096))
    assert told.startswith("Not counted here: there is none here Recorded on ")
    assert "there is none here Recorded on " in devices.show_disk(LACKING)


def test_the_answers_are_what_was_measured() -> None:
    assert lesson.copies_answer(ALL_COPY) == 3
    assert lesson.copies_answer({**ALL_COPY, "pwrite": False}) == 2
    assert lesson.copies_answer({**ALL_COPY, "recv": None}) is None
    assert devices.card_answer(cards()) == 2
    assert devices.card_answer(cards(no_gather="alias")) == 1
    assert devices.card_answer(cards(no_gather="inconclusive")) is None


# -- the ledger ------------------------------------------------------------------------------------


def hop_into_the_socket(seen: Run, card: str) -> tuple[str, str]:
    path = journeys.journey(seen, Way("fetch", "sendfile", card, True))
    [hop] = [hop for hop in path.hops if (hop.start, hop.end) == (CACHE, SOCKET)]
    return hop.mover, hop.evidence


def test_a_hop_is_proved_only_where_this_run_saw_it() -> None:
    assert hop_into_the_socket(run(), AS_IT_COMES) == ("nobody", "PROVED")
    assert hop_into_the_socket(run(), NO_GATHER) == ("CPU", "PROVED")
    assert hop_into_the_socket(run(cards=LACKING), NO_GATHER) == ("CPU", "CITED")
    assert hop_into_the_socket(run(cards=cards(as_it_comes="copied")), AS_IT_COMES)[0] == "CPU"


def test_what_a_card_does_is_cited_and_a_disk_is_counted_only_with_its_interrupts() -> None:
    way = Way("fetch", "sendfile", AS_IT_COMES, False)
    assert [hop.evidence for hop in journeys.journey(run(), way).hops] == [
        "COUNTED",
        "PROVED",
        "CITED",
    ]
    assert journeys.journey(run(disk=LACKING), way).hops[0].evidence == "CITED"


def test_every_journey_is_unbroken_and_short_enough_to_be_played() -> None:
    ways = itertools.product(
        ("fetch", "produce"), journeys.STRATEGIES, devices.CARDS, (True, False)
    )
    for way in itertools.starmap(Way, ways):
        hops = journeys.journey(run(), way).hops
        assert len(hops) <= journeys.MOST_HOPS
        assert all(one.end == other.start for one, other in itertools.pairwise(hops))


def test_the_widget_tells_each_frame() -> None:
    trip = journeys.Journeys(run())
    frames = [
        trip.words("fetch", "sendfile", AS_IT_COMES, "no", hops)
        for hops in range(journeys.MOST_HOPS + 1)
    ]
    assert "The byte is in the disk" in frames[0]
    assert "Hop 1 of 3: from disk to page cache, moved by the device (COUNTED)" in frames[1]
    assert "0 by the CPU, 2 by DMA" in frames[3] == frames[4]
    assert all(trip.draw(**setting).png() for setting in journeys.SWEEP)


# -- the machine -----------------------------------------------------------------------------------


def test_calls_are_judged_on_this_machine(tmp_path: Path) -> None:
    assert receiving.calls_that_copy(tmp_path) == ALL_COPY
    spliced = receiving.splice_into_a_file(tmp_path)
    assert isinstance(spliced, Unmeasured) or spliced.into_the_file_copied


# -- the exercises ---------------------------------------------------------------------------------


def always_sendfile(path: dict[str, Any]) -> Any:
    return ledger({**path, "call": "sendfile", "card_gathers": True})


def forgets_the_disk(path: dict[str, Any]) -> Any:
    return ledger({**path, "cached": True})


def forgets_the_card(path: dict[str, Any]) -> Any:
    return ledger({**path, "card_gathers": True})


def by_dma(path: dict[str, Any]) -> Any:
    return [(start, end, "DMA") for start, end, _ in ledger(path)]


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        (always_sendfile, "moves by the CPU"),
        (forgets_the_disk, "this journey goes from the disk to the card"),
        (forgets_the_card, "What arrived over the card that cannot gather?"),
        (by_dma, "moves by"),
        (lambda path: [("disk", "moon", "CPU")], "no station is called 'moon'"),
        (lambda path: [("disk", "card", "magic")], "moves nothing"),
        (lambda path: 7, "a list of hops"),
        (lambda path: ["ab"], "is no hop"),
        (lambda path: [ledger(path)[0], ledger(path)[-1]], ""),
    ],
)
def test_wrong_ledgers_fail_with_a_hint(lab_of: LabOf, answer: Any, hint: str) -> None:
    for seed in range(3):
        grade, _ = grade_of(exercise_of("09.1"), answer, lab_of("09", seed))
        assert grade.state is State.FAILED
        assert hint in grade.words


def test_a_ledger_that_returns_none_is_not_attempted(lab_of: LabOf) -> None:
    grade, _ = grade_of(exercise_of("09.1"), lambda path: None, lab_of("09"))
    assert grade.state is State.NOT_ATTEMPTED


def test_no_right_hour_fails_and_no_usual_mistake_passes(lab_of: LabOf) -> None:
    for seed in range(10_000):
        lab = lab_of("09", seed)
        produced_gb, consumers, cannot = exercises.busy_hour(lab)
        right = sum([produced_gb, produced_gb] + [produced_gb] * cannot)
        wrong = (
            produced_gb * cannot,
            2 * produced_gb,
            produced_gb * (2 + consumers),
            produced_gb * (2 + 2 * cannot),
            "many",
        )
        grades = [exercises._grade_hour(each, lab).state for each in (right, *wrong)]
        assert grades == [State.PASSED] + [State.FAILED] * len(wrong)


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"scatter-gather"}, "One is missing"),
        ({"checksum"}, "One is missing"),
        ({"scatter-gather", "checksum", "segmentation"}, "Not segmentation"),
        ({"mtu"}, "none of the four"),
        ("checksum", "Answer with a set"),
    ],
)
def test_wrong_abilities_fail_with_a_hint(lab_of: LabOf, answer: Any, hint: str) -> None:
    grade, _ = grade_of(exercise_of("09.3"), answer, lab_of("09"))
    assert grade.state is State.FAILED
    assert hint in grade.words
