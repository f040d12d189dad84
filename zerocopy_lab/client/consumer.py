"""A consumer that asks for bytes from an offset on and shows what came."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.versions import ApiKey

VERSION = 11


class Fetched(NamedTuple):
    """What one partition answered. `records` may end in the middle of a batch and begin before the
    offset asked for.
    """

    error_code: int
    high_watermark: int
    records: bytes


def fetch_frame(
    wire: Frames,
    topic: str,
    partition: int,
    offset: int,
    *,
    max_bytes: int = 1 << 20,
    min_bytes: int = 1,
    max_wait_ms: int = 0,
    version: int = VERSION,
) -> bytes:
    """The bytes of a Fetch request for one partition."""
    types = messages.types_of(ApiKey.fetch, version, "request")
    wanted = messages.make(
        types.FetchPartition,
        partition=partition,
        fetch_offset=offset,
        partition_max_bytes=max_bytes,
    )
    return wire.encode(
        ApiKey.fetch,
        version,
        replica_id=-1,
        max_wait=timedelta(milliseconds=max_wait_ms),
        min_bytes=min_bytes,
        max_bytes=max_bytes,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=(messages.make(types.FetchTopic, topic=topic, partitions=(wanted,)),),
        forgotten_topics_data=(),
        rack_id="",
    )


def fetch(wire: Wire, topic: str, partition: int, offset: int, **limits: int) -> Fetched:
    """Ask for the batches from `offset` on; the limits are those of `fetch_frame`, except its
    version.
    """
    wire.send_frame(fetch_frame(wire, topic, partition, offset, **limits))
    _, response = messages.decode_response(ApiKey.fetch, VERSION, wire.receive_frame())
    answer = response.responses[0].partitions[0]
    return Fetched(int(answer.error_code), answer.high_watermark, bytes(answer.records or b""))
