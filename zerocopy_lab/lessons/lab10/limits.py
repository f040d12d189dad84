"""Lab 10: where zero copy ends: TLS, file systems, small messages, other systems.

TLS is in `tls`, small messages in `small_messages`; here are the file systems (L2), the other
systems (L4), and what all of it says.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from zerocopy_lab import transfer
from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.classroom.subject import KERNEL_HERE, about
from zerocopy_lab.instruments.spread import spread
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.lessons.lab10.limits_exercises import prices
from zerocopy_lab.measuring.alias_test import ARRIVED, alias_test
from zerocopy_lab.measuring.file_system_test import (
    OnFileSystem,
    Size,
    try_file_systems,
    without_mounting,
)
from zerocopy_lab.measuring.recorded import recorded, recorded_words
from zerocopy_lab.pictures.alias_proof import AliasRow, alias_proof
from zerocopy_lab.pictures.theme import Origin, Picture

__all__ = ["about", "prices"]

FILE_SYSTEMS_AS: Final = "10 file systems"
"""What the reference run calls them."""

PLACES: Final = {"the lab's directory": None, "/dev/shm (memory)": Path("/dev/shm")}
SWEEP: Final[tuple[dict[str, Any], ...]] = (
    {"place": "/dev/shm (memory)", "size_kib": 64, "strategy": "sendfile"},
    {"place": "the lab's directory", "size_kib": 4, "strategy": "send_with_msg_zerocopy"},
)
"""For a static reader."""

_IO_URING_SETUP: Final = 425  # the same number on every architecture but Alpha


# -- file systems ----------------------------------------------------------------------------------


def on_file_systems(directory: Path, lab: Lab) -> list[OnFileSystem]:
    """Test and price where the lab is, and on all that can be mounted."""
    size = Size(16 << 20, 3, lab.seed) if lab.fast else Size(64 << 20, 7, lab.seed)
    try:
        return try_file_systems(directory, size)
    except Unavailable as reason:
        return without_mounting(directory, size, str(reason))


def show_file_systems(found: Sequence[OnFileSystem]) -> str:
    """A row for each, from the recorded run where it could not be tried here; returns a sentence
    to be printed, "" where all was seen.
    """
    elsewhere = {each.name: each for each in (OnFileSystem(*e) for e in recorded(FILE_SYSTEMS_AS))}
    rows, missing = [], []
    for each in found:
        shown, mark = each, ""
        if not each.verdict:
            missing.append(f"{each.name} ({each.detail.rstrip('.')})")
            shown, mark = elsewhere.get(each.name, each), " (RECORDED)"
        if shown.verdict:
            rows.append(
                [
                    shown.name + mark,
                    *ARRIVED[shown.verdict],
                    _told(shown.warm_cpu_s_per_gib, ""),
                    _told(shown.cold_s_per_gib, "never cold" if shown.warm_cpu_s_per_gib else ""),
                ]
            )
    headings = ["what arrived", "so", "warm, CPU s/GiB", "cold, s/GiB on the clock"]
    show_table(["file system", *headings], rows)
    if not missing:
        return ""
    return f"Not tried here: {'; '.join(missing)}. {recorded_words('see the table.')}"


def _told(seconds: Sequence[float], without: str) -> str:
    return spread(seconds).text(digits=2) if seconds else without


def file_system_findings(found: Sequence[OnFileSystem]) -> list[Finding]:
    """L2: those that were tried."""
    tried = [each for each in found if each.verdict]
    said = {each.verdict for each in tried}
    is_clear = len(tried) > 1 and "inconclusive" not in said
    depends = len(said) > 1 if is_clear else None
    told = ", ".join(f"{each.name}: {ARRIVED[each.verdict][1]}" for each in tried)
    missing = ", ".join(
        f"{each.name} ({each.detail.rstrip('.')})" for each in found if not each.verdict
    )
    return [
        Aspect("L2", KERNEL_HERE, _LOCAL).proved(
            depends,
            f"With sendfile from {told}." + (f" Not tried: {missing}." if missing else ""),
            *[Quantity(each.name, ARRIVED[each.verdict][0]) for each in tried],
        )
    ]


_LOCAL = "local file systems"


def draw_alias(place: str, size_kib: int, strategy: str) -> Picture:
    """The widget: the alias test of a strategy with a file in a place."""
    row, title = _row(place, size_kib, strategy), "Overwritten after it was sent"
    return alias_proof([row], page_bytes=4096, origin=Origin("PROVED", place), title=title)


def alias_words(place: str, size_kib: int, strategy: str) -> str:
    """What it found."""
    row = _row(place, size_kib, strategy)
    so = {frozenset(["new"]): "nobody copied", frozenset(["old"]): "somebody copied"}
    told = so.get(frozenset(row.pages), row.remark or "no clear answer")
    return f"{strategy}, {size_kib} KiB, {place}: {told}."


def _row(place: str, size_kib: int, strategy: str) -> AliasRow:
    name = f"{strategy}, {size_kib} KiB, {place}"
    try:
        found = alias_test(strategy, directory=PLACES[place], probe_bytes=size_kib << 10)
    except (ValueError, OSError) as reason:  # not this strategy, or not this place
        return AliasRow(name, (), str(reason))
    return AliasRow(name, found.pages)


# -- other systems, and what is new ----------------------------------------------------------------


def show_strategies() -> None:
    """What of this kit's strategies this system has."""
    show_table(
        ["strategy", "here"],
        [[name, each.unavailable() or "yes"] for name, each in transfer.strategies().items()],
    )


def io_uring_in_words() -> str:
    """Is there an io_uring to ask for a zero-copy send?"""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        ring = libc.syscall(_IO_URING_SETUP, 1, ctypes.create_string_buffer(120))
    except (AttributeError, OSError) as reason:
        return f"io_uring: not on this system ({reason})"
    if ring < 0:
        return f"io_uring: no ({os.strerror(ctypes.get_errno())})"
    os.close(ring)
    return "io_uring: yes, a ring could be made"


def msg_zerocopy_in_words() -> str:
    """What the kernel itself says of a send with MSG_ZEROCOPY over the loopback."""
    try:
        return f"MSG_ZEROCOPY: {alias_test('send_with_msg_zerocopy').detail}"
    except ValueError as reason:
        return f"MSG_ZEROCOPY: {reason}"
