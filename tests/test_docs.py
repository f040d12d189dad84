"""The documents point at code that is there: each link's file, and in it each function by name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import zerocopy_lab

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted((ROOT / "docs").glob("*.md"))
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+)(?:#[^)]*)?\)")


def links(document: Path) -> Iterator[tuple[str, Path]]:
    """The words and the target of every link to a file of ours."""
    for words, target in LINK.findall(document.read_text(encoding="utf-8")):
        if "://" not in target:
            yield words, (document.parent / target).resolve()


@cache
def names_in(path: Path) -> set[str]:
    """Qualified names of the classes and functions of a module."""

    def walk(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield prefix + node.name
                yield from walk(node.body, f"{prefix}{node.name}.")

    return set(walk(ast.parse(path.read_text(encoding="utf-8")).body, ""))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(document: Path) -> None:
    targets = {target for _, target in links(document)}
    missing = [str(target.relative_to(ROOT)) for target in targets if not target.exists()]
    assert not missing


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_function_that_is_named_is_there(document: Path) -> None:
    """`[`Segment.append`](.../segment.py)` names a function of that file, or of a class above."""
    gone = [
        f"{words} in {target.name}"
        for words, target in links(document)
        if target.suffix == ".py" and re.fullmatch(r"`[\w.]+`", words)
        if not words.strip("`").endswith(".py")
        if words.strip("`") not in names_in(target)
    ]
    assert not gone


def test_the_journey_in_prose_passes_every_stop() -> None:
    """No file of JOURNEY is left out of the guide."""
    shown = {target for _, target in links(ROOT / "docs" / "architecture.md")}
    left_out = [stop for stop in zerocopy_lab.JOURNEY if ROOT / "zerocopy_lab" / stop not in shown]
    assert not left_out
