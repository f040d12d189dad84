"""Predict first, measure then, compare at last.

A prediction is a plain variable that the learner sets before the measurement. Nothing happens
when it was left out, except that the lab says what was missed: a number that surprises nobody
teaches nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from zerocopy_lab.classroom.lab import running_lab
from zerocopy_lab.classroom.notebook_output import box


class Prediction(NamedTuple):
    """What the learner expects of one question: one of the choices, or None for "not yet"."""

    question: str
    guess: str | None
    choices: tuple[str, ...]

    def compare(self, measured: str | None, because: str) -> bool | None:
        """Shows guess and measurement side by side and says why; None when nothing was predicted.

        `measured` is one of the choices (ValueError otherwise: the lab and its question disagree),
        or None where this machine could not measure it.
        """
        if measured is None:
            return self._leave_open(because)
        if measured not in self.choices:
            raise ValueError(f"{measured!r} is no answer to {self.question!r}: {self.choices}")
        right = None if self.guess is None else self.guess == measured
        running_lab().predictions[self.question] = {
            "guess": self.guess or "",
            "measured": measured,
        }
        label = {None: "You did not predict", True: "As you predicted", False: "Not as predicted"}
        tone = {None: "plain", True: "good", False: "unsure"}[right]
        guessed = [] if self.guess is None else [f"Your prediction: {self.guess}"]
        box(tone, label[right], [self.question, *guessed, f"Measured here: {measured}", because])
        return right

    def _leave_open(self, because: str) -> None:
        running_lab().predictions[self.question] = {"guess": self.guess or "", "measured": ""}
        guessed = [] if self.guess is None else [f"Your prediction: {self.guess}"]
        box("plain", "Not measured on this machine", [self.question, *guessed, because])


def predict(question: str, guess: str | None, choices: Sequence[str]) -> Prediction:
    """Takes a prediction down. `guess` is one of the choices, its number from 1 on, or None.

    Never raises for a guess: a slip of the pen is answered in words and counts as none.
    """
    taken = _choice(guess, choices)
    numbered = [f"{number}. {choice}" for number, choice in enumerate(choices, 1)]
    if taken is not None:
        box("question", "Your prediction is noted", [question, taken])
    elif guess is None:
        box("question", "Predict before you go on", [question, *numbered, _HOW])
    else:
        box("unsure", f"{guess!r} is not one of the choices", [question, *numbered, _HOW])
    return Prediction(question, taken, tuple(choices))


_HOW = "Put the number of your choice into the variable above and run the cell again."


def _choice(guess: object, choices: Sequence[str]) -> str | None:
    if isinstance(guess, int) and not isinstance(guess, bool) and 1 <= guess <= len(choices):
        return choices[guess - 1]
    return guess if isinstance(guess, str) and guess in choices else None
