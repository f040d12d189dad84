"""Exercises: the stub is not attempted, the solution passes, a typical wrong answer fails with its
hint. (Labs 01 to 03 have theirs beside the tests of their lessons.)
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import statistics
from collections.abc import Callable
from typing import Any

import nbformat
import pytest

from zerocopy_lab.classroom.exercises import State, exercise_of, grade_of
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.lessons.lab00 import start_here, start_here_exercises
from zerocopy_lab.lessons.lab04 import traditional_path_exercises
from zerocopy_lab.lessons.lab05 import zero_copy_exercises
from zerocopy_lab.lessons.lab06 import page_cache_exercises
from zerocopy_lab.lessons.lab09.dma_and_the_copy_ledger import busy_hour
from zerocopy_lab.lessons.lab14 import the_verdict_exercises
from zerocopy_lab.publishing.tidy import EXERCISE_KEY

LabOf = Callable[[str], Lab]


def copies(sock: Any, piece: Any, sent_bytes: int) -> int:
    left_bytes = piece.length - sent_bytes
    chunk = os.pread(piece.file.fd, min(4096, left_bytes), piece.position + sent_bytes)
    return int(sock.send(chunk)) if chunk else 0


def forgets_the_position(sock: Any, piece: Any, sent_bytes: int) -> int:
    left_bytes = piece.length - sent_bytes
    return os.sendfile(sock.fileno(), piece.file.fd, sent_bytes, left_bytes) if left_bytes else 0


def from_the_moon(path: Any) -> list[tuple[str, str, str]]:
    return [("moon", "card", "DMA")]


def stub(sock: Any, piece: Any, sent_bytes: int) -> None:
    return None


def no_write(lab: Lab) -> int:
    file_bytes, chunk_bytes = start_here.file_to_send(lab)
    return math.ceil(file_bytes / chunk_bytes)


def no_last_chunk(lab: Lab) -> int:
    file_bytes, chunk_bytes = start_here.file_to_send(lab)
    return 2 * (file_bytes // chunk_bytes)


def other_verdict(lab: Lab) -> str:
    right = start_here_exercises.right_verdict(start_here.seven_rounds(lab))
    return {"cheaper": "inconclusive", "dearer": "inconclusive"}.get(right, "cheaper")


def by_ranges(pairs: list[tuple[float, float]]) -> str:
    first, second = zip(*pairs, strict=True)
    if max(first) < min(second):
        return "cheaper"
    return "dearer" if min(first) > max(second) else "inconclusive"


def by_medians(pairs: list[tuple[float, float]]) -> str:
    first, second = (statistics.median(side) for side in zip(*pairs, strict=True))
    return "cheaper" if first < second else "dearer"


def whichever_side(pairs: list[tuple[float, float]]) -> str:
    ratios = [first / second for first, second in pairs]
    if all(ratio < 1 for ratio in ratios):
        return "cheaper"
    return "dearer" if all(ratio > 1 for ratio in ratios) else "inconclusive"


def whole_gigabytes(lab: Lab) -> int:
    return math.ceil(zero_copy_exercises.bytes_to_send(lab) / (1 << 31))


def two_calls_one_copy(lab: Lab) -> float:
    prices = traditional_path_exercises.two_prices(lab)
    return 2 * prices.call_ns / prices.copy_ns_per_kib * 1024


def sends_all_at_once(sock: Any, piece: Any, sent_bytes: int, chunk_bytes: int) -> int:
    left_bytes = piece.length - sent_bytes
    chunk = os.pread(piece.file.fd, left_bytes, piece.position + sent_bytes)
    return int(sock.send(chunk)) if chunk else 0


def no_copies(sock: Any, piece: Any, sent_bytes: int, chunk_bytes: int) -> int:
    count = min(chunk_bytes, piece.length - sent_bytes)
    position = piece.position + sent_bytes
    return os.sendfile(sock.fileno(), piece.file.fd, position, count) if count else 0


def bounds_of(lab: Lab) -> tuple[float, float]:
    least, most = traditional_path_exercises.bounds(traditional_path_exercises.four_ways(lab))
    return min(least, most), max(least, most)


def of_larger_chunks(lab: Lab) -> tuple[float, ...]:
    return tuple(1 - share for share in bounds_of(lab))


def largest_first(lab: Lab) -> tuple[float, ...]:
    return bounds_of(lab)[::-1]


def in_percent(lab: Lab) -> tuple[float, ...]:
    return tuple(100 * share for share in bounds_of(lab))


def in_milliseconds(lab: Lab) -> tuple[float, ...]:
    ways = traditional_path_exercises.four_ways(lab)
    return (ways.large_loop - ways.large_sendfile, ways.small_loop - ways.small_sendfile)


def in_minutes(lab: Lab) -> float:
    cache_bytes, rate = page_cache_exercises.lag_limit(lab)
    return cache_bytes / rate / 60


def counts_all_reads(room: int, touched: list[tuple[str, int]]) -> int:
    return sum(what == "read" for what, _ in touched)


def never_full(room: int, touched: list[tuple[str, int]]) -> int:
    pages = [page for _, page in touched]
    return sum(what == "read" and page not in pages[:at] for at, (what, page) in enumerate(touched))


def first_in_first_out(room: int, touched: list[tuple[str, int]]) -> int:
    in_memory: list[int] = []
    count = 0
    for what, page in touched:
        if page not in in_memory:
            count += what == "read"
            in_memory = [*in_memory, page][-room:]
    return count


def by_the_best_verdict(found: list[tuple[str, str, str]]) -> str:
    return max((verdict for _, _, verdict in found), default="open")


def counts_everybody(found: list[tuple[str, str, str]]) -> str:
    return judged({verdict for _, _, verdict in found})


def skips_the_inconclusive(found: list[tuple[str, str, str]]) -> str:
    speaking = {}
    for basis in ("cited", "recorded", "seen here"):
        decided = [f for f in found if f[1] == basis and f[2] in ("supported", "contradicted")]
        speaking.update({part: verdict for part, _, verdict in decided})
    return judged(set(speaking.values()))


def judged(verdicts: set[str]) -> str:
    told = {"supported": "right", "contradicted": "wrong"}
    decided = verdicts & set(told)
    return "half right" if len(decided) == 2 else told[decided.pop()] if decided else "open"


def believes_every_table(text: str) -> str:
    try:
        told = json.loads(text)
    except ValueError:
        return "no evidence"
    if not isinstance(told, dict) or told.get("schema") != "zerocopy_lab evidence":
        return "no evidence"
    return "as written" if told["version"] == 1 else "outdated"


def hashes_the_text(text: str) -> str:
    said = believes_every_table(text)
    if said != "as written":
        return said
    told = json.loads(text)
    digest = told.pop("digest", "")
    is_right = digest == "sha256:" + hashlib.sha256(json.dumps(told).encode()).hexdigest()
    return "as written" if is_right else "changed"


HERE = ("00", "04", "05", "06", "09", "10", "14")

WRONG = [
    ("00.1", no_write, "How does a chunk get out again?"),
    ("00.1", no_last_chunk, "Look at the last bytes"),
    ("00.1", lambda _: "many", "Count the chunks first"),
    ("00.2", other_verdict, "round"),
    ("00.2", lambda _: "supported", "Answer with one of the words"),
    ("00.3", lambda _: by_ranges, "divide round by round"),
    ("00.3", lambda _: by_medians, "You answer"),
    ("00.3", lambda _: whichever_side, "by how much?"),
    ("00.3", lambda _: lambda pairs: "same", "It takes one of"),
    ("00.3", lambda _: "cheaper", "The answer is a function"),
    ("04.1", lambda _: sends_all_at_once, "moved"),
    ("04.1", lambda _: no_copies, "nobody copied"),
    ("04.1", lambda _: 7, "The answer is a function"),
    ("04.2", two_calls_one_copy, "A chunk is copied in and out"),
    ("04.2", lambda _: "4 KiB", "a number of bytes"),
    ("04.3", of_larger_chunks, "what larger chunks bring back"),
    ("04.3", largest_first, "put the smaller one first"),
    ("04.3", in_percent, "That is in percent"),
    ("04.3", in_milliseconds, "These are milliseconds"),
    ("04.3", lambda _: 0.3, "Answer with two shares"),
    ("04.3", lambda _: (0.1, "0.3"), "Both shares are numbers"),
    ("05.1", lambda _: copies, "but copied"),
    ("05.1", lambda _: forgets_the_position, "Wrong bytes"),
    ("05.1", lambda _: 7, "The answer is a function"),
    ("05.2", whole_gigabytes, "a little less than 2 GiB"),
    ("05.2", lambda _: 1, "Divide by what one call moved"),
    ("05.3", lambda _: {"append", "overwrite"}, "Not overwrite."),
    ("05.3", lambda _: {"append", "unlink", "truncate"}, "Not truncate."),
    ("05.3", lambda _: {"append"}, "Unlinking removes a name"),
    ("10.1", lambda _: lambda costs: 7, "Answer with one of the sizes, or -1"),
    ("10.2", lambda _: "much", "a number of percent"),
    ("10.3", lambda _: {"tls"}, "lab 09 switched something off"),
    ("09.1", lambda _: from_the_moon, "no station is called 'moon'"),
    ("09.2", lambda lab: 2 * busy_hour(lab).produced_gb, "That is the way in"),
    ("09.3", lambda _: {"scatter-gather"}, "leave every byte unread"),
    ("14.1", lambda _: by_the_best_verdict, "There are four judgements"),
    ("14.1", lambda _: counts_everybody, "which finding speaks?"),
    ("14.1", lambda _: skips_the_inconclusive, "which finding speaks?"),
    ("14.1", lambda _: "half right", "The answer is a function"),
    ("14.2", lambda _: believes_every_table, "hold it against the one told"),
    ("14.2", lambda _: hashes_the_text, "Spaces, lines and the order of keys"),
    ("14.2", lambda _: 1, "The answer is a function"),
    ("14.3", lambda _: {}, "more: look for columns"),
    ("14.3", lambda lab: dict.fromkeys(the_verdict_exercises.right_reasons(lab), "kernel"), "just"),
    ("14.3", lambda _: {"Z2 price": "moon"}, "is no fact of the table"),
    ("14.3", lambda _: {"moon": "kernel"}, "is no part of the table"),
    ("14.3", lambda _: ["Z2 price"], "Answer with a dict"),
    ("06.1", lambda _: {"kill -9": "lost", "power cut": "lost"}, "Whose memory"),
    ("06.1", lambda _: {"kill -9": "kept", "power cut": "kept"}, "without power"),
    ("06.1", lambda _: "kept", "Answer with a dict"),
    ("06.2", in_minutes, "right in minutes"),
    ("06.2", lambda _: 1, "written over once"),
    ("06.3", lambda _: "rchar", "sendfile adds to it"),
    ("06.3", lambda _: "Cached", "the whole machine's"),
    ("06.4", lambda _: 7, "The answer is a function"),
    ("06.4", lambda _: counts_all_reads, "does a page that is written"),
    ("06.4", lambda _: never_full, "which one goes when another comes?"),
    ("06.4", lambda _: first_in_first_out, "yours says"),
    ("06.4", lambda _: lambda room, touched: "many", "yours says 'many'"),
]


@pytest.mark.parametrize(("exercise_id", "answer", "hint"), WRONG)
def test_a_typical_wrong_answer_fails_with_its_hint(
    lab_of: LabOf, exercise_id: str, answer: Callable[[Lab], object], hint: str
) -> None:
    lab = lab_of(exercise_id[:2])
    grade, _ = grade_of(exercise_of(exercise_id), answer(lab), lab)
    assert grade.state is State.FAILED
    assert hint in grade.words


def test_every_exercise_has_a_wrong_answer_here() -> None:
    listed = {exercise for lab_id in HERE for exercise in labs()[lab_id].exercises}
    assert {exercise_id for exercise_id, _, _ in WRONG} == listed


@pytest.mark.parametrize("exercise_id", [e for entry in labs().values() for e in entry.exercises])
def test_the_stub_counts_as_not_attempted(lab_of: LabOf, exercise_id: str) -> None:
    lab = lab_of(exercise_id[:2])
    assert grade_of(exercise_of(exercise_id), None, lab)[0].state is State.NOT_ATTEMPTED


def test_a_function_that_returns_none_counts_as_not_attempted(lab_of: LabOf) -> None:
    assert grade_of(exercise_of("05.1"), stub, lab_of("05"))[0].state is State.NOT_ATTEMPTED


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("exercise_id", [e for here in HERE for e in labs()[here].exercises])
def test_the_solution_passes_whatever_the_seed(
    lab_of: Callable[[str, int], Lab], exercise_id: str, seed: int
) -> None:
    lab = lab_of(exercise_id[:2], seed)
    answers: list[object] = []
    namespace = {
        "os": os,
        "json": json,
        "hashlib": hashlib,
        "lab": lab,
        "lesson": lesson_of(exercise_id),
        "check": keep_answer(answers),
    }
    exec(solution_of(exercise_id), namespace)
    [answer] = answers
    grade, trace = grade_of(exercise_of(exercise_id), answer, lab)
    assert (grade.state, trace) == (State.PASSED, []), grade.words


def keep_answer(answers: list[object]) -> Callable[[str, object], None]:
    return lambda _, answer: answers.append(answer)


def lesson_of(exercise_id: str) -> Any:
    import importlib

    topic = labs()[exercise_id[:2]].name.partition("_")[2]
    return importlib.import_module(f"zerocopy_lab.lessons.lab{exercise_id[:2]}.{topic}")


def solution_of(exercise_id: str) -> str:
    """The source of the cell that answers the exercise in the solved notebook."""
    solved = nbformat.read(labs()[exercise_id[:2]].solution, as_version=4)
    [cell] = [cell for cell in solved.cells if cell.metadata.get(EXERCISE_KEY) == exercise_id]
    return str(cell.source)
