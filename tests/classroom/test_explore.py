from __future__ import annotations

from typing import Any

import ipywidgets
import pytest

from tests.classroom.conftest import LabMaker
from zerocopy_lab.classroom import explore as explore_module
from zerocopy_lab.classroom import lab as lab_module
from zerocopy_lab.classroom.explore import (
    ERROR_MARK,
    Choice,
    Control,
    Run,
    Show,
    Slider,
    explore,
    play,
)
from zerocopy_lab.pictures.theme import Picture, new_picture

CONTROLS: dict[str, Control] = {
    "partitions": Slider(1, 9, 3),
    "policy": Choice(["even", "odd"], "even"),
}
SWEEP = [{"partitions": 2, "policy": "even"}, {"partitions": 9, "policy": "odd"}]


def draw(partitions: int, policy: str) -> Picture:
    if partitions == 7:
        raise ValueError("seven is not drawn")
    picture = new_picture(1.5, f"{partitions} {policy}", "")
    picture.alt = f"{partitions} {policy}"
    return picture


def words(partitions: int, policy: str) -> str:
    return f"{partitions} partitions, {policy}."


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The widgets that went to the notebook."""
    widgets: list[Any] = []
    monkeypatch.setattr(explore_module, "show_controls", widgets.append)
    return widgets


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str, str]]:
    """The ordinary pictures: name, what they show, words."""
    taken: list[tuple[str, str, str]] = []

    def take(name: str, picture: Picture, said: str, directory: object) -> None:
        taken.append((name, picture.alt, said))

    monkeypatch.setattr(lab_module, "show_picture", take)
    return taken


def test_headless_the_sweep_is_ordinary_pictures_and_there_is_no_widget(
    start: LabMaker, shown: list[Any], pictures: list[tuple[str, str, str]]
) -> None:
    start(headless=True)
    explore(draw, CONTROLS, SWEEP, words, name="map")
    assert shown == []
    assert pictures == [
        ("map-1", "2 even", "2 partitions, even."),
        ("map-2", "9 odd", "9 partitions, odd."),
    ]


def test_an_error_in_the_sweep_is_raised(start: LabMaker) -> None:
    start(headless=True)
    with pytest.raises(ValueError, match="seven is not drawn"):
        explore(draw, CONTROLS, [{"partitions": 7, "policy": "odd"}], words, name="map")


def test_a_sweep_sets_every_control(start: LabMaker) -> None:
    start(headless=True)
    with pytest.raises(ValueError, match="should set partitions, policy"):
        explore(draw, CONTROLS, [{"partitions": 7}], words, name="map")


def live_panel(shown: list[Any]) -> tuple[Any, Any, Any, Any]:
    """Controls, image, frame, caption of the only widget."""
    [panel] = shown
    top, frame, caption = panel.children
    return top.children, frame.children[0], frame, caption


def test_live_a_moved_slider_exchanges_the_picture_in_a_frame_of_fixed_height(
    start: LabMaker, shown: list[Any], pictures: list[tuple[str, str, str]]
) -> None:
    start(headless=False)
    explore(draw, CONTROLS, SWEEP, words, name="map", height_px=300)
    (slider, _), image, frame, caption = live_panel(shown)
    before, height = image.value, frame.layout.height
    assert 0 < int(height.removesuffix("px")) < 300, "no more room than the picture needs"
    assert "alt='3 even' src='data:image/png;base64,iVBOR" in before, "said to a screen reader"
    assert slider.continuous_update is False
    slider.value = 5
    assert image.value != before
    assert "5 partitions, even." in caption.value
    assert frame.layout.height == height, "nothing jumps"
    assert len(pictures) == 2, "a static reader sees the sweep as well"


def test_live_an_error_is_shown_and_the_next_picture_replaces_it(
    start: LabMaker, shown: list[Any], pictures: list[tuple[str, str, str]]
) -> None:
    start(headless=False)
    explore(draw, CONTROLS, SWEEP, words, name="map")
    (slider, _), _, _, caption = live_panel(shown)
    slider.value = 7
    assert ERROR_MARK in caption.value
    assert "seven is not drawn" in caption.value
    slider.value = 8
    assert ERROR_MARK not in caption.value


def test_with_a_button_nothing_is_drawn_until_it_is_pressed(
    start: LabMaker, shown: list[Any], pictures: list[tuple[str, str, str]]
) -> None:
    start(headless=False)
    explore(draw, CONTROLS, SWEEP, words, name="map", button="Measure")
    (slider, _, button), _, _, caption = live_panel(shown)
    assert isinstance(button, ipywidgets.Button)
    slider.value = 5
    assert "press “Measure”" in caption.value
    button.click()
    assert "5 partitions" in caption.value


def test_live_nothing_is_drawn_while_a_question_has_no_guess(
    start: LabMaker,
    shown: list[Any],
    pictures: list[tuple[str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start(headless=False)
    monkeypatch.setattr(explore_module, "all_guessed", lambda: False)
    explore(draw, CONTROLS, SWEEP, words, name="map")
    play(three_pictures(), name="story", button="Play", height_px=300)
    for panel in shown:
        *_, frame, caption = panel.children
        assert not frame.children[0].value
        assert "Guess above" in caption.value
    shown[0].children[0].children[0].value = 5
    assert "5 partitions" in shown[0].children[-1].value, "a hand on the slider is deliberate"


def three_pictures(fails: bool = False) -> Run:
    """What `play` plays: two pictures on the way, one at the end."""

    def run(show: Show | None) -> tuple[Picture, str]:
        for number in (1, 2):
            if show is not None:
                show(draw(number, "on the way"), f"{number} of 3")
        if fails:
            raise ValueError("the actor fell ill")
        return draw(3, "over"), "That was all."

    return run


def test_headless_a_play_is_one_ordinary_picture(
    start: LabMaker, shown: list[Any], pictures: list[tuple[str, str, str]]
) -> None:
    start(headless=True)
    play(three_pictures(), name="story", button="Start", height_px=300)
    assert shown == []
    assert pictures == [("story", "3 over", "That was all.")]


def test_live_a_play_exchanges_its_pictures_in_place_and_can_be_started_again(
    start: LabMaker,
    shown: list[Any],
    pictures: list[tuple[str, str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[str] = []
    monkeypatch.setattr(explore_module._Screen, "say", lambda _, words: seen.append(words))
    start(headless=False)
    play(three_pictures(), name="story", button="Start", height_px=300)
    [panel] = shown
    trigger, frame, _ = panel.children
    assert 0 < int(frame.layout.height.removesuffix("px")) <= 300
    assert seen[:2] == ["1 of 3", "2 of 3"]
    assert "“Start”" in seen[2]
    assert pictures == [("story", "3 over", "That was all.")]
    trigger.click()
    assert seen[3:] == ["1 of 3", "2 of 3", "That was all."]
    assert not trigger.disabled
    assert len(pictures) == 1


def test_live_a_play_that_fails_when_started_again_says_so_in_place(
    start: LabMaker, shown: list[Any], pictures: list[tuple[str, str, str]]
) -> None:
    start(headless=False)
    runs = iter([three_pictures(), three_pictures(fails=True)])
    play(lambda show: next(runs)(show), name="story", button="Start", height_px=300)
    [panel] = shown
    trigger, _, caption = panel.children
    trigger.click()
    assert ERROR_MARK in caption.value
    assert "the actor fell ill" in caption.value
    assert not trigger.disabled
