"""The alias test on what a broker answers to a Fetch from the start of a topic."""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.wire import Frames
from zerocopy_lab.measuring.alias_test import PROBE_BYTES, AliasVerdict, alias_test_of_broker
from zerocopy_lab.running.existing_cluster import AnyBroker

MANY_BYTES = 192 << 10
"""To judge of an answer: far more than one call moves, so that who copies later on is seen."""


def first_segment(broker: AnyBroker, topic: str) -> Path:
    """The first file of partition 0. Raises Unavailable where it is another machine's."""
    return Path(broker.data_dir) / f"{topic}-0" / f"{0:020d}.log"


def alias_test_of_topic(
    broker: AnyBroker, topic: str, *, fetch_bytes: int = 1 << 20, probe_bytes: int = PROBE_BYTES
) -> AliasVerdict:
    """Of an answer of so many bytes the first `probe_bytes` are judged. Raises Unavailable where
    the file is out of reach, and whatever `alias_test_of_broker` raises.
    """
    segment = first_segment(broker, topic)
    request = fetch_frame(Frames(), topic, 0, 0, max_bytes=fetch_bytes)
    return alias_test_of_broker(broker.host, broker.port, segment, request, probe_bytes=probe_bytes)
