"""What is handed out: stubs that are stubs, links that lead somewhere, the same bytes each time."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import nbformat
import pytest

from zerocopy_lab.__main__ import main
from zerocopy_lab.classroom import manifest
from zerocopy_lab.classroom.manifest import LabEntry, lab_entry, labs
from zerocopy_lab.publishing.editions import (
    NotReleased,
    instructor_edition,
    student_edition,
    whole_copy,
    write,
)
from zerocopy_lab.publishing.exercise_cells import (
    NotAStub,
    own_statements,
    require_stub,
    taken_apart,
)
from zerocopy_lab.publishing.headless import read_notebook
from zerocopy_lab.publishing.slides import slides_of
from zerocopy_lab.publishing.teaching_notes import notes_on
from zerocopy_lab.publishing.tidy import EXERCISE_KEY, answers_of

ENTRIES = [pytest.param(entry, id=entry.name) for entry in labs().values()]
TWO = [lab_entry("02"), lab_entry("05")]
LINK = re.compile(r"\]\((?!https?:)([^)#\s]+)\)")


def cell_with(source: str, **more: Any) -> Any:
    cell = nbformat.v4.new_code_cell(source, metadata={EXERCISE_KEY: "09.9"})
    cell.update(more)
    return cell


@pytest.mark.parametrize("entry", ENTRIES)
def test_the_stubs_are_stubs_and_the_solutions_are_none(entry: LabEntry) -> None:
    unsolved, solved = read_notebook(entry.notebook), read_notebook(entry.solution)
    answered = {c.metadata[EXERCISE_KEY]: c for c in solved.cells if EXERCISE_KEY in c.metadata}
    assert set(answered) == set(entry.exercises)
    for cell in unsolved.cells:
        if EXERCISE_KEY not in cell.metadata:
            continue
        require_stub(cell)
        exercise_id = cell.metadata[EXERCISE_KEY]
        solution = answered[exercise_id]
        solution.outputs, solution.execution_count = [], None
        with pytest.raises(NotAStub, match="is not a stub"):
            require_stub(solution)
        pieces = [taken_apart(exercise_id, each.source) for each in (cell, solution)]
        assert own_statements(*pieces) in solution.source


@pytest.mark.parametrize(
    "stub",
    [
        "answer = None\ncheck('09.9', answer)",
        "answer = 5\nanswer = None\nstate = check('09.9', answer)\nif state: keep('x', answer)",
        "def f(a):\n    'words'\n    return None  # yours\n\n\ncheck('09.9', f);",
        "def f(a):\n    ...\n\n\ncheck('09.9', f)",
        "def f(a):\n    pass\n\n\ncheck('09.9', f)",
    ],
)
def test_what_a_stub_may_look_like(stub: str) -> None:
    require_stub(cell_with(stub))


@pytest.mark.parametrize(
    ("no_stub", "says"),
    [
        ("answer = None or 7\ncheck('09.9', answer)", "is not a stub"),
        ("answer = None\nanswer = 7\ncheck('09.9', answer)", "is not a stub"),
        ("answer = None\nif True:\n    answer = 7\ncheck('09.9', answer)", "is not a stub"),
        ("def f(a):\n    return a\n\n\ncheck('09.9', f)", "is not a stub"),
        ("def f(a):\n    a.append(1)\n    return None\n\n\ncheck('09.9', f)", "is not a stub"),
        ("f = lambda: None\ncheck('09.9', f)", "is not a stub"),
        ("check('09.9', answer)", "is not a stub"),
        ("answer = None\ncheck('09.8', answer)", "no check"),
        ("answer = None\ncheck('09.9', 7)", "no check"),
    ],
)
def test_what_is_no_stub_is_not_handed_out(no_stub: str, says: str) -> None:
    with pytest.raises(NotAStub, match=says):
        require_stub(cell_with(no_stub))


def test_the_output_of_a_run_is_not_handed_out() -> None:
    stub = "answer = None\ncheck('09.9', answer)"
    with pytest.raises(NotAStub, match="output of a run"):
        require_stub(cell_with(stub, outputs=[nbformat.v4.new_output("stream", text="7")]))
    with pytest.raises(NotAStub, match="output of a run"):
        require_stub(cell_with(stub, execution_count=3))


def test_a_lab_that_arrives_solved_is_not_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entry = lab_entry("05")
    shutil.copy(entry.solution, tmp_path / entry.notebook.name)
    monkeypatch.setattr(manifest, "LABS_DIR", tmp_path)
    release = ["labs", "release", "--only", "5", "--student", str(tmp_path / "out")]
    assert main(release) == 2
    assert "exercise 05.1" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("edition", [student_edition, instructor_edition])
@pytest.mark.parametrize("chosen", [TWO, [*labs().values()]], ids=["two", "all"])
def test_links_stay_within_the_edition(edition: Any, chosen: list[LabEntry]) -> None:
    files = edition(chosen)
    assert {f"labs/{entry.name}.ipynb" for entry in chosen} <= set(files)
    for name in files:
        if not name.endswith(".ipynb"):
            continue
        for cell in nbformat.reads(files[name], 4).cells:
            if cell.cell_type == "markdown":
                for target in LINK.findall(cell.source):
                    path = (Path("/") / name).parent / target
                    assert str(path.resolve())[1:] in files, f"{name}, {cell.id}: {target}"


def test_the_same_labs_give_the_same_bytes() -> None:
    for edition in (student_edition, instructor_edition):
        assert edition(TWO) == edition(TWO)


def test_students_get_no_outputs_and_no_way_to_the_solutions() -> None:
    files = student_edition([*labs().values()])
    assert not any("solution" in name for name in files)
    for entry in labs().values():
        text = files[f"labs/{entry.name}.ipynb"]
        assert "solutions/" not in text
        for cell in nbformat.reads(text, 4).cells:
            assert not cell.get("outputs")


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_teacher_finds_notes_on_the_lab_and_on_each_exercise(entry: LabEntry) -> None:
    notes = notes_on(entry)
    assert set(notes.exercises) == set(entry.exercises)
    minutes = re.search(r"\*\*Minutes\.\*\* (.*)", notes.text)
    assert minutes is not None
    assert sum(map(int, re.findall(r"\d+", minutes[1]))) == entry.minutes
    for heading in ("**For.**", "**Students get wrong**", "**Ask.**", "**Break it.**"):
        assert heading in notes.text


def test_the_notes_stand_where_they_are_needed_and_the_labs_are_executed() -> None:
    [entry] = chosen = [lab_entry("05")]
    notebook = nbformat.reads(instructor_edition(chosen)[f"labs/{entry.name}.ipynb"], 4)
    answers = answers_of(read_notebook(entry.solution))
    before = [None, *notebook.cells]
    for previous, cell in zip(before, notebook.cells, strict=False):
        if exercise_id := cell.metadata.get(EXERCISE_KEY):
            assert previous.source.startswith(f"> **For whoever teaches, {exercise_id}:**")
            assert cell.source == answers[exercise_id]
            assert cell.outputs
    assert notebook.cells[1].source.startswith("## For whoever teaches")


def test_nothing_that_is_there_is_overwritten(tmp_path: Path) -> None:
    write({"a/b.md": "one", "c.md": "two"}, tmp_path)
    write({"a/b.md": "one", "c.md": "two"}, tmp_path)
    (tmp_path / "c.md").write_text("mine")
    with pytest.raises(NotReleased, match=r"c\.md"):
        write({"new.md": "three", "c.md": "two"}, tmp_path)
    assert (tmp_path / "c.md").read_text() == "mine"
    assert not (tmp_path / "new.md").exists()


def test_release_makes_the_editions_that_were_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    students, teachers = tmp_path / "students", tmp_path / "teachers"
    words = ["labs", "release", "--student", str(students), "--instructor", str(teachers)]
    assert main([*words, "--only", "02, 5"]) == 0
    assert sorted(p.stem for p in students.glob("labs/*.ipynb")) == [e.name for e in TWO]
    assert (teachers / "docs" / "teaching.md").exists()
    assert main([*words, "--only", "99"]) == 2
    assert main(["labs", "release"]) == 2
    assert "say which" in capsys.readouterr().err


def test_a_copy_leaves_what_somebody_has_worked_on(tmp_path: Path) -> None:
    assert main(["labs", "copy", str(tmp_path)]) == 0
    mine = tmp_path / "labs" / "05_zero_copy.ipynb"
    mine.write_text("mine")
    (tmp_path / "labs" / "00_start_here.ipynb").unlink()
    assert main(["labs", "copy", str(tmp_path)]) == 0
    assert mine.read_text() == "mine"
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")} == set(whole_copy())


def test_slides_hold_the_pictures_and_no_answers(tmp_path: Path) -> None:
    entry = lab_entry("05")
    assert main(["labs", "slides", str(tmp_path), "5"]) == 0
    page = (tmp_path / f"{entry.name}.slides.html").read_text(encoding="utf-8")
    pictures = re.findall(r"<img [^>]*data:image/png;base64,[^>]*>", page)
    assert len(pictures) == len(entry.pictures)
    assert all(re.search(r'alt="[^"]{40,}', picture) for picture in pictures)
    assert "os.sendfile" in page
    assert page.count('class="fragment"') > len(pictures), "an outcome comes with the next key"
    assert "left_bytes" not in page, "that is the answer of 05.1"
    assert "Students get wrong" in page, "the speaker's notes"
    assert 'href="there/dist/reveal.css"' in slides_of(entry, reveal="there")
