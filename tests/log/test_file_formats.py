"""The small formats, as tables of values and bytes, and what bytes from strangers do."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zerocopy_lab.errors import InvalidConfig, InvalidTopic
from zerocopy_lab.log.checkpoints import read_lines, read_offsets, write_offsets
from zerocopy_lab.log.file_names import (
    TopicPartition,
    check_topic_name,
    parse_partition_directory,
    parse_segment_file,
    segment_file,
)
from zerocopy_lab.log.index_files import (
    offset_index_bytes,
    offset_index_from,
    time_index_bytes,
    time_index_from,
)
from zerocopy_lab.log.indexes import OffsetIndex, TimeIndex
from zerocopy_lab.log.leader_epochs import LeaderEpochs
from zerocopy_lab.log.producer_state import ProducerStates
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.startup.identity_files import (
    MetaProperties,
    format_id,
    load_topic_id,
    parse_id,
)

INT32 = st.integers(0, 2**31 - 1)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("flights-0", TopicPartition("flights", 0)),
        ("a-b.c_D-17", TopicPartition("a-b.c_D", 17)),
        ("__consumer_offsets-49", TopicPartition("__consumer_offsets", 49)),
        ("flights", None),
        ("flights-", None),
        ("-1", None),
        ("flights-01", None),
        ("flights-x", None),
        ("flights-٣", None),
        ("fl ights-1", None),
        ("flights-1.abc-delete", None),
        ("x" * 250 + "-1", None),
    ],
)
def test_partition_directories(name: str, key: TopicPartition | None) -> None:
    assert parse_partition_directory(name) == key
    assert key is None or str(key) == name


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", "../x", "a b", "ü", "x" * 250, "a\0", "a\n"]
)
def test_illegal_topic_names(name: str) -> None:
    with pytest.raises(InvalidTopic):
        check_topic_name(name)


@given(
    st.from_regex(r"[a-zA-Z0-9._-]{1,249}", fullmatch=True).filter(lambda n: n not in (".", "..")),
    INT32,
)
def test_legal_topic_names_make_directories(name: str, partition: int) -> None:
    check_topic_name(name)
    assert parse_partition_directory(f"{name}-{partition}") == (name, partition)


def test_segment_files() -> None:
    assert segment_file(4711, ".log") == "00000000000000004711.log"
    assert parse_segment_file("00000000000000004711.timeindex") == (4711, ".timeindex")
    for name in ("4711.log", "00000000000000004711.log.deleted", "0000000000000000471a.log"):
        assert parse_segment_file(name) is None


def test_offset_index_bytes() -> None:
    index = OffsetIndex()
    index.append(7, 4200)
    index.append(300, 70_000)
    assert offset_index_bytes(index).hex(" ", 4) == "00000007 00001068 0000012c 00011170"
    found = [index.position_before(offset) for offset in (0, 6, 7, 299, 300, 9999)]
    assert found == [0, 0, 4200, 4200, 70_000, 70_000]


@given(st.lists(st.tuples(INT32, st.integers(1, 2**31 - 1)), max_size=50), st.integers(0, 5))
def test_offset_index_there_and_back(entries: list[tuple[int, int]], preallocated: int) -> None:
    offsets = sorted({offset for offset, _ in entries})
    positions = sorted({position for _, position in entries})
    index = OffsetIndex()
    for entry in zip(offsets, positions, strict=False):
        index.append(*entry)
    again = offset_index_from(offset_index_bytes(index) + bytes(8 * preallocated))
    assert list(again) == list(index)


@given(st.binary(max_size=100))
def test_an_offset_index_of_a_stranger(content: bytes) -> None:
    try:
        index = offset_index_from(content)
    except ValueError:
        return
    entries = list(index)
    assert entries == sorted(set(entries))
    assert all(offset >= 0 and position >= 0 for offset, position in entries)


def test_time_index_bytes() -> None:
    index = TimeIndex()
    index.append(1000, 7)
    index.append(999, 8)  # not larger: no entry
    index.append(2000, 300)
    assert time_index_bytes(index).hex(" ", 4) == (
        "00000000 000003e8 00000007 00000000 000007d0 0000012c"
    )
    assert [index.offset_before(t) for t in (0, 1000, 1001, 2000, 2001)] == [0, 0, 7, 7, 300]
    assert list(time_index_from(time_index_bytes(index) + bytes(24))) == list(index)


@given(st.binary(max_size=100))
def test_a_time_index_of_a_stranger(content: bytes) -> None:
    try:
        index = time_index_from(content)
    except ValueError:
        return
    times = [timestamp_ms for timestamp_ms, _ in index]
    assert times == sorted(set(times))


def test_checkpoint_bytes(tmp_path: Path) -> None:
    path = tmp_path / "recovery-point-offset-checkpoint"
    offsets = {TopicPartition("flights", 10): 42, TopicPartition("flights", 9): 4711}
    write_offsets(path, offsets)
    assert path.read_text() == "0\n2\nflights 9 4711\nflights 10 42\n"
    assert read_offsets(path) == offsets


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"1\n0\n", "line 1"),
        (b"0\n", "line 2"),
        (b"0\n2\nflights 0 1\n", "line 2"),
        (b"0\n1\nflights 0\n", "line 3"),
        (b"0\n2\nflights 0 1\nflights 1 -1\n", "line 4"),
        (b"0\n1\nflights zero 1\n", "line 3"),
        (b"\xff\xfe", "byte 0"),
    ],
)
def test_a_damaged_checkpoint_says_where(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "checkpoint"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        read_lines(path, fields_per_line=3)
    assert read_offsets(path) == {}


def test_an_empty_or_missing_checkpoint_has_no_entries(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none", fields_per_line=3) == []
    (tmp_path / "empty").write_bytes(b"")
    assert read_lines(tmp_path / "empty", fields_per_line=3) == []


def test_ids_as_kafka_writes_them(tmp_path: Path) -> None:
    text = "Wn3cX2GXRkyw4sS0m4W1ZQ"
    assert format_id(parse_id(text)) == text
    (tmp_path / "partition.metadata").write_text(f"version: 0\ntopic_id: {text}")
    assert load_topic_id(tmp_path) == parse_id(text)
    for damaged in ("", "version: 0", "topic_id: x", "no colon"):
        (tmp_path / "partition.metadata").write_text(damaged)
        with pytest.raises(ValueError, match=r"partition\.metadata"):
            load_topic_id(tmp_path)


def test_meta_properties_as_kafka_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "meta.properties"
    path.write_text(
        "#\n#Sun Nov 22 08:00:00 UTC 2026\ncluster.id=GXGM8ZOZQB2znMb0btzQBg\n"
        "directory.id=8q-OPXP8xOWSnHpYj3L24w\nnode.id=1\nversion=1\n"
    )
    meta = MetaProperties.load(tmp_path)
    assert meta == ("GXGM8ZOZQB2znMb0btzQBg", 1, "8q-OPXP8xOWSnHpYj3L24w")
    meta.save(tmp_path)
    assert MetaProperties.load(tmp_path) == meta
    path.write_text("node.id=one\ncluster.id=x\n")
    with pytest.raises(ValueError, match=f"{path}"):
        MetaProperties.load(tmp_path)


def test_leader_epochs(tmp_path: Path) -> None:
    epochs = LeaderEpochs.load(tmp_path)
    assert epochs.latest == -1
    for epoch, start in ((0, 0), (3, 100), (4, 100), (7, 250)):  # 3 never wrote anything
        epochs.begin(epoch, start)
    assert epochs.path.read_text() == "0\n3\n0 0\n4 100\n7 250\n"
    ends = [epochs.end_offset(epoch, 7, 300) for epoch in (0, 3, 4, 6, 7, 8, -1)]
    assert ends == [(0, 100), (0, 100), (4, 250), (4, 250), (7, 300), None, None]
    epochs.cut(120, 250)
    assert LeaderEpochs.load(tmp_path).entries == [(4, 120)]
    assert [epochs.end_offset(epoch, 4, 250) for epoch in (0, 3, 4)] == [
        (0, 120),
        (3, 120),
        (4, 250),
    ]
    assert epochs.end_offset(4, 9, 250) == (4, 250), "epoch 9 has begun, and written nothing"
    assert epochs.end_offset(9, 9, 250) == (9, 250)
    assert [epochs.at(offset) for offset in (119, 120, 300)] == [-1, 4, 4]
    epochs.cut(250, 250)  # retention took everything
    assert LeaderEpochs.load(tmp_path).entries == [(4, 250)]


def test_producer_snapshot_bytes() -> None:
    states = ProducerStates()
    assert states.to_snapshot().hex(" ") == "00 01 48 67 4b c7 00 00 00 00"
    assert ProducerStates.from_snapshot(states.to_snapshot()).producers == {}


@given(st.binary(max_size=120))
def test_a_producer_snapshot_of_a_stranger(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"position|bytes"):
        ProducerStates.from_snapshot(content)


def test_settings_by_kafkas_names() -> None:
    defaults = TopicSettings.from_kafka({"segment.ms": "5"})
    settings = TopicSettings.from_kafka(
        {"segment.bytes": "1024", "cleanup.policy": "compact, delete"}, defaults
    )
    assert (settings.segment_bytes, settings.segment_ms) == (1024, 5)
    assert settings.compacts
    assert settings.deletes
    assert settings.overrides == {"segment.bytes": "1024", "cleanup.policy": "compact, delete"}
    assert settings.to_kafka()["cleanup.policy"] == "compact,delete"
    assert settings.to_kafka()["retention.ms"] == "604800000"
    assert TopicSettings.from_kafka(settings.to_kafka()).to_kafka() == settings.to_kafka()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("segment.bytes", "13"),
        ("segment.bytes", "1e3"),
        ("segment.bytes", str(2**31)),
        ("retention.ms", "-2"),
        ("cleanup.policy", "forget"),
        ("cleanup.policy", ""),
        ("compression.type", "brotli"),
        ("min.cleanable.dirty.ratio", "1.5"),
        ("min.cleanable.dirty.ratio", "nan"),
        ("message.timestamp.type", "createtime"),
        ("segment_bytes", "1024"),
        ("remote.storage.enable", "true"),
    ],
)
def test_illegal_settings(name: str, text: str) -> None:
    with pytest.raises(InvalidConfig, match=name):
        TopicSettings.from_kafka({name: text})


@pytest.mark.parametrize(
    ("setting", "is_legal"),
    [
        ("unclean.leader.election.enable=false", True),
        ("unclean.leader.election.enable=true", True),
        ("max.compaction.lag.ms=1", True),
        ("max.compaction.lag.ms=0", False),
        ("segment.jitter.ms=0", True),
        ("segment.jitter.ms=1000", False),
        ("preallocate=False", True),
        ("preallocate=true", False),
        ("message.timestamp.after.max.ms=3600000", True),
        ("message.timestamp.before.max.ms=9223372036854775807", True),
        ("message.timestamp.before.max.ms=-1", False),
        ("message.downconversion.enable=false", False),
        ("message.format.version=3.0", False),
        ("compression.gzip.level=-1", True),
        ("compression.lz4.level=9", True),
        ("compression.zstd.level=3", True),
        ("compression.zstd.level=4", False),
        ("remote.storage.enable=false", True),
        ("remote.storage.enable=true", False),
        ("local.retention.ms=-2", True),
        ("local.retention.bytes=-2", True),
        ("leader.replication.throttled.replicas=", True),
        ("follower.replication.throttled.replicas=*", True),
        ("follower.replication.throttled.replicas=0:1", False),
        ("no.such.setting=1", False),
    ],
)
def test_settings_that_tools_give_every_topic(setting: str, is_legal: bool) -> None:
    """Kafka's answers, but for what it would do and we would not: that is refused by name."""
    name, _, value = setting.partition("=")
    if is_legal:
        assert TopicSettings.from_kafka({name: value}).to_kafka()[name].lower() == value.lower()
    else:
        with pytest.raises(InvalidConfig, match=name.replace(".", r"\.")):
            TopicSettings.from_kafka({name: value})


def test_compaction_lags_that_exclude_each_other() -> None:
    with pytest.raises(InvalidConfig, match=r"min\.compaction\.lag\.ms=5 is more than"):
        TopicSettings.from_kafka({"min.compaction.lag.ms": "5", "max.compaction.lag.ms": "4"})
    compacted = TopicSettings.from_kafka(
        {"cleanup.policy": "compact", "max.compaction.lag.ms": "4", "segment.ms": "5"}
    )
    assert (compacted.roll_ms, TopicSettings().roll_ms) == (4, 604_800_000)
