"""Disk: the log of every partition, from file names up to log directories.

On the way of a byte, in this order:

    partitions       a name -> its log
    partition_log    append, roll, read, flush
    segment          a .log file: append a batch, locate an offset
    indexes          offset -> position, timestamp -> offset
    producer_state   what was sent twice is stored once
    open_files       who may keep a descriptor
    local_log        the segments as a whole, and what upkeep does to them

What these stand on:

    segment_files    the files of a segment as a whole
    index_files      how the entries of the indexes lie in their files
    file_names       what a name says: topic, partition, base offset
    atomic_file      what is on disk, what is not, and what nobody knows
    batch_scan       walking over the batches of a file
    batch_rules      what a batch must be
    opened_batch     the same for one whose records are looked at
    availability     whether a log may be used, and what is said when not
    leader_epochs, producer_snapshots      the small files beside the segments
    time_lookup      the first record of at least a time
    startup/         opening a directory after a bad or a good end; all directories, and the topics
    upkeep/          flushing, retention, compaction: what happens behind the requests' back

`errors` go up from here; only recovery swallows a torn tail.
"""

from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.partition_log import Appended, PartitionLog
from zerocopy_lab.log.partitions import Partitions, TopicInfo
from zerocopy_lab.log.settings import TopicSettings

__all__ = [
    "Appended",
    "PartitionLog",
    "Partitions",
    "TopicInfo",
    "TopicPartition",
    "TopicSettings",
]
