"""`python -m zerocopy_lab labs`: what it prints, what it answers to the shell."""

from __future__ import annotations

from pathlib import Path

import pytest

from zerocopy_lab.__main__ import main
from zerocopy_lab.classroom.manifest import LabEntry, labs
from zerocopy_lab.publishing import headless
from zerocopy_lab.publishing.headless import LabRun


def test_list_names_every_lab(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labs", "list"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line[:2] for line in printed] == list(labs())


def test_an_unknown_lab_is_answered_with_the_ones_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["labs", "run", "99"]) == 2
    assert "no lab '99'; there are 00_start_here" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("problems", "skipped", "code", "said"),
    [
        ((), None, 0, "all right, 1.5 s"),
        (("picture 'map' is missing",), None, 1, "picture 'map' is missing"),
        ((), "lab 05 runs on linux; this is plan9", 0, "skipped: lab 05 runs on linux"),
    ],
)
def test_the_exit_code_says_whether_all_went_well(
    problems: tuple[str, ...],
    skipped: str | None,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def ran(
        entry: LabEntry, out_dir: Path, *, fast: bool, seed: int, broker: str, student: str
    ) -> LabRun:
        assert (entry.id, fast, seed, broker, student) == ("05", True, 3, "zerocopy_lab", "")
        return LabRun(entry, 1.5, problems, skipped, out_dir / entry.name)

    monkeypatch.setattr(headless, "run_lab", ran)
    out = tmp_path / "results"
    assert main(["labs", "run", "--fast", "--seed", "3", "--out", str(out), "5"]) == code
    printed = capsys.readouterr().out
    assert said in printed
    assert f"report: {out / 'report.html'}" in printed
    assert (out / "report.html").exists()


def test_progress_is_looked_for_where_notebooks_leave_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept, inside = tmp_path / "copy" / "out" / "parts", tmp_path / "copy" / "labs"
    for directory in (kept, inside):
        directory.mkdir(parents=True)
    (inside / "labs.toml").touch()
    (kept / "stamp.py").write_text("def stamp(): ...")
    for place, found in ((inside, True), (tmp_path / "copy", True), (tmp_path, False)):
        monkeypatch.chdir(place)
        assert main(["labs", "progress"]) == 0
        assert ("built no part yet" not in capsys.readouterr().out) is found
