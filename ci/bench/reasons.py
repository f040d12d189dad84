"""Why goals were missed, as far as it was found out by measuring. Written by hand, and shown in
docs/figures.md beside those of these rows that miss their goals (`python -m ci.bench --texts`).
"""

from __future__ import annotations

from typing import NamedTuple


class Reason(NamedTuple):
    """What was found about some rows of a table."""

    table: str
    rows: tuple[str, ...]
    text: str


REASONS: tuple[Reason, ...] = ()
