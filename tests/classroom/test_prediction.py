"""A guess commits, a result stays folded until then, and only what was measured is explained."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest

from tests.classroom.conftest import LabMaker
from zerocopy_lab.classroom import prediction as module
from zerocopy_lab.classroom.notebook_output import box, box_markup
from zerocopy_lab.classroom.prediction import Seen, predict

QUESTION = "Old or new?"
CHOICES = {"old": "somebody copied.", "new": "nobody copied."}


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What goes to the notebook: dictionaries of HTML and text, or widgets."""
    taken: list[Any] = []

    class Handle:
        def update(self, bundle: Any, **_: object) -> None:
            taken.append(bundle)

    def display(what: Any, **_: object) -> Handle:
        taken.append(what)
        return Handle()

    monkeypatch.setattr(module, "display", display)
    monkeypatch.setattr(module, "show_controls", taken.append)
    return taken


def test_headless_nothing_is_folded_and_the_outcome_is_kept(
    start: LabMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = start(headless=True)
    asked = predict(QUESTION, CHOICES)
    with asked.fold():
        box("plain", "the picture", [])
    assert asked.compare(2) is None
    told = capsys.readouterr().out
    assert "the picture" in told
    assert "Measured here: new" in told
    assert "nobody copied." in told
    assert "somebody copied." not in told, "an explanation that was refused is not printed"
    assert lab.predictions[QUESTION] == {"guess": "", "measured": "new", "how": "Measured here"}


@pytest.mark.parametrize(("guess", "right"), [(2, True), ("new", True), (1, False)])
def test_a_guess_is_compared(start: LabMaker, guess: object, right: bool) -> None:
    start()
    assert predict(QUESTION, CHOICES, guess).compare("new", how=Seen.CITED) is right  # type: ignore[arg-type]


@pytest.mark.parametrize("slip", [0, 3, True, "neither", 1.0])
def test_a_slip_of_the_pen_counts_as_none(start: LabMaker, slip: object) -> None:
    start()
    assert predict(QUESTION, CHOICES, slip).guess is None  # type: ignore[arg-type]


def test_an_outcome_that_is_no_choice_is_a_mistake_of_the_lab(start: LabMaker) -> None:
    start()
    for outcome in ("neither", 3, 0):
        with pytest.raises(ValueError, match="is no answer to"):
            predict(QUESTION, CHOICES).compare(outcome)


def test_what_a_machine_cannot_tell_is_said(
    start: LabMaker, capsys: pytest.CaptureFixture[str]
) -> None:
    start()
    assert predict(QUESTION, CHOICES, 1).compare(None, "there is no disk.") is None
    assert "there is no disk." in capsys.readouterr().out


def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a notebook, with the boxes that are shown captured."""
    from IPython.utils.capture import RichOutput

    class Shown:
        stdout = "printed"
        outputs: ClassVar[list[Any]] = []

    @contextmanager
    def capture(**_: object) -> Iterator[type[Shown]]:
        Shown.outputs = []
        yield Shown

    def captured_box(*told: Any) -> None:
        Shown.outputs.append(RichOutput(data={"text/html": box_markup(*told)}))

    monkeypatch.setattr(module, "nobody_is_watching", lambda: False)
    monkeypatch.setattr(module, "capture_output", capture)
    monkeypatch.setattr(module, "box", captured_box)


def test_without_a_guess_a_result_is_folded_and_opens_with_it(
    start: LabMaker, monkeypatch: pytest.MonkeyPatch, shown: list[Any]
) -> None:
    lab = start(headless=False)
    watched(monkeypatch)
    asked = predict(QUESTION, CHOICES)
    with asked.fold():
        asked.compare("new")
    folded = shown[-1]["text/html"]
    assert folded.startswith("<details>"), "not open"
    assert "Show me" in folded
    assert "Measured here: new" in folded
    assert "Measured here" not in shown[-1]["text/plain"]
    asked.commit("old")
    opened = shown[-1]["text/html"]
    assert "<details" not in opened
    for said in ("Not as predicted", "Your prediction: old", "Measured here: new", "printed"):
        assert said in opened
    assert "You did not predict" not in opened
    asked.commit("new")
    assert lab.predictions[QUESTION]["guess"] == "old", "only the first counts"


def test_a_guess_outlives_the_kernel(
    start: LabMaker, monkeypatch: pytest.MonkeyPatch, shown: list[Any]
) -> None:
    start(headless=False)
    predict(QUESTION, CHOICES, 1)
    assert predict(QUESTION, CHOICES).guess == "old"


def test_a_guess_in_the_call_opens_what_was_folded_before(
    start: LabMaker, monkeypatch: pytest.MonkeyPatch, shown: list[Any]
) -> None:
    start(headless=False)
    watched(monkeypatch)
    predict(QUESTION, CHOICES).compare("new")
    predict(QUESTION, CHOICES, 2)
    told = [each["text/html"] for each in shown if isinstance(each, dict)]
    assert any("As you predicted" in each for each in told)


def test_what_tells_of_several_questions_waits_for_all_of_them(
    start: LabMaker, monkeypatch: pytest.MonkeyPatch, shown: list[Any]
) -> None:
    start(headless=False)
    watched(monkeypatch)
    one, other = predict(QUESTION, CHOICES), predict("And then?", CHOICES)
    with module.until_all_guessed():
        module.box("plain", "the verdicts", [])  # type: ignore[attr-defined]
    before = len(shown)
    one.commit("old")
    assert len(shown) == before
    other.commit("old")
    assert "<details" not in shown[-1]["text/html"]
    assert "the verdicts" in shown[-1]["text/html"]
    assert module.all_guessed()
