"""Whether a log directory is as it should be: every fault with its file and position.

| file | what is checked |
|---|---|
| .log, .index, .timeindex, .snapshot, ... | one partition at a time (partition_verification.py) |
| the offset checkpoints | format; no offset lies behind the end of its partition's log |
| meta.properties | format |

Kafka's own check of the kind, `DumpLogSegments --deep-iteration`, looks at one file after the
other. What lies between files it does not see: a missing segment, a checkpoint beyond the end, an
epoch that never was.

Read-only, and meant for directories at rest: while a broker writes, the last batch may be half
there. Files on their way in or out (`.deleted`, `.cleaned`, `.swap`, `-delete`) are left out, as no
reader sees them.
"""

from __future__ import annotations

from pathlib import Path

from zerocopy_lab.inspect.files import OFFSET_CHECKPOINTS
from zerocopy_lab.inspect.partition_verification import Findings, verify_partition
from zerocopy_lab.log.checkpoints import CLEANER_FILE, read_lines
from zerocopy_lab.log.file_names import (
    TopicPartition,
    parse_partition_directory,
    parse_segment_file,
)
from zerocopy_lab.log.settings import MAX_INT64, TopicSettings
from zerocopy_lab.log.startup.identity_files import META_PROPERTIES_FILE, MetaProperties
from zerocopy_lab.log.startup.topic_registry import read_topics


def verify(directory: Path, *, deep: bool = False) -> Findings:
    """What was found in a `log.dir`, or in one partition's directory.

    `deep` also opens every batch and reads its records: needed to find a batch whose CRC is right
    but whose records never were. Raises ValueError when the directory is neither; OSError.
    """
    findings = Findings()
    names = sorted(path.name for path in directory.iterdir())
    partitions = [key for name in names if (key := parse_partition_directory(name))]
    if any(parse_segment_file(name) for name in names):
        key = parse_partition_directory(directory.resolve().name)
        gaps_below = _gaps_below(directory.resolve().parent).get(key, 0) if key else 0
        verify_partition(directory, findings, gaps_below=gaps_below, deep=deep)
    elif partitions or META_PROPERTIES_FILE in names:
        _verify_log_dir(directory, partitions, findings, deep)
    else:
        raise ValueError(
            f"{directory} is neither a log.dir (no {META_PROPERTIES_FILE}, no partition in it) "
            "nor a partition's directory (no segment in it)"
        )
    return findings


def _verify_log_dir(
    directory: Path, partitions: list[TopicPartition], findings: Findings, deep: bool
) -> None:
    try:
        MetaProperties.load(directory)
    except ValueError as error:
        findings.add(directory / META_PROPERTIES_FILE, None, error)
    gaps = _gaps_below(directory)
    ends = {}
    for key in partitions:
        path = directory / str(key)
        try:
            ends[key] = verify_partition(path, findings, gaps_below=gaps.get(key, 0), deep=deep)
        except OSError as error:  # this partition alone: the others can be read
            findings.add(Path(error.filename or path), None, error.strerror or error)
    for name in OFFSET_CHECKPOINTS:
        path = directory / name
        try:
            reached = _offsets(path)
        except ValueError as error:
            findings.add(path, None, error)
            continue
        for key, offset in reached.items():
            end = ends.get(key, offset)  # elsewhere by now, or told already: no fault
            if offset > end:
                findings.add(
                    path, None, f"{key} is to reach offset {offset}, its log ends at {end}"
                )


def _gaps_below(directory: Path) -> dict[TopicPartition, int]:
    """Up to which offset compaction may have made gaps. It swaps first and writes the checkpoint
    afterwards, so in between only the topic's settings can tell.
    """
    try:
        gaps = _offsets(directory / CLEANER_FILE)
    except ValueError:
        gaps = {}  # reported with the other checkpoints
    try:
        topics = read_topics(directory, TopicSettings())[1].topics
    except OSError:
        topics = {}  # then a gap is a fault
    for name, topic in topics.items():
        if topic.settings.compacts:
            gaps |= {TopicPartition(name, number): MAX_INT64 for number in range(topic.partitions)}
    return gaps


def _offsets(path: Path) -> dict[TopicPartition, int]:
    """The offsets in a checkpoint. Raises ValueError where it is damaged."""
    if path.exists() and not path.stat().st_size:
        return {}  # how Kafka creates one
    entries = read_lines(path, fields_per_line=3)
    return {TopicPartition(topic, int(number)): int(offset) for topic, number, offset in entries}
