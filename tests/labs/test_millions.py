"""Lab 12: what makes millions is told from the rates that were seen, whatever they are; a broker of
parts is tried with real clients, and who is at fault is named.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
import pytest

from zerocopy_lab.classroom.evidence import Likeness, Verdict
from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.classroom.subject import THIS_BROKER, Subject, kafka_here
from zerocopy_lab.conformance.part import examine
from zerocopy_lab.conformance.parts import PARTS, kept_in
from zerocopy_lab.conformance.parts import load as load_part
from zerocopy_lab.conformance.seats import mark_examined
from zerocopy_lab.instruments.processor import ProcessorUse
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab12 import (
    findings,
    ladder,
    limit,
    load,
    million,
    millions,
    millions_exercises,
    part_plan,
    raced_topics,
    stand,
    worth,
    wrong_parts,
    yours,
)
from zerocopy_lab.lessons.lab12.limit import BROKER, CLIENT, KERNEL, Spent
from zerocopy_lab.lessons.lab12.orders import CLIENTS, LoadOrder, LoadRun, SeenBroker, events_of
from zerocopy_lab.lessons.lab12.raced_topics import SIZES, SMALL, Amounts, Cell
from zerocopy_lab.lessons.lab12.rungs import (
    ALL,
    BATCHING,
    COMPRESSION,
    DIRECTIONS,
    INDEX,
    NO_FLUSH,
    PAGE_CACHE,
    PLAIN,
    RUNGS,
    UNTOUCHED,
    WHOLE,
    ZERO_COPY,
)
from zerocopy_lab.lessons.lab12.stand import Ladder
from zerocopy_lab.publishing.tidy import EXERCISE_KEY
from zerocopy_lab.running import flight_events, topic_admin
from zerocopy_lab.running.flight_events import NotDelivered
from zerocopy_lab.running.running_broker import RunningBroker

LabOf = Callable[..., Lab]
USED = ProcessorUse(0.1, 0.05, 0.05, 0, 0, 0, 0)
MILLION = 1_000_000
NOISE = (1.0, 0.96, 1.05)
RATES: dict[tuple[str, str], float] = {
    ("produce", COMPRESSION): 2.0,
    ("produce", BATCHING): 0.01,
    ("produce", UNTOUCHED): 0.1,
    ("produce", NO_FLUSH): 1.2,
    ("produce", PLAIN): 1.5,
    ("produce", PAGE_CACHE): 1.8,
    ("produce", ALL): 0.0002,
    ("consume", COMPRESSION): 20.0,
    ("consume", BATCHING): 0.02,
    ("consume", PLAIN): 5.0,
    ("consume", PAGE_CACHE): 10.0,
    ("consume", ZERO_COPY): 12.0,
    ("consume", INDEX): 0.005,
    ("consume", ALL): 0.01,
}
"""Millions a second without it, direction and mechanism."""


def runs(rate: float, noise: Sequence[float] = NOISE) -> list[LoadRun]:
    return [LoadRun(1000, 1000 / (rate * MILLION * each), USED, USED) for each in noise]


def made_up(
    changed: Mapping[tuple[str, str], float] | None = None,
    *,
    subject: Subject = THIS_BROKER,
    without: Sequence[str] = (),
    noise: Sequence[float] = NOISE,
) -> Ladder:
    rates = {**RATES, **(changed or {})}
    cells = {
        Cell("produce", "ours", SMALL, WHOLE): runs(rates.get(("produce", ""), 2.0)),
        Cell("consume", "ours", SMALL, WHOLE): runs(rates.get(("consume", ""), 20.0)),
    }
    for rung in RUNGS:
        for direction in DIRECTIONS:
            if rung.name in without or (ways := rung.ways(direction)) is None:
                continue
            beside, way = ways
            if beside != WHOLE:
                rate = 0.02 if beside.jumps else 30.0
                cells.setdefault(Cell(direction, "ours", SMALL, beside), runs(rate))
            if way != WHOLE:
                lost = runs(rates[direction, rung.name], noise)
                cells[Cell(direction, "ours", SMALL, way)] = lost
    return Ladder(subject, cells, dict.fromkeys(without, "no such setting"))


def verdicts(seen: Ladder | Unmeasured) -> dict[str, object]:
    return {found.part: found.verdict for found in findings.findings(seen)}


USUAL = verdicts(made_up(subject=kafka_here("4.2.0")))


# -- the verdict -----------------------------------------------------------------------------------


def test_what_is_usually_seen() -> None:
    assert USUAL == {
        "what makes the millions": Verdict.CONTRADICTED,
        "millions of messages a second": Verdict.SUPPORTED,
        "because of zero copy": Verdict.CONTRADICTED,
        "because of the page cache": Verdict.CONTRADICTED,
        "because of batching": Verdict.SUPPORTED,
        "because of DMA": Verdict.NOT_TESTABLE,
    }
    words = findings.findings(made_up())[0].words
    assert words.startswith(
        "It is not zero copy that makes millions, it is batching and untouched batches: without "
        "zero copy there were still 12 M/s."
    )


def test_a_machine_on_which_the_article_is_right_says_so() -> None:
    slow = {("consume", ZERO_COPY): 0.5, ("produce", PAGE_CACHE): 0.1}
    found = verdicts(made_up(slow, subject=kafka_here("4.2.0")))
    assert found["what makes the millions"] is Verdict.SUPPORTED
    assert found["because of zero copy"] is Verdict.SUPPORTED
    assert ladder.headline(made_up(slow)).startswith("Zero copy is among what makes the millions")


def test_one_round_on_the_other_side_decides_nothing() -> None:
    across = made_up(
        {("consume", ZERO_COPY): 1.0, ("produce", PAGE_CACHE): 1.0, ("consume", PAGE_CACHE): 1.0},
        subject=kafka_here("4.2.0"),
    )
    found = verdicts(across)
    assert found["because of zero copy"] is Verdict.INCONCLUSIVE
    assert found["what makes the millions"] is Verdict.INCONCLUSIVE
    assert "the rounds do not tell" in ladder.headline(across)


@pytest.mark.parametrize(
    ("cpu_s", "verdict"), [(0.0004, Verdict.INCONCLUSIVE), (0.004, Verdict.CONTRADICTED)]
)
def test_a_machine_without_millions_loses_none_and_a_busy_one_refuses_none(
    cpu_s: float, verdict: Verdict
) -> None:
    slow = made_up({("produce", ""): 0.4, ("consume", ""): 0.5}, subject=kafka_here("4.2.0"))
    used = USED._replace(cpu_s=cpu_s)  # for a thousand messages
    runs = {cell: [r._replace(broker=used) for r in ran] for cell, ran in slow.runs.items()}
    found = verdicts(slow._replace(runs=runs))
    assert found["millions of messages a second"] is verdict
    assert found["because of batching"] is Verdict.INCONCLUSIVE
    assert found["what makes the millions"] is Verdict.INCONCLUSIVE


def test_a_loss_that_the_rounds_do_not_agree_on_makes_no_millions() -> None:
    barely = made_up({("produce", ""): 1.08, ("produce", PAGE_CACHE): 0.95})
    one = worth.worth(barely, PAGE_CACHE, "produce")
    assert one is not None
    assert max(one.without) < MILLION <= min(one.with_it)
    assert one.makes_the_millions is None


def test_where_zero_copy_cannot_be_taken_away_a_survived_tls_acquits_it_and_no_other() -> None:
    survived = made_up(without=[ZERO_COPY])
    by_tls = worth.zero_copy(survived)
    assert by_tls is not None
    assert by_tls.mechanism == PLAIN
    assert worth.makes(survived, ZERO_COPY) is False
    assert "with TLS, which takes zero copy along, there were still" in ladder.headline(survived)
    assert "with TLS" in " ".join(found.words for found in findings.findings(survived))
    lost = made_up({("consume", PLAIN): 0.3}, without=[ZERO_COPY])
    assert worth.zero_copy(lost) is None
    assert worth.makes(lost, ZERO_COPY) is None
    assert "could not be taken away" in ladder.headline(lost)


def test_our_own_broker_and_a_kafka_are_told_apart() -> None:
    ours, theirs = (findings.findings(made_up(subject=s)) for s in (THIS_BROKER, kafka_here("4")))
    assert {found.about for found in ours[:-1]} == {THIS_BROKER}
    assert {found.about for found in theirs[:-1]} == {kafka_here("4")}
    assert all(not isinstance(found.verdict, Likeness) for found in theirs)


def test_a_broker_that_could_not_be_asked_gets_no_verdict() -> None:
    lacking = Unmeasured("flush.messages of x is 1, not 9")
    assert set(verdicts(lacking).values()) == {Verdict.NOT_TESTABLE}
    assert ladder.answer(lacking) is None
    assert "flush.messages of x is 1" in ladder.ladder_words(lacking)
    assert ladder.ladder_picture(lacking).alt


# -- ranking and sums ------------------------------------------------------------------------------


def test_the_ranking_is_by_the_direction_in_which_a_loss_costs_more() -> None:
    best = {one.mechanism: one.times.median for one in worth.best_worths(made_up())}
    names = list(best)
    assert names[:2] == [BATCHING, UNTOUCHED]  # 20 / 0.02, 2 / 0.1
    assert best[INDEX] == pytest.approx(4)
    assert names.index(UNTOUCHED) < names.index(PLAIN) < names.index(NO_FLUSH)
    assert ladder.answer(made_up()) == BATCHING
    assert ladder.answer(made_up({("consume", ZERO_COPY): 0.001})) == ZERO_COPY


def test_the_ranking_says_what_the_rounds_do_not_tell_apart() -> None:
    told = ladder.ranking_in_words(made_up())
    assert told.startswith("batching ÷ 1,000; then untouched batches ÷ 20; then ")
    scattered = made_up({("consume", ZERO_COPY): 0.03}, noise=(1.0, 0.6, 1.5))
    first = worth.ranks(scattered)[0]
    assert {one.mechanism for one in first} == {BATCHING, ZERO_COPY}  # ÷ 1,000 and ÷ 667
    assert "batching ÷ 1,000 and zero copy ÷ 667 (not told apart); then" in (
        ladder.ranking_in_words(scattered)
    )
    assert ladder.answer(scattered) is None
    assert ladder.why_unclear(scattered) == (
        "The rounds do not tell apart: batching and zero copy."
    )
    assert ladder.why_unclear(made_up()) == ""


def test_a_loss_that_chance_would_make_has_no_rank() -> None:
    ranked = {one.mechanism for group in worth.ranks(made_up({("produce", NO_FLUSH): 2.0}))
              for one in group}  # fmt: skip
    assert NO_FLUSH not in ranked
    assert {BATCHING, PAGE_CACHE} <= ranked
    once_much = made_up({("consume", PLAIN): 5.0}, noise=(1.0, 0.2, 1.6))  # 4, 19 and 2.6 times
    assert PLAIN in worth.kinds(once_much)[worth.UNCLEAR]


def test_losses_multiply_add_or_are_not_told_from_chance() -> None:
    told = worth.kinds(made_up({("produce", NO_FLUSH): 2.0, ("consume", PAGE_CACHE): 11.0}))
    assert set(told[worth.MULTIPLIES]) == {BATCHING, UNTOUCHED, COMPRESSION, INDEX, PLAIN}
    assert told[worth.ADDS] == [PAGE_CACHE, ZERO_COPY]
    assert told[worth.UNCLEAR] == [NO_FLUSH]


@pytest.mark.parametrize(
    ("rate", "said"),
    [
        (0.0002, "they multiply"),
        (0.006, "more than it, in every round"),
        (0.009, "they add up"),
        (0.1, "they share"),
    ],
)
def test_all_at_once_is_held_against_the_sum(rate: float, said: str) -> None:
    both = worth.together(made_up({("produce", ALL): rate}), "produce")
    assert both is not None
    assert said in both.in_words
    whole, batching, untouched, flush, tls, cache = 0.5, 100, 10, 1 / 1.2, 1 / 1.5, 1 / 1.8
    losses = [batching, untouched, flush, tls, cache]
    assert both.added[0] == pytest.approx(whole + sum(each - whole for each in losses))
    product = whole
    for each in losses:
        product *= each / whole
    assert both.multiplied[0] == pytest.approx(product)


def test_zero_copy_is_not_counted_twice_in_the_sum() -> None:
    both = worth.together(made_up(), "consume")
    assert both is not None
    assert both.added[0] == pytest.approx(0.05 + (50 - 0.05) + (0.2 - 0.05) + (0.1 - 0.05))


# -- where the limit lies --------------------------------------------------------------------------


def spent(client: float, broker: float, kernel: float) -> Spent:
    return Spent(1.0, client, kernel / 2, broker, kernel / 2)


def test_who_takes_the_most_in_every_round_is_named() -> None:
    rounds = [spent(0.5, 0.3, 0.2), spent(0.6, 0.3, 0.2), spent(0.5, 0.4, 0.2)]
    found: limit.Profile = {"produce": rounds, "consume": rounds}
    assert limit.most(found) == CLIENT
    assert limit.most({"produce": [spent(0.1, 0.2, 0.9)] * 3}) == KERNEL
    assert limit.most({"produce": [spent(0.1, 0.9, 0.2)] * 3}) == BROKER
    divided: limit.Profile = {"produce": [*rounds, spent(0.1, 0.9, 0.2)]}
    assert limit.most(divided) is None
    assert limit.why_unclear(divided) == (
        f"The rounds do not agree: it was {CLIENT} in 3 and {BROKER} in 1 of 4."
    )
    assert limit.most(Unmeasured("no kcat")) is None
    assert "the client is the nearer" in limit.limit_words(found)
    assert len(limit.figures(found)) == 6


# -- settings that are not as believed -------------------------------------------------------------


def test_a_broker_that_flushes_of_its_own_accord_is_no_broker_as_it_comes(
    lab_of: LabOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    def flushes(which: str, **options: Any) -> RunningBroker:
        settings = {**options.pop("settings", {}), "flush.messages": "1"}
        return RunningBroker(settings=settings, **options)

    monkeypatch.setattr(stand, "broker_for", flushes)
    found = millions.measure("zerocopy_lab", lab_of("12"))
    assert isinstance(found, Unmeasured)
    assert "flush.messages" in str(found)
    assert "is 1, not 9223372036854775807" in str(found)


# -- the loads -------------------------------------------------------------------------------------


def test_both_clients_move_what_they_say(lab_of: LabOf) -> None:
    rungs = [rung for rung in RUNGS if rung.name in (BATCHING, ZERO_COPY)]
    small = Amounts(1, 0, 1_000_000, 50)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stand, "_amounts", lambda *_: small)
        seen = stand.measure("zerocopy_lab", lab_of("12"), rungs=rungs)
    assert {cell.client for cell in seen.runs} == {"ours", "librdkafka"}
    for cell, (ran,) in seen.runs.items():
        wanted = small.messages(cell)
        whole_batches = 0 < ran.messages <= wanted  # ours sends nothing else
        is_exact = cell.client == "librdkafka" and cell.direction == "produce"
        assert ran.messages == wanted if is_exact else whole_batches, cell
        assert ran.wall_s > 0
        assert ran.broker is not None
        assert ran.broker.cpu_s > 0


def test_a_cluster_of_others_is_asked_what_can_be_seen_and_left_as_it_was(
    lab_of: LabOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stand, "_amounts", lambda *_: Amounts(3, 0, 1_000_000, 20))
    monkeypatch.setattr(raced_topics, "_SINGLE", 200)
    monkeypatch.setattr(raced_topics, "_MUCH_BYTES", 1_500_000)
    with RunningBroker() as broker:
        seen = stand.measure(broker.bootstrap, lab_of("12"), clients=("ours",), sizes=(SMALL,))
        assert set(topic_admin.admin_client(broker.bootstrap).list_topics(timeout=10).topics) == (
            set()
        )
    assert set(seen.why_not) == {PLAIN, PAGE_CACHE, ZERO_COPY, ALL}
    assert all(run.broker is None for runs in seen.runs.values() for run in runs)
    assert verdicts(seen)["millions of messages a second"] is not Verdict.CONTRADICTED
    assert ladder.ladder_picture(seen).alt


def test_messages_that_are_refused_or_not_there_are_no_figures() -> None:
    with RunningBroker(settings={"max.message.bytes": "100"}) as broker:
        topic_admin.create_topic(broker.bootstrap, "small")
        seen = SeenBroker(broker.host, broker.port)
        for client in CLIENTS:
            with pytest.raises(NotDelivered, match=r"error 10|too large"):
                load.produce(LoadOrder(seen, client, "small", WHOLE, SMALL, 5000))
        with pytest.raises(NotDelivered, match="brought"):
            load.consume(LoadOrder(seen, "ours", "small", WHOLE, SMALL, 5000, 5000))


def test_messages_have_exactly_the_size_that_is_said() -> None:
    for size in SIZES:
        events = events_of(size, 5000)
        assert len(events) == 5000
        assert {len(event) for event in events} == {size}


# -- a broker of one's own -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def solved_parts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The nine parts as the solved notebooks have them, examined."""
    directory = tmp_path_factory.mktemp("parts")
    for name, part in PARTS.items():
        path = directory / f"{name}.py"
        path.write_text(source_in_solution(name, part.lab), encoding="utf-8")
        mark_examined(path)  # tests/conformance holds their exams
    return directory


def source_in_solution(name: str, lab_id: str) -> str:
    """What the cells that answer the lab's building exercises import and define, and the part's
    function under its name.
    """
    solved = nbformat.read(labs()[lab_id].solution, as_version=4)
    cells = [cell.source for cell in solved.cells if EXERCISE_KEY in cell.metadata]
    building = [ast.parse(source) for source in cells if "keep(" in source]
    kept = {
        ast.literal_eval(call.args[0]): ast.unparse(call.args[1])
        for call in ast.walk(ast.Module([s for tree in building for s in tree.body], []))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "keep"
    }
    wanted = (ast.Import, ast.ImportFrom, ast.FunctionDef)
    told = [ast.unparse(s) for tree in building for s in tree.body if isinstance(s, wanted)]
    return "\n\n".join(["import os", *told, f"{name} = {kept[name]}"]) + "\n"


def test_nine_solved_parts_make_a_broker_that_loses_nothing(
    lab_of: LabOf, solved_parts: Path
) -> None:
    assert set(kept_in(solved_parts)) == set(PARTS)
    journey = million.travel(lab_of("12"), solved_parts, events=30_000)
    assert journey.passes, million.journey_lines(journey)
    assert 0 < journey.killed_after_bytes < journey.log_bytes


@pytest.mark.parametrize("name", PARTS)
def test_a_typical_wrong_part_is_refused_by_its_name(name: str, solved_parts: Path) -> None:
    accused = wrong_parts.put_in(name, solved_parts)
    assert accused.named == name
    assert accused.words


def test_a_wrong_part_that_slips_past_its_exam_is_named_by_the_broker(
    lab_of: LabOf, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "index_lookup.py"
    path.write_text(wrong_parts.WRONG["index_lookup"][1])
    mark_examined(path)  # a forged mark
    with RunningBroker(parts=tmp_path, settings={"index.interval.bytes": "0"}) as broker:
        flight_events.produce(
            broker.bootstrap, million.TOPIC, flight_events.repeated(50), ONE_BY_ONE
        )
        broker.kill()  # what it remembers of places is gone
        broker.start()
        consumer = flight_events.assigned_consumer(broker.bootstrap, million.TOPIC, 30)
        consumer.consume(1, 2.0)
        consumer.close()
        assert million._accused(broker.log_path) == ("index_lookup",)


ONE_BY_ONE = {"batch.num.messages": 1, "linger.ms": 0}


def test_what_is_missing_is_ours_in_the_same_seat(lab_of: LabOf, solved_parts: Path) -> None:
    lab = lab_of("12")
    lab.parts_dir.mkdir()
    mine = solved_parts / "stamp.py"
    (lab.parts_dir / "stamp.py").write_bytes(mine.read_bytes())
    parts = yours.assemble(lab)
    assert set(kept_in(parts)) == set(PARTS)
    assert (parts / "stamp.py").read_bytes() == mine.read_bytes()
    assert not (parts / "stamp.examined").exists()  # it sits its exam at the start
    with RunningBroker(parts=parts) as broker:
        assert broker.is_running
    assert set(kept_in(lab.parts_dir)) == {"stamp"}
    assert part_plan.plan_words(lab.parts_dir).startswith("1 of 9 are yours; ours, in grey:")


@pytest.mark.parametrize("name", PARTS)
def test_ours_as_a_cell_would_hold_it_passes(lab_of: LabOf, name: str) -> None:
    path = yours.assemble(lab_of("12")) / f"{name}.py"
    assert examine(PARTS[name], lambda: load_part(path)).passed is True


def test_the_recorded_kafka_fills_its_column() -> None:
    raced = yours.recorded_kafka()
    assert {name for name, *_ in yours.rows()} == set(raced.rates)


# -- exercises -------------------------------------------------------------------------------------


def by_medians(rates: dict[str, tuple[list[int], list[int]]]) -> list[str]:
    middle = {n: (sorted(a)[1], sorted(b)[1]) for n, (a, b) in rates.items()}
    good = [n for n, (a, b) in middle.items() if a >= MILLION > b]
    return sorted(good, key=lambda n: -middle[n][0] / middle[n][1])


def without_the_order(rates: dict[str, tuple[list[int], list[int]]]) -> list[str]:
    return sorted(n for n, (a, b) in rates.items() if min(a) >= MILLION > max(b))


def forgets_with_it(rates: dict[str, tuple[list[int], list[int]]]) -> list[str]:
    return [n for n, (_, b) in rates.items() if max(b) < MILLION]


def summed(lab: Lab) -> float:
    _, whole, flushing, single = millions_exercises.two_losses(lab)
    return whole + (flushing - whole) + (single - whole)


def chained(lab: Lab) -> tuple[float, float]:
    client, direct, copying = millions_exercises.chain(lab)
    return 1e6 / (client + direct), 1e6 / (client + copying)


WRONG: list[tuple[str, Callable[[Lab], object], str]] = [
    ("12.1", lambda _: by_medians, "in some round"),
    ("12.1", lambda _: without_the_order, "the order is by the median"),
    ("12.1", lambda _: forgets_with_it, "nothing to lose"),
    ("12.1", lambda _: lambda rates: 7, "a list of names"),
    ("12.1", lambda _: 7, "The answer is a function"),
    ("12.2", summed, "That is the sum"),
    ("12.2", lambda _: "long", "a number of seconds"),
    ("12.3", chained, "nobody adds up"),
    ("12.3", lambda _: 3, "two rates"),
]


@pytest.mark.parametrize(("exercise_id", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_fails_with_its_hint(
    lab_of: LabOf, exercise_id: str, answer: Callable[[Lab], object], hint: str
) -> None:
    lab = lab_of("12")
    grade, _ = grade_of(exercise_of(exercise_id), answer(lab), lab)
    assert grade.state is State.FAILED
    assert hint in grade.words
