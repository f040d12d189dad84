"""What a Python of its own says, and what is made of its end."""

from __future__ import annotations

import pytest

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.measuring.another_python import ask_python

IMPORT = "from zerocopy_lab.instruments.unavailable import Unavailable"


def test_what_it_says_is_told() -> None:
    assert ask_python(["-c", "print(6 * 7)"], "", "a sum") == "42\n"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("open('/nowhere/at/all')", "FileNotFoundError"),
        ("raise ConnectionRefusedError('shut')", "ConnectionRefusedError: shut"),
        ("raise SystemExit('no mounts here')", "no mounts here"),
        ("raise SystemExit(3)", "it said nothing"),
        (f"{IMPORT}; raise Unavailable('a', 'b', 'c')", "a is not available here: b"),
    ],
)
def test_what_the_system_refuses_is_not_to_be_had(code: str, reason: str) -> None:
    with pytest.raises(Unavailable, match=reason):
        ask_python(["-c", code], "", "a file")


@pytest.mark.parametrize("code", ["assert 1 > 2", "{}['missing']", "raise ValueError('OSError:')"])
def test_a_mistake_of_the_program_is_no_lack_of_the_machine(code: str) -> None:
    with pytest.raises(RuntimeError, match=r"could be had, and then: Traceback"):
        ask_python(["-c", code], "", "an answer")
