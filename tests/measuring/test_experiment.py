from __future__ import annotations

import contextlib
import dataclasses
from collections import Counter
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.children import children
from tests.measuring import experiment_work
from zerocopy_lab.measuring.contestant import command_contestant
from zerocopy_lab.measuring.experiment import (
    Contestant,
    ContestantFailed,
    ExperimentRefused,
    compare,
    run_experiment,
)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def noting(name: str, journal: Path) -> Contestant:
    return Contestant(name, experiment_work.note_down, {"name": name, "journal": str(journal)})


def entries(journal: Path) -> list[tuple[str, int]]:
    return [(name, int(pid)) for name, pid in map(str.split, journal.read_text().splitlines())]


def test_contestants_take_turns_in_new_processes(journal: Path) -> None:
    names = ("a", "b", "c")
    outcome = run_experiment(
        "turns", [noting(name, journal) for name in names], repeats=2, warm_ups=1, runs=3
    )
    noted = entries(journal)
    assert Counter(name for name, _pid in noted) == dict.fromkeys(names, 2 * (1 + 3))
    assert len({pid for _name, pid in noted}) == 2 * 3, "a process per contestant and round"
    for first in (3, 15):  # after the warm-ups, and after those of the second round
        for turn in range(3):
            at = first + turn * 3
            assert {name for name, _pid in noted[at : at + 3]} == set(names)
    assert [(s.contestant, s.round_number) for s in outcome.samples] == [
        (name, number) for number in (1, 2) for name in names
    ]


def test_what_runs_have_in_common_is_prepared_once_a_round(journal: Path) -> None:
    contestant = dataclasses.replace(noting("a", journal), prepare=experiment_work.prepare)
    run_experiment("prepared", [contestant], repeats=2, warm_ups=1, runs=2)
    names = [name for name, _pid in entries(journal)]
    assert names == ["prepare-a", "a", "a", "a"] * 2


def test_a_contestant_may_tidy_up_before_it_ends(journal: Path) -> None:
    tidy = Contestant("t", experiment_work.leave_in_order, {"journal": str(journal)})
    run_experiment("tidy", [tidy], repeats=1, warm_ups=0, runs=1)
    assert journal.read_text() == "tidied up"


def test_contestants_tidy_up_even_when_another_fails(journal: Path) -> None:
    tidy = Contestant("t", experiment_work.leave_in_order, {"journal": str(journal)})
    with pytest.raises(ContestantFailed):
        run_experiment("f", [tidy, Contestant("f", experiment_work.fail)], repeats=1, warm_ups=1)
    assert journal.read_text() == "tidied up"


def test_the_order_is_shuffled_and_comes_from_the_seed(tmp_path: Path) -> None:
    orders = []
    for number, seed in enumerate((5, 5, 6)):
        journal = tmp_path / str(number)
        run_experiment(
            "order", [noting(n, journal) for n in "abcd"], repeats=1, warm_ups=0, runs=4, seed=seed
        )
        orders.append([name for name, _pid in entries(journal)])
    assert orders[0] == orders[1] != orders[2]
    turns = [orders[0][at : at + 4] for at in range(0, 16, 4)]
    assert any(one != other for one, other in pairwise(turns))


def test_figures_and_settings_are_kept(journal: Path) -> None:
    outcome = run_experiment(
        "kept", [noting("abc", journal)], repeats=1, seed=7, notes=["told so"], warm_ups=0, runs=2
    )
    assert outcome.values("abc", "noted_bytes") == [3.0]
    figures = outcome.samples[0].figures
    assert figures["total_cpu_s"] == figures["cpu_s"] + figures["children_cpu_s"] > 0
    assert outcome.contestants["abc"]["journal"] == str(journal)
    assert {"seed": 7, "repeats": 1, "runs": 2, "warm_ups": 0}.items() <= outcome.settings.items()
    assert outcome.notes[0] == "told so"
    assert not outcome.recorded
    assert outcome.provenance().startswith("measured: ")


def test_what_is_not_there_is_named(journal: Path) -> None:
    outcome = run_experiment("names", [noting("a", journal)], repeats=1, warm_ups=0, runs=1)
    with pytest.raises(KeyError, match="no contestant 'b'"):
        outcome.spread_of("b", "cpu_s")
    with pytest.raises(KeyError, match="no figure 'cpu_ms'"):
        compare(outcome, "a", "a", "cpu_ms")


def test_a_command_is_a_contestant_too(tmp_path: Path) -> None:
    made = tmp_path / "made"
    outcome = run_experiment(
        "command", [command_contestant("touch", ["touch", str(made)])], repeats=1, runs=1
    )
    assert made.exists()
    assert outcome.values("touch", "children_cpu_s")[0] > 0


def test_refused_before_anything_runs(journal: Path) -> None:
    with pytest.raises(ExperimentRefused, match=r"'cold'.*the file is warm; no luck") as refusal:
        run_experiment(
            "cold",
            [noting("a", journal)],
            preconditions=[lambda: None, lambda: "the file is warm", lambda: "no luck"],
        )
    assert refusal.value.reasons == ("the file is warm", "no luck")
    assert not journal.exists()


def test_refused_when_a_condition_is_lost_on_the_way(journal: Path) -> None:
    def lost() -> str | None:
        return "somebody evicted it" if journal.exists() else None

    with pytest.raises(ExperimentRefused, match="evicted"):
        run_experiment("warm", [noting("a", journal)], preconditions=[lost], warm_ups=0, runs=1)
    assert len(entries(journal)) == 1, "the first round only"


@pytest.mark.parametrize(
    ("work", "words"),
    [
        (experiment_work.fail, "the disk is made of cheese"),
        (experiment_work.end_at_once, "failing failed"),
        (experiment_work.measure_nothing, "needs a `with stopwatch:`"),
        (experiment_work.claim_to_be_the_clock, "wall_s"),
    ],
)
@pytest.mark.parametrize("warm_ups", [0, 1])
def test_a_failing_contestant_fails_the_experiment(
    work: object, words: str, warm_ups: int, journal: Path
) -> None:
    failing = Contestant("failing", work)  # type: ignore[arg-type]
    with pytest.raises(ContestantFailed, match=words):
        run_experiment("f", [noting("a", journal), failing], repeats=1, warm_ups=warm_ups)
    assert not [pid for _name, pid in entries(journal) if psutil.pid_exists(pid)]


def test_a_contestant_that_hangs_is_ended() -> None:
    with pytest.raises(ContestantFailed, match="did not end within 2 s"):
        run_experiment("h", [Contestant("hanging", experiment_work.hang)], timeout_s=2)
    assert not children()


def test_what_contestants_print_is_no_figure() -> None:
    outcome = run_experiment("p", [Contestant("c", experiment_work.chatter)], repeats=1)
    assert outcome.values("c", "total_cpu_s")[0] > 0


def test_nobody_is_left_behind(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    left = Contestant("l", experiment_work.leave_someone_behind, {"pid_file": str(pid_file)})
    run_experiment("l", [left], repeats=1, warm_ups=0, runs=1)
    orphan = int(pid_file.read_text())
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(orphan).wait(10)  # killed already, but perhaps not yet reaped
    assert not psutil.pid_exists(orphan)


def test_work_that_no_other_process_can_find_is_refused_with_advice(journal: Path) -> None:
    def local(stopwatch: object) -> None:
        raise AssertionError(stopwatch)

    for work in (local, lambda _stopwatch: None):
        with pytest.raises(ValueError, match="%%writefile"):
            run_experiment("l", [Contestant("local", work)])


def test_names_must_differ(journal: Path) -> None:
    with pytest.raises(ValueError, match="share a name"):
        run_experiment("twins", [noting("a", journal), noting("a", journal)])
