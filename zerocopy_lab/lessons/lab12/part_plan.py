"""Whose part is where in the learner's broker: a table and a picture, missing parts in grey."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from zerocopy_lab.conformance.parts import PARTS, kept_in
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.pictures.part_map import PartBox, Whose, part_map
from zerocopy_lab.pictures.theme import Origin, Picture

IN_ORDER: Final = (
    "accumulator",
    "placement",
    "stamp",
    "index_lookup",
    "transfer",
    "loop",
    "retention",
    "recovery",
    "follower",
)
"""As a byte meets them: collected, given a place, stamped, found, sent; then what keeps it safe."""
assert set(IN_ORDER) == set(PARTS)


def plan_picture(parts_dir: Path, *, at_fault: str = "") -> Picture:
    """The nine of them; `at_fault` is the one that a broker named."""
    kept = kept_in(parts_dir)
    boxes = []
    for name in IN_ORDER:
        whose: Whose = "at fault" if name == at_fault else "yours" if name in kept else "ours"
        boxes.append(PartBox(name, PARTS[name].does, PARTS[name].lab, whose))
    origin = Origin("PROVED" if at_fault else "COUNTED", describe_host().text())
    title = f"Your broker, with a wrong {at_fault}" if at_fault else "Your broker, part by part"
    return part_map(boxes, origin=origin, title=title)


def plan_words(parts_dir: Path) -> str:
    """How many, and which are missing."""
    kept = kept_in(parts_dir)
    missing = [f"{name} (lab {PARTS[name].lab})" for name in IN_ORDER if name not in kept]
    if not kept:
        return f"No part is yours yet; ours, in grey: {', '.join(missing)}."
    if not missing:
        return f"All {len(kept)} parts are yours."
    return f"{len(kept)} of {len(IN_ORDER)} are yours; ours, in grey: {', '.join(missing)}."
