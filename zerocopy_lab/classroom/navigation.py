"""The parts of a notebook that come from the list of labs: its heading, its way on, and the index
of all labs.

They are stored in the notebooks as ordinary markdown, because a link must work where nothing
runs. `labs tidy` writes them; a test finds a notebook whose text is not what the list says.
"""

from __future__ import annotations

from collections.abc import Sequence

from zerocopy_lab.classroom.manifest import LabEntry, labs, neighbours

BOOTSTRAP = """\
import pathlib
import sys

here = pathlib.Path.cwd().resolve()
sys.path[:0] = [str(p) for p in (here, *here.parents) if (p / "zerocopy_lab").is_dir()][:1]
"""
"""The first lines of every notebook's bootstrap cell: whatever directory below the repository a
kernel starts in, the package is found. (An installed package needs none of it.)"""

_GLOSSARY = "[words](../docs/glossary.md)"
HEADING_CELL_ID = "heading"
NEXT_CELL_ID = "next"


def heading(entry: LabEntry, among: Sequence[LabEntry] | None = None) -> str:
    """Title, question, minutes, prerequisites and links: the first cell of a notebook.

    `among` are the labs that lie beside it (default: all); others are named without a link.
    """
    there = [*labs().values()] if among is None else among
    before, after = neighbours(entry, there)
    links = [f"[← {before.id} {before.title}]({before.name}.ipynb)"] if before else []
    links += [f"[{after.id} {after.title} →]({after.name}.ipynb)"] if after else []
    needed = [labs()[each] for each in entry.prerequisites]
    needs = ", ".join(_link(e) if e in there else f"{e.id} {e.title}" for e in needed) or "nothing"
    claims = f" · **claims** {' '.join(entry.claims)}" if entry.claims else ""
    facts = f"**{entry.minutes} minutes** · **needs** {needs}{claims} · {_GLOSSARY}"
    lines = [f"# {entry.id} · {entry.title}", entry.asks, facts, " · ".join(links)]
    return "\n\n".join(line for line in lines if line)


def way_on(entry: LabEntry) -> str:
    """The last cell of a notebook: the solutions and the next lab."""
    solved = (
        f"Stuck? The [solved notebook](solutions/{entry.name}.ipynb) shows every answer, executed."
    )
    return f"{solved}\n\n{next_lab(entry)}"


def next_lab(entry: LabEntry, among: Sequence[LabEntry] | None = None) -> str:
    """The lab that follows in the list, or in `among`."""
    _, after = neighbours(entry, [*labs().values()] if among is None else among)
    if after is None:
        return "This was the last lab."
    return f"**Next:** {_link(after)} asks: *{after.asks}*"


def index() -> str:
    """All labs as a markdown table, with links that work from the root of the repository."""
    rows = [
        f"| [{e.id} {e.title}](labs/{e.name}.ipynb) "
        f"| {e.asks} | {e.minutes} | {' '.join(e.claims) or '–'} |"
        for e in labs().values()
    ]
    return "\n".join(["| lab | asks | minutes | claims |", "|---|---|---|---|", *rows])


def _link(entry: LabEntry) -> str:
    return f"[{entry.id} {entry.title}]({entry.name}.ipynb)"
