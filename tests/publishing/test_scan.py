"""Each way in which a green run can be wrong, planted in a notebook and found by the scan."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.classroom.conftest import entry_of_a_test
from zerocopy_lab.classroom.explore import ERROR_MARK
from zerocopy_lab.classroom.notebook_output import PICTURE_KEY, WORDS_KEY
from zerocopy_lab.pictures.theme import new_picture
from zerocopy_lab.publishing.scan import pictures_of, problems_of

PNG = new_picture(2, "Title", "").png()
STATE = "application/vnd.jupyter.widget-state+json"
CONCLUSION = {"findings": [{"claim_id": "Z2"}], "invariants": {"bytes in = bytes out": True}}


def picture_output(png: bytes = PNG) -> dict[str, Any]:
    return {
        "output_type": "display_data",
        "data": {"image/png": base64.b64encode(png).decode(), "text/plain": "what it shows"},
        "metadata": {PICTURE_KEY: "shown", WORDS_KEY: "So it is.", "image/png": {"alt": "a bar"}},
    }


def good() -> dict[str, Any]:
    outputs = [picture_output(), {"output_type": "stream", "name": "stdout", "text": "fine"}]
    return {
        "cells": [
            {"id": "a", "cell_type": "markdown"},
            {"id": "b", "source": "answer = seven()\ncheck(answer)", "outputs": outputs},
        ],
        "metadata": {},
    }


def test_a_good_run_has_no_problems() -> None:
    assert problems_of(good(), entry_of_a_test(), CONCLUSION) == []


def test_pictures_come_out_with_their_words() -> None:
    [picture] = pictures_of(good())
    assert (picture.name, picture.png, picture.alt, picture.words) == (
        "shown", PNG, "a bar", "So it is.",
    )  # fmt: skip


def error_in_output(notebook: Any) -> None:
    notebook["cells"][1]["outputs"].append(
        {"output_type": "error", "ename": "ValueError", "evalue": "seven"}
    )


def words_on_stderr(notebook: Any) -> None:
    notebook["cells"][1]["outputs"].append(
        {"output_type": "stream", "name": "stderr", "text": "DeprecationWarning: soon"}
    )


def error_in_an_output_widget(notebook: Any) -> None:
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'x'"}
    notebook["metadata"]["widgets"] = {STATE: {"state": {"m1": {"state": {"outputs": [error]}}}}}


def error_shown_by_explore(notebook: Any) -> None:
    shown = f"<div class='{ERROR_MARK}'>ValueError: seven</div>"
    notebook["metadata"]["widgets"] = {STATE: {"state": {"m2": {"state": {"value": shown}}}}}


def picture_never_drawn(notebook: Any) -> None:
    del notebook["cells"][1]["outputs"][0]


def picture_of_nothing(notebook: Any) -> None:
    one_pixel = PNG[:16] + (1).to_bytes(4) + (1).to_bytes(4) + PNG[24:]
    notebook["cells"][1]["outputs"][0] = picture_output(one_pixel)


@pytest.mark.parametrize(
    ("sabotage", "problem"),
    [
        (error_in_output, "cell b (answer = seven()) raised ValueError: seven"),
        (words_on_stderr, "cell b (answer = seven()) wrote to stderr: DeprecationWarning: soon"),
        (error_in_an_output_widget, "widget m1 holds KeyError: 'x'"),
        (error_shown_by_explore, "widget m2 shows an error"),
        (picture_never_drawn, "picture 'shown' is missing"),
        (picture_of_nothing, "picture 'shown' is no picture to look at"),
    ],
)
def test_what_a_green_run_hides_is_found(sabotage: Callable[[Any], None], problem: str) -> None:
    notebook = good()
    sabotage(notebook)
    [found] = problems_of(notebook, entry_of_a_test(), CONCLUSION)
    assert problem in found


@pytest.mark.parametrize(
    ("conclusion", "problem"),
    [
        ({}, "there is no conclusion"),
        ({**CONCLUSION, "findings": []}, "the conclusion has no verdict on Z2"),
        ({**CONCLUSION, "invariants": {"order": False}}, "an invariant does not hold: order"),
    ],
)
def test_a_conclusion_is_missed(conclusion: Mapping[str, Any], problem: str) -> None:
    assert problems_of(good(), entry_of_a_test(), conclusion) == [problem]
