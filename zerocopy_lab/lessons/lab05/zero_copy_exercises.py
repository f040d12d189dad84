"""The exercises of lab 05: a transfer of one's own, a limit, and what keeps references safe."""

from __future__ import annotations

import math
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zerocopy_lab.classroom.exercises import NOT_ATTEMPTED, Exercise, Grade, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.conformance.promises_of_bytes import exact_bytes, many_slices
from zerocopy_lab.conformance.transfer_strategies import check_conformance
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.measuring.alias_test import alias_test
from zerocopy_lab.transfer.connections import connected_pair
from zerocopy_lab.transfer.strategy import MOST_BYTES_PER_CALL, Transfer

Send = Callable[[socket.socket, FileSlice, int], Any]


def transfer_of(send: Send) -> type[Transfer]:
    """A transfer strategy whose `send` is a learner's function."""

    class Learners(Transfer):
        name = "yours"

        def send(self, sock: socket.socket, piece: FileSlice, sent_bytes: int) -> int:
            moved_bytes: int = send(sock, piece, sent_bytes)
            return moved_bytes

    return Learners


def _grade_transfer(answer: Any, lab: Lab) -> Grade:
    if not callable(answer):
        return failed("The answer is a function: my_send(sock, piece, sent_bytes).")
    if _does_nothing(answer):
        return NOT_ATTEMPTED
    strategy = transfer_of(answer)
    for found in check_conformance(strategy, checks=(exact_bytes, many_slices)):
        if found.problem is not None:
            return failed(f"Wrong bytes ({found.check}, {found.family}): {found.problem}")
    verdict = alias_test(strategy)
    if verdict.verdict == "alias":
        return passed(f"The right bytes, and nobody copied: {verdict.detail}.")
    return failed(
        f"The right bytes, but copied: {verdict.detail}. Reading them makes them yours; which "
        "system call names the file and the socket at once?"
    )


def _does_nothing(send: Send) -> bool:
    """Whether it is still the stub, which returns None whatever it is given."""
    with tempfile.NamedTemporaryFile() as file, connected_pair("tcp") as pair:
        file.write(b"a few bytes")
        file.flush()
        piece = FileSlice(OpenFile.open(Path(file.name)), 0, 11)
        return send(pair.sender, piece, 0) is None


def bytes_to_send(lab: Lab) -> int:
    """A learner's own large file for exercise 05.2: just over some whole number of 2 GiB."""
    draw = lab.random("bytes to send")
    return draw.randrange(3, 40) * (1 << 31) - draw.randrange(1, 2000)


def _grade_calls(answer: Any, lab: Lab) -> Grade:
    file_bytes = bytes_to_send(lab)
    if answer == math.ceil(file_bytes / MOST_BYTES_PER_CALL):
        return passed("One page less than 2 GiB per call, and that page adds up.")
    if answer == math.ceil(file_bytes / (1 << 31)):
        return failed("Close: one call moves a little less than 2 GiB. What did it move above?")
    return failed("Divide by what one call moved above. A started call is a whole call.")


_SAFE = {"append", "unlink"}
_WHY_NOT = {
    "overwrite": "The socket holds the page itself: whoever writes into it changes what arrives.",
    "truncate": "The bytes are gone for the one who still has to send them.",
}


def _grade_safe(answer: Any, lab: Lab) -> Grade:
    chosen = {str(each).strip().lower() for each in answer}
    if chosen == _SAFE:
        return passed("A log only ever does these two, so it may hand out references to its pages.")
    for wrong, why in _WHY_NOT.items():
        if wrong in chosen:
            return failed(f"Not {wrong}. {why}")
    missing = _SAFE - chosen
    hint = {
        "append": "What happens to bytes that are already there when others are put behind them?",
        "unlink": "Unlinking removes a name. When do the bytes go, if somebody has the file open?",
    }
    return failed(" ".join(hint[each] for each in sorted(missing)))


EXERCISES = (
    Exercise("05.1", "Send a slice of a file without copying it.", _grade_transfer),
    Exercise("05.2", "How many calls does your file need at least?", _grade_calls),
    Exercise("05.3", "What may happen to a file while it is sent?", _grade_safe),
)
