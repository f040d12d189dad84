"""What a notebook imports: the six verbs of a lab, the broker, and the values of a conclusion."""

from __future__ import annotations

from zerocopy_lab.workbench.conclusion import conclude
from zerocopy_lab.workbench.exercises import check
from zerocopy_lab.workbench.explore import Choice, Slider, explore, play
from zerocopy_lab.workbench.lab import start_lab
from zerocopy_lab.workbench.prediction import predict
from zerocopy_lab.workbench.running_broker import RunningBroker

__all__ = [
    "Choice",
    "RunningBroker",
    "Slider",
    "check",
    "conclude",
    "explore",
    "play",
    "predict",
    "start_lab",
]
