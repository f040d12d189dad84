"""zerocopy_lab: how Kafka moves millions of messages a second, to be seen and measured.

The stops of one byte, from the producer's socket to the consumer's:

     1  network/inbox.py       recv: socket buffer -> receive buffer          (the CPU copies)
     2  protocol/produce.py    where in it are the batches? views, no copies
     3  records/batch.py       is the batch whole? CRC-32C; the base offset is patched in place
     4  log/segment.py         write: receive buffer -> page cache            (the CPU copies)
        .. some time later the kernel writes the page to the disk; nobody waits for it ..
     5  log/partition_log.py   "from offset N, please" -> index -> a FileSlice, unread
     6  protocol/fetch.py      the response: bytes, slice, bytes
     7  network/outbox.py      what the socket will not take now goes later
     8  transfer/sendfile.py   sendfile: page cache -> socket, by reference   (nobody copies)

Around them: `broker` decides, `client` shows both ends, `instruments` measure, `placement`
computes, `pictures` draw and `classroom` has the verbs of a lab. `python -m zerocopy_lab --help`
lists the commands; the labs are in `labs/`. In a notebook, `zerocopy_lab.console(broker)` shows a
running broker's topics, segments and pages.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

JOURNEY = (
    "network/reactor.py",
    "network/connection.py",
    "network/inbox.py",
    "protocol/framing.py",
    "broker/dispatch.py",
    "broker/produce.py",
    "protocol/produce.py",
    "log/partitions.py",
    "log/partition_log.py",
    "log/batch_rules.py",
    "records/batch.py",
    "log/segment.py",
    "log/indexes.py",
    "broker/waiting.py",
    "broker/fetch.py",
    "protocol/fetch.py",
    "network/outbox.py",
    "transfer/sendfile.py",
)
"""The files that one Produce and one Fetch pass through, in reading order; a test traces both."""


def __getattr__(name: str) -> Any:
    """`console` is imported when it is asked for: a broker needs no widgets."""
    if name == "console":
        return import_module("zerocopy_lab.classroom.console").console
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
