"""Which partition does a record go to? The client decides, not the broker.

| client | record has a key | record has none |
|---|---|---|
| Java, kafka-python, aiokafka | murmur2(key) & 0x7fffffff mod partitions | sticky or random |
| librdkafka (kcat, confluent-kafka): `consistent_random` | CRC-32(key) mod partitions | sticky |

Two clients of different families therefore put the *same* key into *different* partitions, unless
librdkafka is told `partitioner=murmur2_random`. And whoever adds partitions to a topic changes the
modulus: most keys move, their order across the change is lost.

Left out: that clients without a key avoid partitions whose leader is away or slow (KIP-794), and
that librdkafka changes its sticky partition by time (`sticky.partitioning.linger.ms`), not bytes.
"""

from __future__ import annotations

import random
import zlib

_SEED = 0x9747B28C
_MIX = 0x5BD1E995  # murmur2's multiplier
_U32 = 0xFFFFFFFF


def murmur2(key: bytes) -> int:
    """Murmur2 of a key, as an unsigned 32-bit number.

    Kafka's variant has a fixed seed and reads the key in little-endian words (source: Kafka's
    `Utils.murmur2`, after Austin Appleby's MurmurHash2, which is in the public domain).
    """
    mixed = _SEED ^ len(key)
    whole_words = len(key) & ~3
    for at in range(0, whole_words, 4):
        word = int.from_bytes(key[at : at + 4], "little") * _MIX & _U32
        word = (word ^ word >> 24) * _MIX & _U32
        mixed = (mixed * _MIX & _U32) ^ word
    if rest := key[whole_words:]:
        mixed = (mixed ^ int.from_bytes(rest, "little")) * _MIX & _U32
    mixed = (mixed ^ mixed >> 13) * _MIX & _U32
    return mixed ^ mixed >> 15


def java_partition(key: bytes, partition_count: int) -> int:
    """Where Java's producer puts a key: the sign bit is masked away, not negated.

    Source: Kafka's `BuiltInPartitioner.partitionForKey`.
    """
    return (murmur2(key) & 0x7FFFFFFF) % partition_count


def librdkafka_partition(key: bytes, partition_count: int) -> int:
    """Where librdkafka's default partitioner puts a key that is not empty.

    An empty key counts as none there. Source: `rd_kafka_msg_partitioner_consistent`.
    """
    return zlib.crc32(key) % partition_count


class StickyPartitioner:
    """Records without a key: all to one partition until it has had a batch's worth of bytes.

    Spreading them one by one would be just as fair and would leave every batch nearly empty: this
    is how the absence of a key becomes larger batches (KIP-480; counted in bytes since KIP-794,
    `BuiltInPartitioner`).
    """

    def __init__(self, partition_count: int, batch_bytes: int, source: random.Random) -> None:
        self._partition_count = partition_count
        self._batch_bytes = batch_bytes
        self._source = source
        self._appended_bytes = 0
        self._current = source.randrange(partition_count)

    def partition(self, record_bytes: int) -> int:
        """The partition for the next record, and take note of its size."""
        if self._appended_bytes >= self._batch_bytes:
            self._current = self._source.randrange(self._partition_count)  # may be the same again
            self._appended_bytes = 0
        self._appended_bytes += record_bytes
        return self._current
