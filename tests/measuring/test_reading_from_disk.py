"""Past the page cache, through it and out of it: what is exact about each."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.instruments.page_residency import page_counts
from zerocopy_lab.measuring.reading_from_disk import COLD, PAST, WARM, WAYS, compare_ways, read_file
from zerocopy_lab.measuring.stopwatch import Stopwatch


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "read"
    path.write_bytes(os.urandom(4 << 20))
    try:
        os.close(os.open(path, os.O_DIRECT))
    except OSError as reason:
        pytest.skip(f"{tmp_path} has no disk below it: {reason}")
    put_out_of_memory(path)
    return path


@pytest.mark.parametrize("way", WAYS)
def test_the_whole_file_is_read(way: str, file: Path) -> None:
    assert read_file(Stopwatch(), way, str(file))["read_bytes"] == 4 << 20


@pytest.mark.parametrize(("way", "is_cached"), [(PAST, False), (COLD, True), (WARM, True)])
def test_what_it_leaves_in_the_page_cache(way: str, is_cached: bool, file: Path) -> None:
    read_file(Stopwatch(), way, str(file))
    counts = page_counts(file)
    assert counts.resident == (counts.total if is_cached else 0)


def test_a_disk_that_moves_bytes_by_itself_interrupts(file: Path) -> None:
    figures = read_file(Stopwatch(), PAST, str(file))
    if "interrupts" not in figures:
        pytest.skip("not testable on this kernel: it does not tell the disk's interrupts")
    assert figures["interrupts"] > 0


def test_all_ways_take_turns(file: Path) -> None:
    outcome = compare_ways(file, repeats=1, seed=1)
    assert {tuple(outcome.values(way, "read_bytes")) for way in WAYS} == {(4 << 20,)}
