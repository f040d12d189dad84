"""What an answer may do while it is examined, and what ends it: found out, not fooled."""

from __future__ import annotations

import random

import pytest

from zerocopy_lab.classroom.exercises import CODE, State
from zerocopy_lab.publishing.examination import Question, graded_again

FAIR = {
    "imports": "import bisect, math, statistics, heapq, decimal, json, re, struct, itertools",
    "defines": "from collections import namedtuple\n"
    "from dataclasses import dataclass\n"
    "from enum import Enum\n"
    "Pair = namedtuple('Pair', 'a b')\n"
    "@dataclass(frozen=True, order=True)\n"
    "class Point:\n    x: int\n    y: int = 0\n"
    "class Way(Enum):\n    IN = 1\n",
    "types": "from typing import NamedTuple\nclass Segment(NamedTuple):\n    base: int\n",
    "catches": "def careful():\n    try:\n        1 / 0\n    except ZeroDivisionError as error:\n"
    "        return str(error)\ncareful()\n",
}
RIGHT = "def answer(counts):\n    {deed}\n    return counts.index(min(counts))\n"

SLY = {
    "frames": "import sys\n    frame = sys._getframe(1)",
    "a traceback": "try:\n        1 / 0\n    except Exception as e:\n"
    "        e.__traceback__.tb_frame",
    "a generator": "g = (1 for _ in 'a')\n    g.gi_frame",
    "the collector": "import gc",
    "the collector, by sys": "import sys\n    sys.modules['gc'].get_objects()",
    "frames, by a module": "import sys\n    sys.modules['inspect'].currentframe()",
    "the package": "from zerocopy_lab.conformance.parts import PARTS",
    "the package, by importlib": "import importlib",
    "the package's function": "__import__('zerocopy_lab.conformance.parts')",
    "a thread": "import threading",
    "a file": "open('x', 'w')",
    "a program": "import subprocess\n    subprocess.run(['true'])",
    "a shell": "import os\n    os.system('true')",
    "memory": "open('/proc/self/mem', 'rb')",
    "its own process": "import os\n    os.kill(os.getppid(), 9)",
    "a signal's frame": "import signal",
    "source text": "exec('import gc')",
    "a tracer": "import sys\n    sys.settrace(print)",
}


def examined(source: str) -> tuple[State, str]:
    draw = random.Random(1).getrandbits(32)
    return graded_again(Question("01.1", CODE, source, 1, draw), cpu_s=5)


@pytest.mark.parametrize("name", FAIR)
def test_what_a_good_answer_may_need_is_let_be(name: str) -> None:
    inside = FAIR[name].replace("\n", "\n    ").strip()
    for source in (FAIR[name] + "\n" + RIGHT.format(deed="pass"), RIGHT.format(deed=inside)):
        state, words = examined(source)
        assert state is State.PASSED, words


@pytest.mark.parametrize("name", SLY)
def test_who_reaches_for_more_is_told_of(name: str) -> None:
    state, words = examined(RIGHT.format(deed=SLY[name]))
    assert state is State.INCONCLUSIVE
    assert "look at it: while it was examined it reached for" in words


def test_what_the_module_does_when_it_is_loaded_is_watched_too() -> None:
    source = "import zerocopy_lab.classroom.exercises\n" + RIGHT.format(deed="pass")
    assert "it reached for import zerocopy_lab" in examined(source)[1]


@pytest.mark.parametrize(
    ("kind", "answer", "state"),
    [
        (CODE, "def answer(:", State.FAILED),
        (CODE, "something_else = 1", State.FAILED),
        (CODE, "def answer(counts):\n    return None", State.NOT_ATTEMPTED),
        ("value", "__import__('os').getpid()", State.FAILED),
        ("value", "(" * 5000, State.FAILED),
        ("nothing", "a lambda", State.INCONCLUSIVE),
        ("a new kind", "x", State.INCONCLUSIVE),
    ],
)
def test_whatever_stands_in_the_file_has_an_answer(kind: str, answer: str, state: State) -> None:
    assert graded_again(Question("01.1", kind, answer, 1, 2), cpu_s=5).state is state


def test_a_function_is_no_answer_where_a_value_is_asked_for() -> None:
    source = "def answer():\n    return 7\n"
    assert graded_again(Question("00.1", CODE, source, 1, 2), cpu_s=5).state is State.FAILED
