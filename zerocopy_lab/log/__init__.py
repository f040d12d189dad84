"""Disk: the log of every partition, from file names up to log directories.

Read it bottom-up:

    file_names       what a name says: topic, partition, base offset
    offset_index     offset -> position         time_index   timestamp -> offset
    index_columns    entries of a file <-> arrays         segment_indexes  both, of one segment
    batch_scan       walking over the batches of a file
    segment          a .log file and its indexes
    producer_state, producer_snapshots, leader_epochs, checkpoints, identity_files, atomic_file
                     the small files around them
    admission        what a batch must be                 rolling     when a segment is full
    availability     whether a log may be used, and what is said when not
    segment_row      segments in a row: which one has an offset, which ones are to be removed
    partition_log    one partition: append, roll, read, flush
    time_lookup, retention, compaction, segment_info
                     what is asked of, taken from, and told about a log
    wording          sizes and times as people say them
    partitions       which log a topic's partition has
    recovery, loading      opening a directory after a bad or a good end
    log_directory, log_directories, topic_registry, leftovers
                     one log.dir; all of them, the topics, and what is left of deleted ones
    rounds           whose turn it is in housekeeping
    inspection, verification, partition_verification  files as they are, and what is wrong with them

`errors` go up from here; only recovery swallows a torn tail.
"""

from zerocopy_lab.log.file_names import TopicPartition
from zerocopy_lab.log.partition_log import Appended, PartitionLog
from zerocopy_lab.log.partitions import Partitions, TopicInfo
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.log_directories import LogDirectories

__all__ = [
    "Appended",
    "LogDirectories",
    "PartitionLog",
    "Partitions",
    "TopicInfo",
    "TopicPartition",
    "TopicSettings",
]
