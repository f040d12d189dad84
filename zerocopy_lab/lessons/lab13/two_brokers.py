"""Lab 13: this kit's broker and the one that BROKER names, started, filled alike, and ended.

Without Java, or where BROKER does not ask for a Kafka, ours runs alone, and what the other would
say comes from a recorded run. An existing cluster is neither started nor stopped; its topics go
again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from zerocopy_lab.classroom.lab import KAFKA as ASKS_FOR_KAFKA
from zerocopy_lab.classroom.lab import OURS as ASKS_FOR_OURS
from zerocopy_lab.classroom.lab import nobody_is_watching
from zerocopy_lab.instruments.unavailable import Unavailable
from zerocopy_lab.running import apache_kafka, flight_events
from zerocopy_lab.running.existing_cluster import AnyBroker, ExistingCluster
from zerocopy_lab.running.passing_topic import a_topic
from zerocopy_lab.running.running_broker import Kind, RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.running.tls_listener import self_signed, tls_listener

Broker = AnyBroker

OURS, KAFKA = "zerocopy_lab", "Apache Kafka"
HEAP = "-Xmx512m"
_EVENTS = 60_000
_BATCH_BYTES = 4096

HOW_TO_GET_JAVA = (
    "sudo apt-get install openjdk-17-jre-headless maven   # or your system's Java 17 and Maven",
    "python -m zerocopy_lab kafka fetch                   # Kafka's jars, once, by Maven",
)
"""Two lines. (With a Kafka of one's own: KAFKA_HOME, and Java alone.)"""


class TwoBrokers:
    """What was started, by name: `brokers`, the seconds that it took, topics, doors for TLS.

    `topics` hold flight events in batches of at most 4 KiB, `steady` are for single messages.
    `asked` is the broker that BROKER names; `why_alone` says why there is no other beside ours.
    `settings` are for the one that is asked, to see what a lab makes of another configuration.
    """

    def __init__(self, which: str, settings: Mapping[str, str] | None = None) -> None:
        self._settings = dict(settings or {})
        self.brokers: dict[str, Broker] = {}
        self.started_s: dict[str, float] = {}
        self.topics: dict[str, str] = {}
        self.steady: dict[str, str] = {}
        self.tls_ports: dict[str, int] = {}
        self.why_alone = ""
        self._until_the_end = ExitStack()
        scratch = self._until_the_end.enter_context(ScratchDirectory("13"))
        self.scratch: Path = scratch.path
        try:
            self._pem: Path | None = self_signed(scratch.path)
        except Unavailable as reason:
            self._pem = None
            print(f"Nothing is asked over TLS: {reason}")
        try:
            self._start(OURS, "zerocopy_lab", is_asked=which == ASKS_FOR_OURS)
            if which == ASKS_FOR_KAFKA:
                self._start_kafka()
            elif which != ASKS_FOR_OURS:
                self.brokers[f"the cluster at {which}"] = ExistingCluster(which)
                self.why_alone = "the process of a cluster elsewhere cannot be seen from here"
            else:
                self.why_alone = 'BROKER = "kafka" starts a real one'
            for name in self.brokers:
                self._fill(name)
        except BaseException:
            self.close()
            raise

    @property
    def asked(self) -> Broker:
        """The one that BROKER names; ours where it stands in."""
        return list(self.brokers.values())[-1]

    @property
    def asked_name(self) -> str:
        """Its name in `brokers`."""
        return list(self.brokers)[-1]

    @property
    def running(self) -> dict[str, RunningBroker]:
        """Those whose processes and files can be seen."""
        return {k: each for k, each in self.brokers.items() if isinstance(each, RunningBroker)}

    def restart_kafka(self, change: Callable[[Path], None]) -> None:
        """Stops the Kafka, lets `change` do something to its data directory, starts another one on
        it, without TLS.
        """
        before = self.running[KAFKA]
        before.stop()
        change(before.data_dir)
        again = RunningBroker(before.data_dir, kind="kafka", environment={"KAFKA_HEAP_OPTS": HEAP})
        self._until_the_end.callback(again.close)
        start_showing(again, f"{KAFKA} {again.version} starts again, on changed files")
        self.brokers[KAFKA] = again
        self.tls_ports.pop(KAFKA, None)

    def close(self) -> None:
        """Ends whatever was started; safe to call twice."""
        self._until_the_end.close()

    def _start_kafka(self) -> None:
        reason = apache_kafka.unavailable()
        if reason is None:
            self._start(KAFKA, "kafka", is_asked=True)
            return
        self.why_alone = f"no Apache Kafka here: {reason}"
        print(f"No Apache Kafka can start here: {reason}. To get one, two lines:")
        print(*HOW_TO_GET_JAVA, sep="\n")

    def _start(self, name: str, kind: Kind, *, is_asked: bool) -> None:
        options: dict[str, Any] = {"settings": {}}
        if self._pem is not None:
            listener = tls_listener(self._pem)
            options, self.tls_ports[name] = listener.for_the_broker, listener.port
        if kind == "zerocopy_lab":  # else it would spare itself what a Kafka cannot: BBR over
            # loopback, and that others wait for the disk with a cold reader
            options["options"] = [*options.get("options", []), "--congestion-control", "system"]
            options["settings"]["cold.read.threads"] = "0"
        options["settings"] |= self._settings if is_asked else {}
        broker = RunningBroker(kind=kind, environment={"KAFKA_HEAP_OPTS": HEAP}, **options)
        self._until_the_end.callback(broker.close)
        heap = f", a heap of at most {HEAP[4:-1]} MiB" if kind == "kafka" else ""
        self.started_s[name] = start_showing(broker, f"{name} {broker.version} starts{heap}")
        self.brokers[name] = broker

    def _fill(self, name: str) -> None:
        broker = self.brokers[name]
        keep = self._until_the_end.enter_context
        self.topics[name], self.steady[name] = keep(a_topic(broker)), keep(a_topic(broker))
        events = flight_events.repeated(_EVENTS)
        config = {"batch.size": _BATCH_BYTES}
        flight_events.produce(broker.bootstrap, self.topics[name], events, config)


def start_showing(broker: RunningBroker, words: str) -> float:
    """Starts a broker, with a dot for each second where somebody watches; how many seconds it
    took. Raises BrokerNotRunning with the end of its log.
    """
    failures: list[BaseException] = []

    def start() -> None:
        try:
            broker.start()
        except BaseException as error:  # handed on to the one who waits
            failures.append(error)

    began = time.monotonic()
    starting = threading.Thread(target=start)
    starting.start()
    dot = "" if nobody_is_watching() else "."
    print(words, end=" " if dot else "", flush=bool(dot))
    while starting.is_alive():
        starting.join(timeout=1)
        print(dot if starting.is_alive() else "", end="", flush=bool(dot))
    if failures:
        print(" it did not start")
        raise failures[0]
    took_s = time.monotonic() - began
    print(f" {took_s:.1f} s")
    return took_s
