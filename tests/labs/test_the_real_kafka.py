"""Lab 13: what it says of a real Kafka comes from what was seen, and what a setting decides that
is not as believed is not concluded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from types import SimpleNamespace
from typing import Any, cast

import pytest

from zerocopy_lab.classroom.evidence import Evidence, Finding, Likeness, Quantity, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.kafka_runs import KafkaRun
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.prediction import Seen
from zerocopy_lab.instruments.spread import Spread
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab13 import counted, files, page, side_by_side, storing, verdicts
from zerocopy_lab.lessons.lab13 import the_real_kafka as lesson
from zerocopy_lab.lessons.lab13 import the_real_kafka_exercises as exercises
from zerocopy_lab.lessons.lab13.counted import Believed, Doubt, doubts_about
from zerocopy_lab.lessons.lab13.page import Answer, Answers, answer
from zerocopy_lab.lessons.lab13.two_brokers import HOW_TO_GET_JAVA, KAFKA, OURS, TwoBrokers
from zerocopy_lab.running import apache_kafka
from zerocopy_lab.running.running_broker import BrokerNotRunning, RunningBroker, still_running

LabOf = Callable[..., Lab]


def about(value: float) -> Spread:
    return Spread(value, 0.95 * value, 1.05 * value, 3)


def answers(small: float = 5.0, large: float = 0.2, **others: Answer) -> Answers:
    """What a broker usually answers; `others` by the names of the page's constants."""
    usual: Answers = {
        page.START: answer(page.START, 1.0, "s"),
        page.ALIAS: answer(page.ALIAS, "alias: 8 new"),
        page.SENDFILES: answer(page.SENDFILES, 4.0),
        page.CPU[4096]: answer(page.CPU[4096], about(small), "s/GiB"),
        page.CPU[65536]: answer(page.CPU[65536], about(1.0), "s/GiB"),
        page.CPU[1 << 20]: answer(page.CPU[1 << 20], about(large), "s/GiB"),
        page.TLS: answer(page.TLS, about(4 * large), "s/GiB"),
        page.P50: answer(page.P50, about(0.4), "ms"),
        page.P99: answer(page.P99, about(4.0), "ms"),
        page.HELD_UP: answer(page.HELD_UP, 4, "of 12"),
        page.LOG: answer(page.LOG, files.as_sent()),
        files.LISTING: answer(files.LISTING, "0.log 9 B, 0.index 8 B, 0.timeindex 12 B, "
                              "partition.metadata 43 B"),
        page.OPENS: answer(page.OPENS, True),
        counted.APIS: answer(counted.APIS, "produce fetch end_txn"),
    }  # fmt: skip
    return usual | {getattr(page, name): each for name, each in others.items()}


def both(kafka: bool = True, why_alone: str = "") -> TwoBrokers:
    """Brokers that nobody started: only their names, kinds and versions."""
    brokers = {OURS: SimpleNamespace(kind="zerocopy_lab", version="0")}
    if kafka:
        brokers[KAFKA] = SimpleNamespace(kind="kafka", version="4.2.0")
    name = list(brokers)[-1]
    made_up = SimpleNamespace(
        brokers=brokers, asked=brokers[name], asked_name=name, why_alone=why_alone
    )
    return cast(TwoBrokers, made_up)


def judged(
    theirs: Answers | None = None,
    ours: Answers | None = None,
    doubted: Sequence[Doubt] = (),
    *,
    kafka: bool = True,
) -> dict[tuple[str, str], Verdict | Likeness]:
    answered = {OURS: ours or answers(large=0.1)}
    if kafka:
        answered[KAFKA] = theirs or answers()
    found: list[Finding] = lesson.findings(both(kafka), answered, doubted)
    return {(each.claim_id, each.part): each.verdict for each in found}


USUAL = judged()
KEYS = {claim_id: key for key in USUAL for claim_id in [key[0]]}


def changed(**seen: Any) -> dict[tuple[str, str], Verdict | Likeness]:
    return {key: each for key, each in judged(**seen).items() if USUAL[key] != each}


def test_what_is_usually_seen() -> None:
    assert USUAL == {
        ("Z2", "the sender"): Verdict.SUPPORTED,
        ("Z3", "Linux"): Verdict.SUPPORTED,
        ("Z5", "the disk"): Verdict.CONTRADICTED,
        ("W1", "what lies in the file"): Verdict.SUPPORTED,
        ("S5", "the files"): Verdict.SUPPORTED,
        ("S5", "each opens the other's"): Verdict.SUPPORTED,
        ("L1", "of a whole broker, 1 MiB a fetch"): Verdict.CONTRADICTED,
        ("C1", "control in Python beside Java's"): Verdict.SUPPORTED,
    }


@pytest.mark.parametrize(
    ("theirs", "claim_id", "verdict"),
    [
        ({"ALIAS": answer(page.ALIAS, "copied: 8 old")}, "Z2", Verdict.CONTRADICTED),
        ({"ALIAS": answer(page.ALIAS, "inconclusive: 4 old, 4 new")}, "Z2", Verdict.INCONCLUSIVE),
        ({"SENDFILES": answer(page.SENDFILES, 0.0)}, "Z3", Verdict.CONTRADICTED),
        ({"SENDFILES": Unmeasured("no perf")}, "Z3", Verdict.NOT_TESTABLE),
        ({"HELD_UP": answer(page.HELD_UP, 0, "of 12")}, "Z5", Verdict.SUPPORTED),
        ({"LOG": answer(page.LOG, "0" * 16)}, "W1", Verdict.CONTRADICTED),
        ({"TLS": answer(page.TLS, about(0.25), "s/GiB")}, "L1", Verdict.INCONCLUSIVE),
        ({"TLS": Unmeasured("no openssl")}, "L1", Verdict.NOT_TESTABLE),
        ({"large": 0.05}, "C1", Verdict.CONTRADICTED),
        ({"large": 0.101}, "C1", Verdict.INCONCLUSIVE),
    ],
)
def test_what_was_seen_decides_and_nothing_else(
    theirs: dict[str, Any], claim_id: str, verdict: Verdict
) -> None:
    seen = changed(theirs=answers(**theirs))
    assert {key[0] for key in seen} - {"L1"} == {claim_id} - {"L1"}
    assert {each for key, each in seen.items() if key[0] == claim_id} == {verdict}


def test_without_a_kafka_ours_is_an_illustration_and_the_comparison_is_not_made() -> None:
    alone = judged(kafka=False)
    assert alone["W1", "what lies in the file"] is Likeness.DOES_SO
    assert alone["Z5", "the disk"] is Likeness.DOES_OTHERWISE
    assert alone["C1", "control in Python beside Java's"] is Verdict.NOT_TESTABLE
    assert ("S5", "each opens the other's") not in alone


# -- a Kafka that is set otherwise -----------------------------------------------------------------


def told(**settings: str) -> dict[str, str]:
    believed = {**counted.OF_A_TOPIC, **counted.OF_A_KAFKA}
    usual = {name: each.value for name, each in believed.items()}
    return {**usual, **{name.replace("_", "."): value for name, value in settings.items()}}


def doubts_of(**settings: str) -> list[Doubt]:
    there = told(**settings)
    return [
        *doubts_about(there, counted.OF_A_TOPIC),
        *doubts_about(there, counted.OF_A_KAFKA),
    ]


@pytest.mark.parametrize(
    ("settings", "claims"),
    [
        ({}, set()),
        ({"compression_type": "gzip"}, {"W1", "S5"}),
        ({"message_timestamp_type": "LogAppendTime"}, {"W1", "S5"}),
        ({"num_network_threads": "8"}, {"Z5"}),
        ({"socket_send_buffer_bytes": "-1"}, {"Z3", "C1"}),
        ({"ssl_enabled_protocols": "TLSv1.2"}, {"L1"}),
        ({"flush_messages": "1"}, set()),
    ],
    ids=lambda each: "-".join(sorted(each)) or "none",
)
def test_a_setting_that_is_not_as_believed_is_named_and_takes_what_it_decides(
    settings: dict[str, str], claims: set[str]
) -> None:
    doubted = doubts_of(**settings)
    assert [each.setting for each in doubted] == [name.replace("_", ".") for name in settings]
    seen = changed(doubted=doubted)
    assert {key[0] for key in seen} == claims
    assert set(seen.values()) <= {Verdict.INCONCLUSIVE}
    for found in lesson.findings(both(), {OURS: answers(large=0.1), KAFKA: answers()}, doubted):
        if found.verdict is Verdict.INCONCLUSIVE:
            assert doubted[0].in_words() in found.words


def test_a_setting_that_is_not_told_is_no_difference() -> None:
    assert doubts_about({}, {"compression.type": Believed("producer", ())}) == []


def test_our_own_broker_set_otherwise_is_found_out_by_its_own_words() -> None:
    with closing(TwoBrokers("zerocopy_lab", {"compression.type": "gzip"})) as two:
        [doubt] = counted.doubts(two)
    assert (doubt.setting, doubt.believed, doubt.found) == ("compression.type", "producer", "gzip")


def test_without_java_two_lines_say_how_to_get_it_and_ours_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(apache_kafka, "unavailable", lambda: "not on PATH: java")
    with closing(TwoBrokers("kafka")) as two:
        assert list(two.brokers) == [two.asked_name] == [OURS]
        assert two.why_alone == "no Apache Kafka here: not on PATH: java"
    said = capsys.readouterr().out
    assert all(line in said for line in HOW_TO_GET_JAVA)
    assert len(HOW_TO_GET_JAVA) == 2


def test_a_broker_that_does_not_start_leaves_none_behind() -> None:
    with pytest.raises(BrokerNotRunning, match=r"compression\.type"):
        TwoBrokers("zerocopy_lab", {"compression.type": "tea"})
    assert still_running() == []


def test_a_sendfile_that_copies_is_seen(brokers_that_copy: None) -> None:
    with closing(TwoBrokers("zerocopy_lab")) as two:
        found = counted.alias_answer(two, OURS)
    assert isinstance(found, Quantity)
    assert str(found.value).startswith("copied")


@pytest.fixture(scope="module")
def a_kafka_set_otherwise() -> Iterator[TwoBrokers]:
    with closing(TwoBrokers("kafka", {"log.message.timestamp.type": "LogAppendTime"})) as two:
        yield two


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(apache_kafka.unavailable() is not None, reason=str(apache_kafka.unavailable()))
def test_a_real_kafka_set_otherwise_is_caught_and_named(a_kafka_set_otherwise: TwoBrokers) -> None:
    two = a_kafka_set_otherwise
    doubted = counted.doubts(two)
    assert [each.setting for each in doubted] == ["message.timestamp.type"]
    seen = files.write_the_same(two)
    found = verdicts.finding_on(two, seen[KAFKA], "W1", page.LOG, "", Evidence.PROVED, doubted)
    assert found.verdict is Verdict.INCONCLUSIVE
    assert "message.timestamp.type is LogAppendTime, not CreateTime" in found.words
    assert "does not hold what was sent" in found.words
    assert str(getattr(counted.alias_answer(two, KAFKA), "value", "")).startswith("alias")


# -- the page, here and recorded -------------------------------------------------------------------


def test_a_recorded_page_is_read_back_as_it_was_and_shown_as_recorded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answered = {OURS: answers(small=7.0), KAFKA: answers(small=50.0)}
    run = KafkaRun("Apache Kafka 4.2.0", "a host", "2026-11-27", (), tuple(page.figures(answered)))
    for module in (page, side_by_side):
        monkeypatch.setattr(module, "recorded_run", lambda _: run)
    assert page.recorded_answers(run) == answered
    alone = both(kafka=False, why_alone="nobody asked for one")
    here = {OURS: answers(small=9.0)}
    headings = [column.heading for column in page.columns(alone, here)]
    assert headings == [
        "zerocopy_lab, here",
        "Apache Kafka 4.2.0, RECORDED 2026-11-27",
        "zerocopy_lab, RECORDED in the same run",
    ]
    page.show_page(alone, here)
    assert "RECORDED: not measured here, but on 2026-11-27 on a host" in capsys.readouterr().out
    picture = side_by_side.cpu_picture(alone, here)
    assert f"{headings[1]}: 50" in picture.alt, "what was recorded is called so, line by line"
    choice, why, how = side_by_side.cpu_answer(alone, here)
    assert (choice, how) == (4, Seen.CITED)
    assert "RECORDED on 2026-11-27" in why


@pytest.mark.parametrize(
    ("ours", "theirs", "choice"),
    [
        ((9.0, 0.9), (5.0, 0.2), 1),
        ((9.0, 0.2), (5.0, 0.2), 2),
        ((5.0, 0.9), (5.0, 0.2), 3),
        ((5.0, 0.2), (50.0, 0.8), 4),
        ((5.0, 0.2), (5.0, 0.2), 4),  # clearly more is what was asked
    ],
)
def test_the_choice_is_the_one_that_was_measured(
    ours: tuple[float, float], theirs: tuple[float, float], choice: int
) -> None:
    answered = {OURS: answers(*ours), KAFKA: answers(*theirs)}
    assert side_by_side.cpu_answer(both(), answered) == (choice, "", Seen.MEASURED)


@pytest.mark.parametrize(("count", "choice"), [(0, 1), (3, 2), (4, 2), (12, 3), (9, None)])
def test_the_choice_of_who_is_held_up(count: int, choice: int | None) -> None:
    assert side_by_side.held_up_choice(answer(page.HELD_UP, count, "of 12")) == choice
    assert side_by_side.held_up_choice(Unmeasured("no control groups")) is None


# -- exercises -------------------------------------------------------------------------------------


def state_of(exercise_id: str, given: object, lab: Lab) -> tuple[State, str]:
    grade, _ = grade_of(exercise_of(exercise_id), given, lab)
    return grade.state, grade.words


def solved_stored(settings: Mapping[str, str], codec: str) -> bool:
    wanted = settings["compression.type"]
    keeps = wanted == "producer" or wanted == codec or (wanted, codec) == ("uncompressed", "none")
    return keeps and settings["message.timestamp.type"] == "CreateTime"


def solved_waits(due_ms: list[int], takes_ms: list[int]) -> list[int]:
    free, waits = 0, []
    for due, takes in zip(due_ms, takes_ms, strict=True):
        free = max(due, free) + takes
        waits.append(free - due)
    return waits


def solved_size(lab: Lab) -> float:
    small, large = exercises.fetch_prices(lab)
    fetch_s = (small - large) / (262_144 - 1024)
    return fetch_s / (large - 1024 * fetch_s) * (1 << 20)


def no_timestamps(settings: Mapping[str, str], codec: str) -> bool:
    return settings["compression.type"] in ("producer", codec)


def the_producers_only(settings: Mapping[str, str], codec: str) -> bool:
    return "producer" in settings.values() and settings["message.timestamp.type"] == "CreateTime"


def stub(*_: object) -> None:
    return None


@pytest.mark.parametrize(
    ("exercise_id", "wrong", "hint"),
    [
        ("13.1", lambda _: no_timestamps, "the broker's own time goes into the header"),
        ("13.1", lambda _: the_producers_only, "there is nothing to repack"),
        ("13.1", lambda _: lambda settings, codec: True, "packed anew"),
        ("13.1", lambda _: lambda settings, codec: "yes", "Answer with True or False"),
        ("13.1", lambda _: True, "The answer is a function"),
        ("13.2", lambda _: lambda due, takes: takes, "stands behind a slow one"),
        ("13.2", lambda _: lambda due, takes: takes[:-1], "waits."),
        ("13.2", lambda _: lambda due, takes: [0] * len(due), "When is the server free?"),
        ("13.2", lambda _: lambda due, takes: 7, "Answer with a list"),
        ("13.3", lambda lab: 1024 * solved_size(lab), "right in bytes"),
        ("13.3", lambda lab: solved_size(lab) / 1024, "right in MiB"),
        ("13.3", lambda _: 1, "two equations"),
        ("13.3", lambda _: "4 KiB", "a number of KiB"),
    ],
)
def test_a_typical_wrong_answer_fails_with_its_hint(
    lab_of: LabOf, exercise_id: str, wrong: Callable[[Lab], object], hint: str
) -> None:
    lab = lab_of("13")
    state, words = state_of(exercise_id, wrong(lab), lab)
    assert state is State.FAILED
    assert hint in words


@pytest.mark.parametrize("seed", [1, 2, 77])
def test_the_stub_is_not_attempted_and_the_solution_passes(lab_of: LabOf, seed: int) -> None:
    lab = lab_of("13", seed)
    right = {"13.1": solved_stored, "13.2": solved_waits, "13.3": solved_size(lab)}
    for exercise_id, solution in right.items():
        given = None if exercise_id == "13.3" else stub
        assert state_of(exercise_id, given, lab)[0] is State.NOT_ATTEMPTED
        assert state_of(exercise_id, solution, lab)[0] is State.PASSED


def test_what_13_1_calls_right_is_what_a_broker_does() -> None:
    """Every setting that can be drawn; what the widget of the lab shows of it, too."""
    with RunningBroker() as broker:
        for codec in exercises.CODECS:
            for compression in exercises.COMPRESSIONS:
                for clock in exercises.CLOCKS:
                    names = {"compression.type": compression, "message.timestamp.type": clock}
                    changed = storing.changed_fields(
                        *storing.stored(broker, codec, *names.values())
                    )
                    assert exercises.is_stored_as_sent(names, codec) == (not changed), names
