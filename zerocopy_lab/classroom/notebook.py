"""What a notebook imports: the six verbs of a lab, the broker, and the values of a conclusion."""

from __future__ import annotations

from zerocopy_lab.classroom.conclusion import conclude
from zerocopy_lab.classroom.exercises import check
from zerocopy_lab.classroom.explore import Choice, Slider, explore, play
from zerocopy_lab.classroom.lab import start_lab
from zerocopy_lab.classroom.prediction import predict
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory

__all__ = [
    "Choice",
    "RunningBroker",
    "ScratchDirectory",
    "Slider",
    "check",
    "conclude",
    "explore",
    "play",
    "predict",
    "start_lab",
]
