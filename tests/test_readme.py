"""What the README promises, as far as it can be read from the tree."""

from __future__ import annotations

import re
from pathlib import Path

from zerocopy_lab.classroom.manifest import labs
from zerocopy_lab.classroom.navigation import index

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_table_of_labs_is_the_list_of_labs() -> None:
    """Replace the table with what labs.toml gives, when this fails."""
    table = re.search(r"<!-- labs:.*?-->\n(.*?)\n<!-- end of labs -->", README, re.DOTALL)
    assert table is not None
    assert table.group(1) == index(), f"README.md should have:\n{index()}"


def test_the_labs_that_need_linux_are_those_of_the_list() -> None:
    needing = {entry.id for entry in labs().values() if entry.platforms == ("linux",)}
    told = re.search(r"Labs (\d\d) to (\d\d) and (\d\d) to (\d\d) need it", README)
    assert told is not None
    first, last, again, end = map(int, told.groups())
    assert needing == {f"{n:02}" for n in (*range(first, last + 1), *range(again, end + 1))}


def test_every_link_leads_somewhere() -> None:
    """Relative links and pictures."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert targets
    missing = [target for target in targets if not (ROOT / target).exists()]
    assert not missing


def test_the_map_names_every_room() -> None:
    """A reader who looks for a room finds it."""
    rooms = {path.parent.name for path in (ROOT / "zerocopy_lab").glob("*/__init__.py")}
    unnamed = {room for room in rooms if f"(zerocopy_lab/{room})" not in README}
    assert not unnamed
