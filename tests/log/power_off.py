"""A process that ends in the middle of what it does to its files."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

Operation = Callable[..., Any]


class PowerOff(Exception):
    """The process ends here."""


def before_operation(number: int) -> Callable[[Operation], Operation]:
    """Wraps file operations, which are counted together from 0: instead of the one with this number
    comes PowerOff.
    """
    numbers = count()

    def counted(operation: Operation) -> Operation:
        def perform(*arguments: Any, **named: Any) -> Any:
            if next(numbers) >= number:
                raise PowerOff
            return operation(*arguments, **named)

        return perform

    return counted
