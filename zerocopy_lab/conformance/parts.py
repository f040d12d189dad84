"""All parts, and a directory of those that somebody wrote.

    parts/index_lookup.py      holds a function `index_lookup`
    parts/transfer.py          holds a function `transfer`

`load` runs such a file (in a broker's process, or in an exam's child) and gives its function.
`seats` puts them where a broker's own would be.

Left out: parts that need more than one function's state.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from zerocopy_lab.conformance import (
    accumulator,
    following,
    index_lookup,
    log_dir_choice,
    recovering,
    retention,
    sending,
    stamping,
)
from zerocopy_lab.conformance.part import Part, PartFunction

PARTS: Mapping[str, Part] = {
    part.name: part
    for part in (
        log_dir_choice.PART,
        index_lookup.PART,
        retention.PART,
        sending.LOOP,
        sending.TRANSFER,
        accumulator.PART,
        stamping.PART,
        recovering.PART,
        following.PART,
    )
}
"""In the order of the labs."""


class NoSuchPart(ValueError):
    """There is no part of this name, or its file holds no such function."""


def part(name: str) -> Part:
    """The part of this name. Raises NoSuchPart, which lists those there are."""
    if name not in PARTS:
        raise NoSuchPart(f"there is no part {name!r}; there are {', '.join(PARTS)}")
    return PARTS[name]


def kept_in(directory: Path) -> dict[str, Path]:
    """The parts of a directory: name -> file, in the order of the labs. Raises NoSuchPart."""
    files = {path.stem: path for path in directory.glob("*.py")}
    for name in files:
        part(name)
    return {name: files[name] for name in PARTS if name in files}


def load(path: Path) -> PartFunction:
    """Runs the file; the function in it that is named like it. Raises NoSuchPart, and whatever
    the file raises.
    """
    namespace: dict[str, object] = {"__name__": f"parts.{path.stem}", "__file__": str(path)}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), namespace)
    found = namespace.get(path.stem)
    if not callable(found):
        raise NoSuchPart(f"{path} defines no function {path.stem}")
    return found
