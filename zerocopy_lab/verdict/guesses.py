"""Before the labs I thought ..., now ...: a learner's guesses beside what came out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from zerocopy_lab.verdict.results import LabResult


class GuessTold(NamedTuple):
    """One guess; `measured` is "" where the machine could not tell, `how` where it comes from."""

    lab_id: str
    question: str
    guess: str
    measured: str
    how: str

    @property
    def was_right(self) -> bool | None:
        """None where nothing came out to hold it against."""
        return self.guess == self.measured if self.measured else None


def guesses_in(results: Mapping[str, LabResult]) -> list[GuessTold]:
    """All that were made, lab by lab."""
    return [
        GuessTold(result.lab_id, question, told["guess"], told["measured"], told["how"])
        for result in results.values()
        for question, told in result.predictions.items()
        if told["guess"]
    ]


def in_one_sentence(guesses: list[GuessTold]) -> str:
    """How many were right, and where none was wrong or none right."""
    decided = [each for each in guesses if each.was_right is not None]
    if not decided:
        return "No guess was made before the results were looked at."
    right = [each for each in decided if each.was_right]
    told = f"{len(right)} of {len(decided)} guesses were right"
    labs = dict.fromkeys(each.lab_id for each in decided)
    wrong_in = {each.lab_id for each in decided if not each.was_right}
    all_right = [lab for lab in labs if lab not in wrong_in]
    if all_right and wrong_in:
        told += f": all of them in lab{'s' if len(all_right) > 1 else ''} {', '.join(all_right)}"
    return f"{told}."
