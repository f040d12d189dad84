"""An exercise's cell taken apart: the question, the answer, the check; and the proof that it is a
stub.

A cell holds statements in this order: what the question needs, what answers it, `check("05.2",
answer)` and what follows from it. A solution's cell has the same check behind other statements.
"""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from zerocopy_lab.publishing.tidy import EXERCISE_KEY


class NotAStub(ValueError):
    """An exercise would be handed out answered, or has no check; the message says which."""


class ExerciseCell(NamedTuple):
    """The pieces of a cell's source; `answer` is the name that is checked."""

    exercise_id: str
    answer: str
    before: str
    """All that stands before the check."""
    check: str
    """The check, and what follows."""


def taken_apart(exercise_id: str, source: str) -> ExerciseCell:
    """The pieces. Raises NotAStub when nothing in it is `check("ID", name)`."""
    for statement in ast.parse(source).body:
        for node in ast.walk(statement):
            match node:
                case ast.Call(
                    func=ast.Name(id="check"),
                    args=[ast.Constant(value=str(checked)), ast.Name(id=answer)],
                ) if checked == exercise_id:
                    lines = source.splitlines()
                    before = "\n".join(lines[: statement.lineno - 1])
                    check = "\n".join(lines[statement.lineno - 1 :])
                    return ExerciseCell(exercise_id, answer, before, check)
    raise NotAStub(f"exercise {exercise_id}: its cell holds no check({exercise_id!r}, NAME)")


def require_stub(cell: Any) -> None:
    """Raises NotAStub unless the answer of a notebook's exercise cell is literally None or a
    function that returns nothing else, and nothing that a run left behind stands below it.
    """
    pieces = taken_apart(cell.metadata[EXERCISE_KEY], cell.source)
    bound = [s for s in ast.parse(pieces.before).body if pieces.answer in _names_bound(s)]
    where = f"exercise {pieces.exercise_id}"
    if not bound or not _says_nothing(bound[-1]):
        raise NotAStub(f"{where}: {pieces.answer} is not a stub before it is checked")
    if cell.outputs or cell.execution_count is not None:
        raise NotAStub(f"{where}: the cell holds the output of a run")


def own_statements(stub: ExerciseCell, solved: ExerciseCell) -> str:
    """The solution's source from the first statement on that the stub's question does not have."""
    asked, told = (ast.parse(cell.before).body for cell in (stub, solved))
    shared = 0
    while shared < min(len(asked), len(told)) and _same(asked[shared], told[shared]):
        shared += 1
    if shared == len(told):
        raise NotAStub(f"exercise {stub.exercise_id}: its solution adds nothing to the question")
    begin = told[shared - 1].end_lineno if shared else 0
    return "\n".join(solved.before.splitlines()[begin:]).strip("\n")


def _same(one: ast.stmt, other: ast.stmt) -> bool:
    return ast.dump(one) == ast.dump(other)


def _names_bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, ast.FunctionDef):
        return {statement.name}
    written = (node for node in ast.walk(statement) if isinstance(node, ast.Name))
    return {node.id for node in written if isinstance(node.ctx, ast.Store)}


def _says_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Assign(targets=[ast.Name()], value=ast.Constant(value=None)):
            return True
        case ast.FunctionDef():
            has_words = ast.get_docstring(statement) is not None
            return all(map(_returns_none, statement.body[1 if has_words else 0 :]))
    return False


def _returns_none(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Return(value=None | ast.Constant(value=None)):
            return True
        case ast.Expr(value=ast.Constant(value=value)):
            return value is Ellipsis
    return False
