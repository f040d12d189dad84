"""The judge of `ci/torture` is judged first: each way of losing a record must be noticed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ci.torture.ledger import Item, Ledger, Wrong
from zerocopy_lab.records.record import Record

ROOT = Path(__file__).resolve().parents[2]


def record(offset: int, number: int, key: bytes | None = None, writer: str = "w") -> Record:
    return Record(offset, 0, key, b"", (("id", f"{writer}:{number}".encode()),))


def item(number: int, key: bytes | None = None, writer: str = "w") -> Item:
    return Item(writer, number, key)


def ledger(*, may_begin_late: bool = False, may_have_gaps: bool = False) -> Ledger:
    """Two acknowledged records, another one that was read, and two more acknowledged since."""
    made = Ledger("t", may_begin_late=may_begin_late, may_have_gaps=may_have_gaps)
    made.acknowledge(0, [item(0, b"a"), item(1, b"b")])
    made.check([record(0, 0, b"a"), record(1, 1, b"b"), record(2, 2, b"c")], 0, 3)
    made.acknowledge(3, [item(3, b"b"), item(4, b"d")])
    return made


WHOLE = [record(offset, offset, key) for offset, key in enumerate([b"a", b"b", b"c", b"b", b"d"])]


def test_all_there() -> None:
    made = ledger()
    made.check(WHOLE, 0, 5)
    made.check([*WHOLE, record(5, 0, writer="x")], 0, 6)
    assert (made.acknowledged, made.seen_end) == (4, 6)


@pytest.mark.parametrize(
    ("records", "log_start", "end", "message"),
    [
        (WHOLE[:4], 0, 4, "ends at 4; 4 was acknowledged"),
        (WHOLE[:2] + WHOLE[3:], 0, 5, r"between 0 and 5 are missing \[2\]"),
        (WHOLE[1:], 1, 5, "nothing was to be deleted"),
        ([*WHOLE[:3], record(3, 4, b"d"), record(4, 3, b"b")], 0, 5, "was at offset 3, now"),
        ([*WHOLE[:4], record(4, 4, b"other key")], 0, 5, "was at offset 4, now"),
        ([*WHOLE, record(5, 4, b"d")], 0, 6, "at 5 comes after number 4"),
        ([*WHOLE, record(5, 6), record(6, 5)], 0, 7, "at 6 comes after number 6"),
        ([WHOLE[1], WHOLE[0], *WHOLE[2:]], 0, 5, "offsets go back"),
        ([*WHOLE, Record(5, 0, None, b"")], 0, 6, "has no identity"),
    ],
    ids=["lost end", "lost", "start", "swapped", "changed", "twice", "order", "back", "stranger"],
)
def test_what_must_not_be(records: list[Record], log_start: int, end: int, message: str) -> None:
    with pytest.raises(Wrong, match=message):
        ledger().check(records, log_start, end)


def test_what_was_only_read_must_stay_as_well() -> None:
    made = Ledger("t", may_begin_late=False, may_have_gaps=False)
    made.check([record(0, 0)], 0, 1)
    with pytest.raises(Wrong, match="ends at 0"):
        made.check([], 0, 0)


def test_another_acknowledgement_for_the_same_offset() -> None:
    with pytest.raises(Wrong, match="acknowledged at 3"):
        ledger().acknowledge(3, [item(9)])


def test_retention_may_take_the_beginning_only() -> None:
    ledger(may_begin_late=True).check(WHOLE[2:], 2, 5)
    with pytest.raises(Wrong, match="are missing"):
        ledger(may_begin_late=True).check([WHOLE[2], WHOLE[4]], 2, 5)


def test_compaction_may_take_what_was_replaced_only() -> None:
    ledger(may_have_gaps=True).check([WHOLE[0], *WHOLE[2:]], 0, 5)
    with pytest.raises(Wrong, match="was at offset 2, now there is None"):
        ledger(may_have_gaps=True).check(WHOLE[:2] + WHOLE[3:], 0, 5)
    with pytest.raises(Wrong, match="was at offset 3, now there is None"):
        ledger(may_have_gaps=True).check(WHOLE[:3] + WHOLE[4:], 0, 5)


@pytest.mark.slow
def test_some_kills_and_faults() -> None:
    """The full thousands are `python -m ci.torture`."""
    command = [sys.executable, "-m", "ci.torture", "--kills", "12", "--faults", "8", "--seed", "3"]
    done = subprocess.run(
        [*command, "--jobs", "1"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "12  kills\n" in done.stdout
    assert re.search(r"kills at a chosen file operation", done.stdout)
    assert re.search(r" [89]  faults\n| 1\d  faults\n", done.stdout), done.stdout
