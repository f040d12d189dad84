"""How much is much? What counts and shares are held against before a verdict is said.

Times have rules of their own (`measuring.comparison`). A lab that needs another limit says in its
code what is special about it.
"""

from __future__ import annotations

from typing import Final

HARDLY_ANY: Final = 0.01
"""Of a whole: less than this is what somebody else did meanwhile."""

MOST: Final = 0.5
"""More than half of a whole."""

MANY_TIMES: Final = 10
"""At least so many times as much: not what belongs to the connection, or to the way of counting."""


TLS_CLAIMED: Final = (1.20, 1.30)
"""What the article says that TLS costs (L1), as a multiple."""


def are_alike(one: float, other: float) -> bool:
    """Nearer than a fourth more or a fifth less."""
    return 0.8 <= one / other <= 1.25
