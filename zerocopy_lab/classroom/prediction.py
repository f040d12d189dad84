"""Predict first, measure then, compare at last; and who has not guessed is not told.

    what_arrives = predict(
        "The file is overwritten, and only then does the consumer read. What does it get?",
        {
            "the old bytes": "sendfile copied them before it returned.",
            "the new bytes": "The socket holds the page itself: nobody copied.",
        },
    )
    with what_arrives.fold():
        ... pictures and tables that give it away ...
        what_arrives.compare("the new bytes")

The choices stand in the cell, each with what it would mean if it were so: of these reasons the one
is printed that belongs to what was measured, and no other. Where somebody is watching, a button for
each choice commits (or `guess=2` in the call). Until then whatever is shown inside `fold()` is
folded, with Run All too, and opens by itself with the guess; "show me" opens it without one.
Folding is plain HTML, so it also works in a saved notebook that is opened again, where nothing
runs. Whatever else tells how it came out (the pictures of a sweep, the conclusion) waits in the
same way until all questions asked so far have a guess: `until_all_guessed`. A guess outlives the
kernel: it is kept in the lab's evidence, and the first is the one that counts. Headless,
nothing is folded.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from typing import Any

from IPython.utils.capture import capture_output

from zerocopy_lab.classroom import evidence_file
from zerocopy_lab.classroom.evidence_file import evidence_of
from zerocopy_lab.classroom.lab import Lab, nobody_is_watching, running_lab
from zerocopy_lab.classroom.notebook_output import box, box_markup, display, show_controls


class Seen(StrEnum):
    """Where the outcome beside a guess comes from."""

    MEASURED = "Measured here"
    COMPUTED = "Computed"
    CITED = "Cited"
    OWN_WORDS = evidence_file.OWN_WORDS


class Prediction:
    """A question, its choices with what each would mean, and the learner's guess, if there is one.

    Made by `predict`.
    """

    def __init__(
        self, question: str, choices: Mapping[str, str], guess: str | None, lab: Lab
    ) -> None:
        self.question = question
        self.choices = tuple(choices)
        self.guess = guess
        self._meaning = choices
        self.lab = lab
        self._because = ""
        self._folded: list[_Folded] = []
        self._outcome: tuple[str, Seen] | None = None
        self._told_unguessed = ""

    def commit(self, choice: str) -> None:
        """The learner's guess, by a button; opens what was folded. Only the first counts."""
        if self.guess is not None:
            return
        self.guess = choice
        self._keep()
        for folded in self._folded:
            if self._told_unguessed:
                told = box_markup(*self._told())
                folded.content = folded.content.replace(self._told_unguessed, told)
            folded.open_if_all_guessed()

    def fold(self) -> AbstractContextManager[None]:
        """Keeps folded, until there is a guess, what is shown inside. No widgets in here."""
        return _folded_until([self])

    def waits_for(self, folded: _Folded) -> None:
        """For what is folded: to be told of the guess."""
        self._folded.append(folded)

    def compare(
        self, measured: str | int | None, because: str = "", how: Seen = Seen.MEASURED
    ) -> bool | None:
        """Guess and outcome side by side, and what the outcome means; None without a guess.

        `measured` is one of the choices or its number from 1 on (ValueError otherwise: the lab and
        its question disagree), or None where this machine could not tell; `because` then says
        why, and otherwise adds to the meaning of the choice.
        """
        outcome = self._choice_of(measured)
        self._because = because
        self._outcome = None if outcome is None else (outcome, how)
        self._keep()
        told = self._told()
        if self.guess is None:
            self._told_unguessed = box_markup(*told)
        with self.fold():
            box(*told)
        return None if self.guess is None or outcome is None else self.guess == outcome

    def _told(self) -> tuple[str, str, list[str]]:
        """The box of the comparison: tone, label, lines."""
        guessed = [] if self.guess is None else [f"Your prediction: {self.guess}"]
        more = [self._because] if self._because else []
        if self._outcome is None:
            return "plain", "This machine does not tell", [self.question, *guessed, *more]
        outcome, how = self._outcome
        right = None if self.guess is None else self.guess == outcome
        label = {None: "You did not predict", True: "As you predicted", False: "Not as predicted"}
        tone = {None: "plain", True: "good", False: "unsure"}[right]
        meaning = [self._meaning[outcome]] if self._meaning[outcome] else []
        said = [self.question, *guessed, f"{how}: {outcome}", *meaning, *more]
        return tone, label[right], said

    def _choice_of(self, measured: str | int | None) -> str | None:
        if measured is None:
            return None
        if isinstance(measured, int) and 1 <= measured <= len(self.choices):
            return self.choices[measured - 1]
        if measured not in self.choices:
            raise ValueError(f"{measured!r} is no answer to {self.question!r}: {self.choices}")
        return str(measured)

    def _keep(self) -> None:
        outcome, how = self._outcome or ("", "")
        self.lab.record_prediction(self.question, self.guess or "", outcome, str(how))


def predict(
    question: str,
    choices: Mapping[str, str],
    guess: str | int | None = None,
) -> Prediction:
    """Asks for a prediction. `choices` maps each choice to what it would mean if it were so;
    `guess` is one of them, its number from 1 on, or None.

    Never raises for a guess: a slip of the pen is answered in words and counts as none.
    """
    lab = running_lab()
    names = tuple(choices)
    taken = _choice(guess, names) or _guessed_before(lab, question, names)
    if taken is not None and question in _asked:  # asked before, and waited for
        _asked[question].commit(taken)
    prediction = _asked[question] = Prediction(question, choices, taken, lab)
    numbered = [f"{number}. {choice}" for number, choice in enumerate(names, 1)]
    if taken is not None:
        prediction._keep()
        box("question", "Your prediction is noted", [question, taken])
    elif guess is not None:
        box("unsure", f"{guess!r} is not one of the choices", [question, *numbered, _HOW])
    elif lab.headless:
        box("question", "Predict before you go on", [question, *numbered, _HOW])
    else:
        box("question", "Predict before you go on", [question, *numbered, _HOW])
        show_controls(_buttons(prediction))
    return prediction


_HOW = "Press a button, or put guess= and the number of your choice into the call above and run it."


def _choice(guess: object, choices: Sequence[str]) -> str | None:
    if type(guess) is int and 1 <= guess <= len(choices):
        return choices[guess - 1]
    return guess if isinstance(guess, str) and guess in choices else None


def _guessed_before(lab: Lab, question: str, choices: Sequence[str]) -> str | None:
    """The guess of an earlier kernel; headless runs have no memory."""
    if lab.headless:
        return None
    kept = evidence_of(lab.out_root, lab.entry).get("predictions", {}).get(question, {})
    return _choice(kept.get("guess"), choices)


def _buttons(prediction: Prediction) -> Any:
    import ipywidgets

    buttons = [
        ipywidgets.Button(
            description=f"{number}. {choice}", tooltip=choice, layout={"width": "auto"}
        )
        for number, choice in enumerate(prediction.choices, 1)
    ]
    said = ipywidgets.HTML()

    def commit(choice: str) -> None:
        prediction.commit(choice)
        for button in buttons:
            button.disabled = True
        said.value = f"Your prediction is noted: <b>{html.escape(prediction.guess or '')}</b>"

    for button, choice in zip(buttons, prediction.choices, strict=True):
        button.on_click(lambda _, choice=choice: commit(choice))
    row = ipywidgets.HBox(buttons, layout={"flex_flow": "row wrap"})
    return ipywidgets.VBox([row, said])


_asked: dict[str, Prediction] = {}
"""The questions that this kernel's lab has asked so far."""


def all_guessed() -> bool:
    """Whether nothing is to be held back: every question so far has a guess, or nobody watches."""
    return not _open_questions()


def until_all_guessed() -> AbstractContextManager[None]:
    """Keeps folded what is shown inside until every question asked so far has a guess."""
    return _folded_until(_open_questions())


def _open_questions() -> list[Prediction]:
    return [each for each in _asked.values() if each.guess is None and each.lab is running_lab()]


class _Folding:
    """Whether something is being folded just now: what is folded inside goes with it."""

    is_on = False


@contextmanager
def _folded_until(predictions: Sequence[Prediction]) -> Iterator[None]:
    waiting = [each for each in predictions if each.guess is None]
    if not waiting or nobody_is_watching() or _Folding.is_on:
        yield
        return
    _Folding.is_on = True
    try:
        with capture_output(stderr=False) as shown:
            yield
    finally:
        _Folding.is_on = False
    folded = _Folded(_as_html(shown), waiting)
    for prediction in waiting:
        prediction.waits_for(folded)


class _Folded:
    """A result that waits for guesses: HTML that is exchanged for the same, opened."""

    def __init__(self, content: str, waiting: Sequence[Prediction]) -> None:
        self.content, self._waiting = content, waiting
        summary = "A result is folded here until you have guessed. <u>Show me</u> without a guess."
        self._handle = display(
            _bundle(f"<details><summary>{summary}</summary>{content}</details>", summary),
            display_id=True,
        )

    def open_if_all_guessed(self) -> None:
        """Opens when nothing is left to wait for."""
        if all(prediction.guess is not None for prediction in self._waiting):
            self._handle.update(_bundle(f"<div>{self.content}</div>", ""), raw=True)


def _bundle(markup: str, plain: str) -> dict[str, str]:
    return {"text/html": markup, "text/plain": plain}


def _as_html(shown: Any) -> str:
    """What was captured, as one piece of HTML."""
    pieces = [f"<pre>{html.escape(shown.stdout)}</pre>"] if shown.stdout else []
    for output in shown.outputs:
        if "text/html" in output.data:
            pieces.append(output.data["text/html"])
        else:
            pieces.append(f"<pre>{html.escape(output.data.get('text/plain', ''))}</pre>")
    return "".join(pieces)
