"""What a course of one's own may lean on: the names listed here stay, with what they take and give.

Everything else is private to the kit, whatever its name looks like, and may move any day. How they
are used is in docs/use_it_in_your_own_course.md, and a test runs what stands there.
"""

from __future__ import annotations

from zerocopy_lab.classroom.exercises import Exercise, Grade, State, check, failed, hint, passed
from zerocopy_lab.classroom.kept_parts import keep
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.own_lab import start_own_lab
from zerocopy_lab.classroom.student import seed_of
from zerocopy_lab.conformance.part import Examined, Part, examine
from zerocopy_lab.conformance.parts import PARTS, load, part
from zerocopy_lab.conformance.sending import transfer_of
from zerocopy_lab.file_slice import FileSlice
from zerocopy_lab.measuring.alias_test import AliasVerdict, alias_test
from zerocopy_lab.measuring.experiment import Comparison, Outcome, compare
from zerocopy_lab.measuring.racing import Course, Entry, file_to_send, race
from zerocopy_lab.running.flight_events import Traffic, consume, produce, repeated
from zerocopy_lab.running.running_broker import BrokerNotRunning, RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.transfer import strategies

__all__ = [
    "PARTS",
    "AliasVerdict",
    "BrokerNotRunning",
    "Comparison",
    "Course",
    "Entry",
    "Examined",
    "Exercise",
    "FileSlice",
    "Grade",
    "Lab",
    "Outcome",
    "Part",
    "RunningBroker",
    "ScratchDirectory",
    "State",
    "Traffic",
    "alias_test",
    "check",
    "compare",
    "consume",
    "examine",
    "failed",
    "file_to_send",
    "hint",
    "keep",
    "load",
    "part",
    "passed",
    "produce",
    "race",
    "repeated",
    "seed_of",
    "start_own_lab",
    "strategies",
    "transfer_of",
]
