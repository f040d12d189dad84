"""A Kafka somewhere else, by its address: it can be asked, and not seen from afar.

It has the address of a RunningBroker and stands in its place. Its process and its files are on
another machine (or simply not ours): whoever asks for them gets `NotSeenFromAfar`, an Unavailable
like that of any instrument that is missing, so that a lab says *not testable here* and goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn, Self

from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running.running_broker import RunningBroker


class NotSeenFromAfar(Unavailable):
    """Needs the process or the files of a broker that runs elsewhere."""

    def __init__(self, what: str, address: str) -> None:
        super().__init__(
            what, f"the cluster at {address} runs elsewhere", 'BROKER = "kafka" starts one here'
        )


class ExistingCluster:
    """An address that was given. Entering and leaving the block starts and stops nothing."""

    kind = "cluster"
    version = ""

    def __init__(self, bootstrap: str) -> None:
        self.bootstrap = bootstrap
        host, _, port = bootstrap.rpartition(":")
        self.host, self.port = host, int(port)

    @property
    def pid(self) -> NoReturn:
        """Raises NotSeenFromAfar."""
        raise NotSeenFromAfar("the broker's process", self.bootstrap)

    @property
    def data_dir(self) -> NoReturn:
        """Raises NotSeenFromAfar."""
        raise NotSeenFromAfar("the broker's directory", self.bootstrap)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


AnyBroker = RunningBroker | ExistingCluster


def broker_for(which: str, data_dir: Path | None = None, **options: Any) -> AnyBroker:
    """The broker that the notebook's BROKER names; `options` as for RunningBroker.

    What only ours can do (`transfer`, `parts`) is left to the caller: ask `which` first.
    """
    if which == "zerocopy_lab":
        return RunningBroker(data_dir, **options)
    if which == "kafka":
        return RunningBroker(data_dir, kind="kafka", **options)
    return ExistingCluster(which)


def broker_with_files(which: str, data_dir: Path | None = None, **options: Any) -> RunningBroker:
    """`broker_for`, where a lab reads the broker's own files: those of an existing cluster are not
    to be seen, so a broker of this kit stands in, and says so.
    """
    broker = broker_for(which, data_dir, **options)
    if isinstance(broker, RunningBroker):
        return broker
    print(f"The files of {which} cannot be seen from here: a broker of this kit stands in.")
    return RunningBroker(data_dir, **options)
