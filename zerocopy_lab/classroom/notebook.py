"""What a notebook imports: the verbs of a lab, its brokers, and the values of a conclusion."""

from __future__ import annotations

from zerocopy_lab.classroom.conclusion import conclude
from zerocopy_lab.classroom.exercises import check, hint, practice
from zerocopy_lab.classroom.explore import Choice, Number, Slider, Steps, Stops, explore, play
from zerocopy_lab.classroom.kept_parts import keep, take_out
from zerocopy_lab.classroom.lab import start_lab
from zerocopy_lab.classroom.prediction import Seen, predict
from zerocopy_lab.running.existing_cluster import broker_for, broker_with_files
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory

__all__ = [
    "Choice",
    "Number",
    "RunningBroker",
    "ScratchDirectory",
    "Seen",
    "Slider",
    "Steps",
    "Stops",
    "broker_for",
    "broker_with_files",
    "check",
    "conclude",
    "explore",
    "hint",
    "keep",
    "play",
    "practice",
    "predict",
    "start_lab",
    "take_out",
]
