"""Every exercise is held against a second way to its answer, in a thousand drawn cases: no right
answer fails.

    ZEROCOPY_LAB_DRAWINGS=10000 python -m pytest tests/labs/test_no_right_answer_fails.py

draws more of them. The ways are in `right_answers` (values) and `right_code` (functions); the
answers that no seed changes are held against the kernel: what each says is done here, and looked
at.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.labs.right_answers import VALUES, Answer
from tests.labs.right_code import CODE, read_and_send, read_into_a_buffer
from zerocopy_lab.classroom.exercises import Grade, State, exercise_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import lab_entry, labs
from zerocopy_lab.conformance.parts import PARTS
from zerocopy_lab.conformance.plain_values import plain
from zerocopy_lab.conformance.sending import loop_of, transfer_of
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.measuring.alias_test import alias_test
from zerocopy_lab.transfer.connections import connected_pair

DRAWINGS = int(os.environ.get("ZEROCOPY_LAB_DRAWINGS", "1000"))
SENDING = ("04.1", "05.1")
"""Their exams take seconds: each way sits one, and its bytes are drawn beside it."""

BY_THE_KERNEL = ("05.3", "06.1", "06.3", "09.3", "10.3")
"""No seed changes these answers. (09.3 and the card of 10.3: tests/measuring/test_card_test.py.)"""


def lab_of(exercise_id: str, seed: int) -> Lab:
    return Lab(lab_entry(exercise_id[:2]), True, seed, Path(tempfile.gettempdir()), True)


def ways(table: dict[str, list[Callable[..., Any]]], *, without: tuple[str, ...] = ()) -> list[Any]:
    return [
        pytest.param(exercise_id, way, id=f"{exercise_id}-{number}")
        for exercise_id, all_ways in table.items()
        if exercise_id not in without
        for number, way in enumerate(all_ways, 1)
    ]


def test_every_exercise_has_a_second_way() -> None:
    listed = {each for entry in labs().values() if entry.id <= "11" for each in entry.exercises}
    assert {*VALUES, *CODE, *BY_THE_KERNEL} >= listed


@pytest.mark.parametrize(("exercise_id", "answer"), ways(VALUES))
def test_no_right_value_fails(exercise_id: str, answer: Answer) -> None:
    grade = exercise_of(exercise_id).grade
    for seed in range(DRAWINGS):
        lab = lab_of(exercise_id, seed)
        given = plain(answer(lab))
        state, words = grade(given, lab)
        assert state is State.PASSED, f"seed {seed}: {given!r} is right. {words}"


@pytest.mark.parametrize("exercise_id", VALUES)
def test_a_neighbours_answer_is_wrong(exercise_id: str) -> None:
    """So nobody passes by an answer that was written down. (Three words may be had by chance.)"""
    grade, [answer, *_] = exercise_of(exercise_id).grade, VALUES[exercise_id]
    noted = answer(lab_of(exercise_id, 0))
    labs_of_others = [lab_of(exercise_id, seed) for seed in range(1, 101)]
    passing = [lab for lab in labs_of_others if grade(plain(noted), lab)[0] is State.PASSED]
    assert len(passing) < (70 if isinstance(noted, str) else 50)


@pytest.mark.parametrize(("exercise_id", "function"), ways(CODE, without=SENDING))
def test_no_right_code_fails(exercise_id: str, function: Callable[..., Any]) -> None:
    """In this process, where its calls can be counted: one call is one drawn case."""
    calls = itertools.count()

    def counted(*arguments: Any) -> Any:
        next(calls)
        return function(*arguments)

    for seed in itertools.count():
        grade = _graded(exercise_id, counted, seed)
        assert grade.state is State.PASSED, f"seed {seed}: {grade.words}"
        if next(calls) > DRAWINGS:
            break


def _graded(exercise_id: str, function: Callable[..., Any], seed: int) -> Grade:
    exercise = exercise_of(exercise_id)
    if exercise.part:
        return Grade(State.PASSED, PARTS[exercise.part].exam(function, random.Random(seed)))
    return exercise.grade(function, lab_of(exercise_id, seed))


# -- what sends ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("exercise_id", "function"), ways({each: CODE[each] for each in SENDING}))
def test_no_right_way_from_file_to_socket_fails(
    exercise_id: str, function: Callable[..., Any]
) -> None:
    part = PARTS[exercise_of(exercise_id).part]
    assert part.exam(function, random.Random(1))


@pytest.mark.parametrize(("exercise_id", "function"), ways({each: CODE[each] for each in SENDING}))
def test_what_a_right_way_sends_is_the_slice(
    exercise_id: str, function: Callable[..., Any], tmp_path: Path
) -> None:
    """By brute force: the bytes that came out are those of the file, cut out of it in Python."""
    draw = random.Random(9)
    content = draw.randbytes(100_000)
    (tmp_path / "slices").write_bytes(content)
    file = OpenFile.open(tmp_path / "slices")
    strategy = (loop_of if exercise_id == "04.1" else transfer_of)(function)()
    with connected_pair("unix") as pair:
        for _ in range(DRAWINGS):
            length = draw.choice((0, 1, draw.randrange(4096), draw.randrange(20_000)))
            position = draw.randrange(len(content) - length + 1)
            sent_bytes = draw.randrange(length + 1)
            piece = FileSlice(file, position, length)
            moved = strategy.send(pair.sender, piece, sent_bytes)
            came = pair.receiver.recv(1 << 20) if moved else b""
            begins = position + sent_bytes
            assert (moved > 0) is (sent_bytes < length)
            assert came == content[begins : begins + moved]


# -- what no seed changes --------------------------------------------------------------------------


def passes(exercise_id: str, answer: object) -> bool:
    return exercise_of(exercise_id).grade(plain(answer), lab_of(exercise_id, 1))[0] is State.PASSED


def test_what_may_happen_to_a_file_on_its_way(tmp_path: Path) -> None:
    """05.3: half of a slice is in the socket when it happens; does the consumer get the bytes?"""
    harmless = {"append", "overwrite", "truncate", "unlink"}
    draw = random.Random(5)
    for number in range(max(1, DRAWINGS // 20)):
        what = draw.choice(("append", "overwrite", "truncate", "unlink"))
        if not _arrives_in_spite_of(what, draw, tmp_path / str(number)):
            harmless.discard(what)
    assert passes("05.3", harmless)
    assert passes("05.3", sorted(harmless))


def _arrives_in_spite_of(what: str, draw: random.Random, path: Path) -> bool:
    content = draw.randbytes(draw.randrange(4096, 30_000))
    path.write_bytes(content)
    half = len(content) // 2
    with path.open("r+b") as file, connected_pair("tcp") as pair:
        gone = os.sendfile(pair.sender.fileno(), file.fileno(), 0, half)
        if what == "append":
            os.pwrite(file.fileno(), b"more", len(content))
        elif what == "overwrite":
            os.pwrite(file.fileno(), bytes(len(content)), 0)
        elif what == "truncate":
            os.ftruncate(file.fileno(), 0)
        else:
            path.unlink()
        left = len(content) - gone
        while left and (moved := os.sendfile(pair.sender.fileno(), file.fileno(), gone, left)):
            gone, left = gone + moved, left - moved
        pair.sender.close()
        arrived = b"".join(iter(lambda: pair.receiver.recv(1 << 20), b""))
    path.unlink(missing_ok=True)
    return arrived == content


def test_what_outlives_a_kill(tmp_path: Path) -> None:
    """06.1: a process writes, syncs nothing, and is killed. (The power is cut by
    tests/log/power_off.py.)
    """
    for number in range(max(1, DRAWINGS // 500)):
        child = os.fork()
        if child == 0:
            (tmp_path / "log").write_bytes(b"%d" % number * 5000)
            os.kill(os.getpid(), signal.SIGKILL)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
        assert (tmp_path / "log").read_bytes() == b"%d" % number * 5000
    for kept, lost in (("kept", "lost"), ("Kept", " lost ")):
        assert passes("06.1", {"power cut": lost, "kill -9": kept})


def io_counters() -> dict[str, int]:
    lines = Path("/proc/self/io").read_text().splitlines()
    return {name: int(value) for name, value in (line.split(": ") for line in lines)}


def test_which_counter_knows_the_device(tmp_path: Path) -> None:
    """06.3: what is read from memory moves the others, or would move them from the device, too."""
    (tmp_path / "in memory").write_bytes(bytes(1 << 20))
    before = io_counters()
    (tmp_path / "in memory").read_bytes()
    after = io_counters()
    moved = {name for name in ("rchar", "wchar", "read_bytes") if after[name] - before[name] >> 20}
    assert moved == {"rchar"}
    for spelled in ("read_bytes", " READ_BYTES"):
        assert passes("06.3", spelled)


def test_where_somebody_copies() -> None:
    """10.3 and 09.3: those places that need no key and no card."""
    assert alias_test("sendfile", directory=Path("/dev/shm")).verdict == "alias"
    assert alias_test("sendfile", probe_bytes=64).verdict == "alias"
    assert passes("10.3", ["TLS", "card without sg"])
    assert passes("09.3", {"scatter-gather", "checksum"})


def test_loops_copy_and_transfers_do_not() -> None:
    for function in (read_and_send, read_into_a_buffer):
        assert alias_test(loop_of(function), probe_bytes=4096).verdict == "copied"
    for function in CODE["05.1"]:
        assert alias_test(transfer_of(function), probe_bytes=4096).verdict == "alias"
