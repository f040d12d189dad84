from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tests.commands.test_doctor import run_in
from tests.out_of_memory import put_out_of_memory
from zerocopy_lab.__main__ import main
from zerocopy_lab.commands.residency import map_lines
from zerocopy_lab.instruments.page_residency import PageMap, why_no_cachestat

PAGE = 4096


@pytest.fixture
def log(open_path: Path) -> Path:
    """A partition's directory: a segment that is out of memory but for two pages, and an index."""
    directory = open_path / "flights-0"
    directory.mkdir()
    segment = directory / f"{0:020}.log"
    segment.write_bytes(os.urandom(200 * PAGE))
    (directory / f"{0:020}.index").write_bytes(bytes(8))
    put_out_of_memory(segment)
    with open(segment, "rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
        for page in (0, 70):
            assert os.pread(file.fileno(), 1, page * PAGE)
    return directory


def test_a_line_per_file_and_their_sum(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["residency", str(log.parent)]) == 0
    lines = capsys.readouterr().out.splitlines()
    by_file = {line.split("  ")[-1]: line.split() for line in lines}
    assert by_file[f"flights-0/{0:020}.log"][:3] == ["200", "2", "1%"]
    assert by_file[f"flights-0/{0:020}.index"][:3] == ["1", "1", "100%"]
    total = next(line.split() for line in lines if "together" in line)
    assert total[:2] == ["201", "3"]


def test_the_map_shows_every_page(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["residency", "--map", str(log / f"{0:020}.log")]) == 0
    *_, first, second, third, last = capsys.readouterr().out.splitlines()
    assert first.split() == ["0", "#" + "." * 63]
    assert second.split() == [f"{64 * PAGE:,}", "." * 6 + "#" + "." * 57]
    assert third.split() == [f"{128 * PAGE:,}", "." * 64]
    assert last.split() == [f"{192 * PAGE:,}", "." * 8]


def test_repeated_lines_are_told_once() -> None:
    pages = PageMap(PAGE, 300 * PAGE, b"\1" * 256 + b"\0" * 44, b"\0" * 299 + b"\1", "cachestat")
    assert [line.split() for line in map_lines(pages)] == [
        ["0", "#" * 64], ["*"], [f"{256 * PAGE:,}", "." * 43 + "D"],
    ]  # fmt: skip


def test_as_json(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["residency", "--json", "--map", str(log)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    segment = next(row for row in rows if row["file"].endswith(".log"))
    assert (segment["total"], segment["resident"]) == (200, 2)
    assert [at for at, sign in enumerate(segment["map"]) if sign == "#"] == [0, 70]


def test_dirty_pages_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if reason := why_no_cachestat():
        pytest.skip(reason)
    (tmp_path / "fresh").write_bytes(bytes(3 * PAGE))
    assert main(["residency", "--json", "--map", str(tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)["map"] in ("DDD", "###")  # or written back already


def test_nothing_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["residency", str(tmp_path / "none")]) == 2
    assert "there is no" in capsys.readouterr().err


def test_without_cachestat_dirty_is_unknown_and_the_rest_is_true(log: Path) -> None:
    done = run_in("cachestat", log, "residency", "--json", str(log / f"{0:020}.log"))
    row = json.loads(done.stdout)
    assert (row["resident"], row["dirty"], row["meter"]) == (2, None, "mincore")
    table = run_in("cachestat", log, "residency", str(log))
    assert table.returncode == 0
    assert "?" in table.stdout


def test_elsewhere_a_question_mark_and_a_reason(log: Path) -> None:
    done = run_in("linux", log, "residency", str(log))
    assert done.returncode == 1
    assert done.stdout.count("?") >= 2 * 5
    assert "Linux only" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give it up")
def test_of_other_peoples_files_an_ordinary_user_learns_why_not(log: Path) -> None:
    done = run_in("root,cachestat", log, "residency", str(log / f"{0:020}.log"))
    assert done.returncode == 1
    assert "another user" in done.stderr
    assert done.stdout.count("?") == 5
