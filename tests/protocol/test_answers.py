"""An answer to come: it counts once, it reaches its one listener, and it is not kept."""

from __future__ import annotations

import weakref
from pathlib import Path

import pytest

from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.protocol.framing import Answer, Nothing, Now
from zerocopy_lab.protocol.later import Later


def test_only_the_first_answer_counts() -> None:
    heard: list[Answer] = []
    later = Later()
    later.on_complete(heard.append)
    assert later.complete(Now([b"1"]))
    assert not later.complete(Now([b"2"]))
    assert heard == [Now([b"1"])]


def test_who_listens_late_is_answered_at_once() -> None:
    heard: list[Answer] = []
    later = Later()
    later.complete(Nothing())
    later.on_complete(heard.append)
    assert heard == [Nothing()]


def test_abandoning_tells_whoever_prepares_the_answer() -> None:
    stopped: list[bool] = []
    later = Later(on_abandon=lambda: stopped.append(True))
    later.abandon()
    later.abandon()
    assert stopped == [True]
    assert not later.complete(Nothing())


def test_one_follows_another_in_both_directions() -> None:
    heard: list[Answer] = []
    inner, outer = Later(), Later()
    outer.follow(inner)
    outer.on_complete(heard.append)
    inner.complete(Nothing())
    assert heard == [Nothing()]
    for abandon_first in (True, False):
        inner, outer = Later(), Later()
        if abandon_first:
            outer.abandon()
        outer.follow(inner)
        outer.abandon()
        assert inner.done


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("end", ["heard", "heard late", "abandoned", "abandoned with an answer"])
def test_an_answer_with_a_file_is_held_by_nobody_in_the_end(tmp_path: Path, end: str) -> None:
    """Both ends keep their hands on the Later, which forgets what it handed over."""
    path = tmp_path / "file"
    path.touch()

    class Watched(OpenFile):
        __slots__ = ("__weakref__",)

    file = Watched.open(path)
    gone = weakref.ref(file)
    later, heard = Later(), []
    if end == "heard":
        later.on_complete(lambda answer: heard.append(type(answer)))
    if end == "abandoned":
        later.abandon()
    later.complete(Now([FileSlice(file, 0, 0)]))
    if end == "heard late":
        later.on_complete(lambda answer: heard.append(type(answer)))
    if end == "abandoned with an answer":
        later.abandon()
    del file
    assert gone() is None
    assert heard == ([Now] if end.startswith("heard") else [])
