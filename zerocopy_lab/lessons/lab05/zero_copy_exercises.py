"""The exercises of lab 05: a transfer of one's own, a limit, and what keeps references safe."""

from __future__ import annotations

import math
from typing import Any

from zerocopy_lab.classroom.exercises import Exercise, Grade, building, failed, passed
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.transfer.strategy import MOST_BYTES_PER_CALL


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
    if not isinstance(answer, set | list | tuple):
        return failed('Answer with a set of words, for example {"append", "overwrite"}.')
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
    building(
        "05.1",
        "transfer",
        "Send a slice of a file without copying it.",
        (
            "One system call names the file, the socket, where in the file, and how much.",
            "Where in the file: the slice's own position, and what of it has gone already. How "
            "much: what is left. When nothing is left, return 0 without asking.",
            "os.sendfile(out_fd, in_fd, offset, count) returns how many bytes it moved: just what "
            "is asked of you.",
        ),
    ),
    Exercise(
        "05.2",
        "How many calls does your file need at least?",
        _grade_calls,
        (
            "How much did one call move, when 3 GiB were asked for?",
            "2 GiB less one page. A last call may move less, and is a call all the same.",
            "Divide the file's bytes by 0x7FFFF000 and round up: math.ceil.",
        ),
    ),
    Exercise(
        "05.3",
        "What may happen to a file while it is sent?",
        _grade_safe,
        (
            "The socket refers to pages of the file. Which of the four change a page that is "
            "already referred to, or take it away?",
            "Appending touches what comes behind. Unlinking removes a name, not the bytes: they go "
            "when nobody has the file open any more.",
            "Which of the four does a log ever do to bytes that it has written? Two are left.",
        ),
    ),
)
