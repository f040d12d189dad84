"""The source of a function in a notebook, complete enough to run in a broker.

A function of a cell leans on names of other cells: modules, constants, functions. What is kept is
the function with those it needs: imports are written out, plain constants as they are, functions
of the notebook with their own source. A name that cannot be written down (an open broker, the lab
itself) is refused: the part would work here and nowhere else.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import symtable
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from types import FunctionType, ModuleType
from typing import Any


class NoSource(ValueError):
    """The function cannot be kept; the message says what to write instead."""


def source_of(function: Callable[..., Any], name: str) -> str:
    """A module's source that defines `name` as this function does. Raises NoSource."""
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise NoSource("write the part as a function, with def, in a cell of the notebook")
    if function.__closure__:
        raise NoSource(
            f"{function.__name__} uses variables of the function around it: write it on its own"
        )
    pieces = _Pieces(function.__globals__)
    pieces.add(function)
    if function.__name__ != name:
        pieces.written.append(f"{name} = {function.__name__}")
    return "\n\n".join([*sorted(pieces.imports), *pieces.written]) + "\n"


class _Pieces:
    """What has been written down so far."""

    def __init__(self, around: Mapping[str, Any]) -> None:
        self._around = around
        self.imports: set[str] = set()
        self.written: list[str] = []
        self._known: set[str] = set()

    def add(self, function: FunctionType) -> None:
        """The function, behind everything that it needs."""
        self._known.add(function.__name__)
        source = _source(function)
        for needed in _free_names(source):
            if needed in self._around and needed not in self._known:
                self._known.add(needed)
                self._add_name(needed, self._around[needed], function.__name__)
        self.written.append(source)

    def _add_name(self, name: str, value: object, user: str) -> None:
        if isinstance(value, ModuleType):
            self.imports.add(f"import {value.__name__} as {name}")
        elif type(value) in (int, float, str, bytes, bool, type(None)):
            self.written.append(f"{name} = {value!r}")
        elif isinstance(value, FunctionType) and value.__globals__ is self._around:
            self.add(value)
        elif line := _import_of(name, value):
            self.imports.add(line)
        else:
            raise NoSource(
                f"{user} uses {name}, which is {type(value).__name__} of this notebook and would "
                "not be there in a broker: make it part of the function"
            )


def _source(function: FunctionType) -> str:
    try:
        return textwrap.dedent(inspect.getsource(function)).rstrip()
    except (OSError, TypeError):
        raise NoSource(
            f"the source of {function.__name__} is not to be found: run its cell again"
        ) from None


def _free_names(source: str) -> list[str]:
    """Names that the source takes from around it, no builtins among them, in a fixed order."""
    module = symtable.symtable(source, "a part", "exec")
    return sorted(n for n in set(_globals_of(module)) if not hasattr(builtins, n))


def _globals_of(table: symtable.SymbolTable) -> Iterator[str]:
    """Global names of this scope (defaults, decorators, annotations) and of those inside it."""
    at_the_top = table.get_type() == "module"
    for symbol in table.get_symbols():
        is_global = not symbol.is_assigned() if at_the_top else symbol.is_global()
        if symbol.is_referenced() and is_global:
            yield symbol.get_name()
    for inner in table.get_children():
        yield from _globals_of(inner)


def _import_of(name: str, value: object) -> str | None:
    """`from MODULE import X as NAME`, if that gives the same object."""
    module_name = getattr(value, "__module__", None)
    its_name = getattr(value, "__name__", None)
    if not isinstance(module_name, str) or not isinstance(its_name, str):
        return None
    module = sys.modules.get(module_name) or importlib.import_module(module_name)
    if module_name == "__main__" or getattr(module, its_name, None) is not value:
        return None
    return f"from {module_name} import {its_name} as {name}"
