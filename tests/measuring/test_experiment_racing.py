from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from zerocopy_lab.measuring.racing import (
    COURSES,
    LINE_UP,
    Course,
    Entry,
    Expectation,
    expectations,
    file_to_send,
    judge,
    race,
    send_file,
    why_not,
)
from zerocopy_lab.measuring.stopwatch import Stopwatch
from zerocopy_lab.transfer import strategies

ODD_BYTES = 1_000_001


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    with file_to_send(tmp_path, ODD_BYTES) as made:
        yield made


@pytest.mark.parametrize("course", COURSES, ids=lambda course: course.label)
@pytest.mark.parametrize("strategy", list(strategies()))
def test_every_strategy_can_race_on_every_course_it_can_run_on(
    strategy: str, course: Course, path: Path
) -> None:
    if why_not(Entry(strategy, None), course):
        with pytest.raises((ValueError, OSError)):
            send_file(Stopwatch(), strategy, None, *course, str(path))
        return
    stopwatch = Stopwatch()
    figures = send_file(stopwatch, strategy, None, *course, str(path))
    assert 0 < figures["sender_cpu_s_per_gib"] <= figures["total_cpu_s_per_gib"]
    assert stopwatch.figures["receiver_cpu_s"] > 0


def test_the_line_up_has_its_theory() -> None:
    found = {(e.cheaper.label, e.dearer.label) for e in expectations(LINE_UP)}
    assert ("sendfile 64 KiB", "read_then_send 64 KiB") in found
    assert ("sendfile at once", "sendfile 64 KiB") in found
    assert ("sendfile at once", "sendfile 4 KiB") not in found, "neighbours in size only"
    assert ("mmap_then_send 1 MiB", "read_then_send 1 MiB") in found
    assert ("splice_through_pipe 1 MiB", "mmap_then_send 1 MiB") in found
    assert not [pair for pair in found if pair[::-1] in found]
    assert ("sendfile at once", "read_then_send 64 KiB") not in found, "two things differ"
    assert not [pair for pair in found if "zerocopy" in "".join(pair)]


def test_a_race_is_an_experiment_with_its_conditions_noted(path: Path) -> None:
    entries = [Entry("sendfile", None), Entry("read_then_send", 512)]
    outcome = race(Course("tcp", "touching"), entries, path, repeats=1)
    assert list(outcome.contestants) == ["sendfile at once", "read_then_send 512 B"]
    assert outcome.notes[0].startswith("congestion control: ")
    verdict, found = judge(Expectation(entries[0], entries[1], "fewer calls"), outcome)
    assert verdict == "inconclusive", "one round decides nothing"
    assert "too few" in found.why


def test_every_entry_of_the_line_up_has_a_reason_where_it_cannot_run() -> None:
    unix = Course("unix", "dropping")
    assert all("unix socket copies" in str(why_not(entry, unix)) for entry in LINE_UP[:3])
    zerocopy = Entry("send_with_msg_zerocopy", None)
    assert why_not(zerocopy, Course("unix", "touching")) is not None


def test_a_label_tells_the_default_chunk() -> None:
    labels = [Entry(name, None).label for name in ("read_then_send", "mmap_then_send", "sendfile")]
    assert labels == ["read_then_send 64 KiB", "mmap_then_send 1 MiB", "sendfile at once"]


def test_the_file_is_as_long_as_asked_and_goes_away(tmp_path: Path) -> None:
    with file_to_send(tmp_path, ODD_BYTES) as made:
        assert made.stat().st_size == ODD_BYTES
    assert not list(tmp_path.iterdir())
