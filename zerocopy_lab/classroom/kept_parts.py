"""keep(): a part that passed its exam is stored, and from then on can run in a broker.

    keep("index_lookup", my_lookup)      # its source goes to OUT_DIR/parts/index_lookup.py
    RunningBroker(parts=lab.parts_dir)   # a broker that uses it; without `parts`, ours
    take_out("index_lookup")             # ours again, from the next broker on

What is examined is the file that is kept, in a process of its own: a function that leans on
something of the notebook is found now and not in the broker.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zerocopy_lab.classroom.lab import running_lab
from zerocopy_lab.classroom.notebook_output import box
from zerocopy_lab.classroom.part_source import NoSource, source_of
from zerocopy_lab.conformance.part import examine
from zerocopy_lab.conformance.parts import PARTS, kept_in, load, part
from zerocopy_lab.conformance.seats import mark_examined


def keep(name: str, function: Callable[..., Any]) -> bool:
    """Examines the function and stores its source; whether it was stored. Raises NoSuchPart for
    a name that is no part's, never for the function.
    """
    lab, wanted = running_lab(), part(name)
    try:
        source = source_of(function, name)
    except NoSource as reason:
        box("unsure", f"Part {name}: not kept", [str(reason)])
        return False
    lab.parts_dir.mkdir(parents=True, exist_ok=True)
    candidate = lab.parts_dir / f".{name}.candidate" / f"{name}.py"
    candidate.parent.mkdir(exist_ok=True)
    candidate.write_text(source, encoding="utf-8")
    try:
        found = examine(wanted, lambda: load(candidate))
        if found.passed:
            mark_examined(candidate.replace(lab.parts_dir / candidate.name))
    finally:
        candidate.unlink(missing_ok=True)
        candidate.parent.rmdir()
    if not found.passed:
        stands = "What was kept before stays." if name in kept_in(lab.parts_dir) else ""
        box("bad", f"Part {name}: not kept", [found.words, *found.trace, stands])
        return False
    how = f"From now on it is used by {wanted.used_by}."
    box("good", f"Part {name}: kept", [f"It passed: {found.words}", how])
    return True


def take_out(name: str) -> None:
    """Removes a kept part: brokers that start from now on use ours."""
    path = running_lab().parts_dir / f"{part(name).name}.py"
    was_there = path.exists()
    path.unlink(missing_ok=True)
    words = "Brokers use ours again." if was_there else "None was kept: brokers use ours."
    box("plain", f"Part {name}: taken out", [words])


def is_kept(name: str, parts_dir: Path) -> bool:
    """Whether there is a kept part of this name; where there is none, the learner is told so."""
    is_there = name in kept_in(parts_dir)
    if not is_there:
        exercise = f"{part(name).lab}.1"
        told = f"None is kept yet: pass {exercise}, then run this again."
        box("plain", f"Your part {name}", [told])
    return is_there


def kept_sources(parts_dir: Path) -> dict[str, str]:
    """Name -> source of the parts that were kept."""
    return {name: path.read_text(encoding="utf-8") for name, path in kept_in(parts_dir).items()}


def parts_in_words(parts_dir: Path) -> str:
    """`Built so far: index_lookup (02). Still ours: placement (01), ...`."""
    kept = kept_in(parts_dir)
    mine = [f"{each.name} ({each.lab})" for each in PARTS.values() if each.name in kept]
    ours = [f"{each.name} ({each.lab})" for each in PARTS.values() if each.name not in kept]
    built = f"You have built: {', '.join(mine)}." if mine else "You have built no part yet."
    return built + (f" Still ours: {', '.join(ours)}." if ours else "")
