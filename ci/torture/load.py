"""Five topics under load, with their ledgers and writers. How they are kept differs:

| topic | writers | what may go |
|---|---|---|
| plain | an idempotent and another one | nothing |
| kept | an idempotent and another one | old segments: retention.bytes |
| table | idempotent, fifty keys, tombstones | replaced records: cleanup.policy=compact |
| both | idempotent, fifty keys, tombstones | both: cleanup.policy=compact,delete |
| flushed | an idempotent and another one | nothing: and flush.messages=1 |

Segments are short, so something is always rolled, deleted or compacted.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ci.torture.ledger import Ledger, Wrong
from ci.torture.questions import create_topic, delete_topic, read_all
from ci.torture.writers import Writer
from zerocopy_lab.client.wire import Wire

_SHORT_SEGMENTS = {
    "segment.bytes": "300000",
    "index.interval.bytes": "512",
    "file.delete.delay.ms": "100",
    "retention.ms": "-1",
}
_COMPACT = {"cleanup.policy": "compact", "min.cleanable.dirty.ratio": "0.01"}
_RETENTION_BYTES = 1_000_000
_RETAIN = {"retention.bytes": str(_RETENTION_BYTES)}
_KINDS = {
    "plain": _SHORT_SEGMENTS,
    "kept": {**_SHORT_SEGMENTS, **_RETAIN},
    "table": {**_SHORT_SEGMENTS, **_COMPACT},
    "both": {**_SHORT_SEGMENTS, **_COMPACT, **_RETAIN, "cleanup.policy": "compact,delete"},
    "flushed": {**_SHORT_SEGMENTS, "flush.messages": "1"},
}


class Load:
    """One generation of the topics: they are made, written to, and deleted together."""

    def __init__(self, number: int, seed: str) -> None:
        self.ledgers: dict[str, Ledger] = {}
        self.writers: list[Writer] = []
        for kind in _KINDS:
            topic = f"{kind}-{number}"
            ledger = Ledger(
                topic,
                may_begin_late=kind in ("kept", "both"),
                may_have_gaps=kind in ("table", "both"),
            )
            self.ledgers[topic] = ledger
            keys = 50 if ledger.may_have_gaps else 0
            for idempotent in (True,) if keys else (True, False):
                name = f"{topic}-{'idempotent' if idempotent else 'plain'}"
                writer = Writer(name, topic, ledger, idempotent=idempotent, keys=keys, seed=seed)
                self.writers.append(writer)

    def create(self, wire: Wire) -> None:
        """Makes the topics."""
        for topic in self.ledgers:
            create_topic(wire, topic, _KINDS[topic.partition("-")[0]])

    def delete(self, wire: Wire) -> None:
        """All of it, and nothing of it comes back."""
        for topic in self.ledgers:
            delete_topic(wire, topic)

    @contextmanager
    def running(self, port: int, *, may_be_refused: bool = False) -> Iterator[threading.Event]:
        """Writes until the block ends, or the broker does. Raises what a writer found wrong."""
        stop = threading.Event()
        threads = [
            threading.Thread(
                target=writer.run, args=(port, stop), kwargs={"may_be_refused": may_be_refused}
            )
            for writer in self.writers
        ]
        for thread in threads:
            thread.start()
        try:
            yield stop
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        for writer in self.writers:
            if writer.failure is not None:
                raise writer.failure

    def check(self, wire: Wire, data_dirs: Sequence[Path]) -> None:
        """Compares every topic with its ledger. Raises Wrong."""
        for topic, ledger in self.ledgers.items():
            ledger.check(*read_all(wire, topic))
            if topic.startswith("kept") and ledger.begins_at > 0:
                logs = [log for path in data_dirs for log in path.glob(f"{topic}-0/*.log")]
                kept_bytes = sum(path.stat().st_size for path in logs)
                if kept_bytes < _RETENTION_BYTES:  # retention never leaves less than it should
                    raise Wrong(f"{topic}: only {kept_bytes} bytes were kept")
