"""A Fetch request: which partitions, from which offset on, how much, and for how long to wait.

    version   4..11                                      size
              replica_id (unused: nobody follows)        i32
              max_wait_ms, min_bytes, max_bytes          i32 i32 i32
              isolation_level (unused)                   i8
     7+       session_id, session_epoch                  i32 i32
              [topic name                                string
                [partition                               i32
     9+          current_leader_epoch                    i32
                 fetch_offset                            i64
     5+          log_start_offset (of a follower)        i64
                 partition_max_bytes                     i32
                ]]
     7+       [forgotten topic [partition]]              of a fetch session
    11        rack_id                                    string

Read by hand, and not by kio, because it stands before every byte that is fetched: with kio the
broker's part of a small fetch took twice as long.

Source: Kafka's `FetchRequest.json`.
"""

from __future__ import annotations

from struct import Struct, error
from typing import NamedTuple

from zerocopy_lab.errors import FrameError
from zerocopy_lab.protocol.reader import Reader

_I16, _I32 = Struct(">h"), Struct(">i")


class _Layout(NamedTuple):
    """What a version looks like."""

    head: Struct  # max_wait_ms, min_bytes, max_bytes, (session_id,) number of topics
    partition: Struct  # partition, fetch_offset, partition_max_bytes
    usual_end: bytes  # no forgotten topic, no rack


_V4 = _Layout(Struct(">4xiiixi"), Struct(">iqi"), b"")
_V5 = _V4._replace(partition=Struct(">iq8xi"))
_V7 = _V5._replace(head=Struct(">4xiiixi4xi"), usual_end=bytes(4))
_V9 = _V7._replace(partition=Struct(">i4xq8xi"))
_V11 = _V9._replace(usual_end=bytes(6))
_LAYOUTS = {4: _V4, 5: _V5, 6: _V5, 7: _V7, 8: _V7, 9: _V9, 10: _V9, 11: _V11}


class WantedPartition(NamedTuple):
    """What is asked of one partition."""

    partition: int
    fetch_offset: int
    partition_max_bytes: int


class WantedTopic(NamedTuple):
    """What is asked of one topic."""

    topic: str
    partitions: list[WantedPartition]


class FetchRequest(NamedTuple):
    """The request's fields by their names in Kafka; in milliseconds and bytes."""

    max_wait_ms: int
    min_bytes: int
    max_bytes: int
    session_id: int
    topics: list[WantedTopic]


def read_fetch_request(frame: memoryview, at: int, version: int) -> FetchRequest:
    """Parse the body that begins at byte `at` of `frame`. Raises FrameError when it is not what
    `version` says.
    """
    layout = _LAYOUTS[version]
    topics = []
    try:
        max_wait_ms, min_bytes, max_bytes, *session, count = layout.head.unpack_from(frame, at)
        if count < 0:
            raise FrameError(f"an array of {count} topics")
        at += layout.head.size
        for _ in range(count):
            topic, at = _topic(frame, at, layout.partition)
            topics.append(topic)
        if frame[at:] != layout.usual_end:
            _check_the_end(Reader(frame, at), version)
    except error:
        raise FrameError(f"a Fetch request cut off at byte {len(frame)}") from None
    except UnicodeDecodeError:
        raise FrameError("a topic name that is not UTF-8") from None
    return FetchRequest(max_wait_ms, min_bytes, max_bytes, session[0] if session else 0, topics)


def _topic(frame: memoryview, at: int, partition: Struct) -> tuple[WantedTopic, int]:
    """The topic that begins at byte `at`, and where it ends."""
    (name_length,) = _I16.unpack_from(frame, at)
    name_end = at + _I16.size + name_length
    (count,) = _I32.unpack_from(frame, name_end)
    begin = name_end + _I32.size
    end = begin + count * partition.size
    if name_length < 0 or not begin <= end <= len(frame):
        raise FrameError(f"a topic name of {name_length} bytes, an array of {count} partitions")
    wanted = [WantedPartition._make(fields) for fields in partition.iter_unpack(frame[begin:end])]
    return WantedTopic(str(frame[at + _I16.size : name_end], "utf-8"), wanted), end


def _check_the_end(reader: Reader, version: int) -> None:
    """Nothing behind the topics is of use to us, but it has to be there."""
    if version >= 7:
        for _ in range(reader.array_length()):
            reader.string()
            for _ in range(reader.array_length()):
                reader.unpack(_I32)
    if version >= 11:
        reader.string()
