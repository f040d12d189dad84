"""Parts: their exams fail no right answer and pass no wrong one; seated in a broker they do its
work, and whoever is wrong is named and harms nothing.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import struct
import subprocess
import time
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from crc32c import crc32c

from tests.clients.real_clients import TIMEOUT_S, kcat_read, kcat_write
from tests.log.making import open_logs
from zerocopy_lab.conformance import (
    index_lookup,
    log_dir_choice,
    recovering,
    retention,
    stamping,
)
from zerocopy_lab.conformance.part import examine
from zerocopy_lab.conformance.parts import PARTS, NoSuchPart, kept_in
from zerocopy_lab.conformance.retention import SegmentFacts
from zerocopy_lab.conformance.seats import (
    PartFailed,
    PartRefused,
    _held_to_ours,
    _stamped_as_by_ours,
    take_seats,
)
from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.log.upkeep.retention import judge
from zerocopy_lab.records.batch import check_stored_batch
from zerocopy_lab.running import flight_events, topic_admin
from zerocopy_lab.running.running_broker import BrokerNotRunning, RunningBroker

CASES = 10_000


# -- no right answer fails -------------------------------------------------------------------------


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_ours_passes_and_each_exam_is_another(part: Any) -> None:
    assert examine(part, lambda: part.ours).passed is True


def test_lookup_oracle_and_mechanism_agree() -> None:
    draw = random.Random(1)
    for _ in range(CASES):
        offsets, positions = index_lookup.drawn_index(draw, 12)
        wanted = draw.randrange(offsets[-1] + 10 if offsets else 10)
        by_walking = index_lookup.by_walking(offsets, positions, wanted)
        assert index_lookup.index_lookup(offsets, positions, wanted) == by_walking


class _Segment:
    """What `judge` asks of a segment."""

    def __init__(self, facts: SegmentFacts) -> None:
        self.base_offset, self.size_bytes, self._youngest_ms = facts

    def last_change_ms(self) -> int:
        return self._youngest_ms


def test_retention_oracle_and_the_brokers_own_rule_agree() -> None:
    draw = random.Random(2)
    for _ in range(CASES):
        segments = retention.drawn_segments(draw)
        limits = retention.drawn_limits(segments, draw)
        settings = TopicSettings(retention_ms=limits[0], retention_bytes=limits[1])
        now_ms = retention._NOW_MS
        verdicts = judge([_Segment(s) for s in segments], settings, 0, now_ms)  # type: ignore[misc]
        by_the_broker = sum(verdict.deletable for verdict in verdicts)
        assert retention.by_trying(segments, *limits, now_ms) == by_the_broker
        assert retention.retention(segments, *limits, now_ms) == by_the_broker


def test_stamping_oracle_and_mechanism_agree() -> None:
    draw = random.Random(3)
    for _ in range(CASES):
        sent, offset, epoch = stamping.drawn_batch(draw), draw.randrange(1 << 63), draw.randrange(9)
        stamped = bytearray(sent)
        stamping.stamp(memoryview(stamped), offset, epoch)
        assert stamped == stamping.put_together(sent, offset, epoch)
        assert check_stored_batch(memoryview(stamped)).base_offset == offset


def test_recovery_oracle_and_mechanism_agree() -> None:
    draw = random.Random(5)
    cases = 0
    while cases < CASES:
        written = recovering.drawn_log(draw)
        for damage in recovering.damages(written, draw):
            good_bytes = recovering.recovery(memoryview(damage.left), written.next_offset)
            assert good_bytes == recovering.by_comparing(written, damage.left), damage.words
            cases += 1


def test_any_directory_with_the_fewest_is_right() -> None:
    def last_of_the_fewest(counts: Sequence[int]) -> int:
        return max(n for n, count in enumerate(counts) if count == min(counts))

    assert examine(log_dir_choice.PART, lambda: last_of_the_fewest).passed is True


# -- no wrong answer passes ------------------------------------------------------------------------


def scans(offsets: Sequence[int], positions: Sequence[int], wanted: int) -> int:
    return index_lookup.by_walking(offsets, positions, wanted)


def one_too_far(offsets: Sequence[int], positions: Sequence[int], wanted: int) -> int:
    entry = bisect_right(offsets, wanted)
    return positions[min(entry, len(positions) - 1)] if positions else 0


def hard_coded(*_: object) -> int:
    return 4096


def spares_the_active_one(
    segments: Sequence[SegmentFacts], limit_ms: int, limit_bytes: int, now_ms: int
) -> int:
    return min(
        retention.retention(segments, limit_ms, limit_bytes, now_ms), max(len(segments) - 1, 0)
    )


def takes_the_active_one_too(segments: Sequence[SegmentFacts], *_: int) -> int:
    return len(segments)


def leaves_gaps(
    segments: Sequence[SegmentFacts], limit_ms: int, limit_bytes: int, now_ms: int
) -> int:
    return sum(0 <= limit_ms < now_ms - segment.youngest_ms for segment in segments)


def changes_its_argument(counts: list[int]) -> int:
    counts.sort()
    return 0


def copies_large_pieces(sock: Any, piece: Any, sent_bytes: int) -> int:
    left_bytes = piece.length - sent_bytes
    here = piece.position + sent_bytes
    if left_bytes > 300_000:
        return int(sock.send(os.pread(piece.file.fd, left_bytes, here)))
    return os.sendfile(sock.fileno(), piece.file.fd, here, left_bytes) if left_bytes else 0


def sendfile_as_a_loop(sock: Any, piece: Any, sent_bytes: int, chunk_bytes: int) -> int:
    left_bytes = min(piece.length - sent_bytes, chunk_bytes)
    here = piece.position + sent_bytes
    return os.sendfile(sock.fileno(), piece.file.fd, here, left_bytes) if left_bytes else 0


def swallows_a_full_socket(sock: Any, piece: Any, sent_bytes: int, chunk_bytes: int) -> int:
    try:
        return sendfile_as_a_loop(sock, piece, sent_bytes, chunk_bytes)
    except BlockingIOError:
        return 0


def goes_on_until_all_is_gone(sock: Any, piece: Any, sent_bytes: int) -> int:
    moved = 0
    while moved < piece.length - sent_bytes:
        here = piece.position + sent_bytes + moved
        left_bytes = piece.length - sent_bytes - moved
        moved += os.sendfile(sock.fileno(), piece.file.fd, here, left_bytes)
    return moved


def little_endian(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    struct.pack_into("<q", batch, 0, base_offset)
    struct.pack_into("<i", batch, 12, leader_epoch)


def with_a_new_crc(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    stamping.stamp(batch, base_offset, leader_epoch)
    batch[17:21] = crc32c(batch).to_bytes(4, "big")


def over_the_length(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    struct.pack_into(">qi", batch, 0, base_offset, leader_epoch)


def a_new_batch(batch: memoryview, base_offset: int, leader_epoch: int) -> bytes:
    return stamping.put_together(bytes(batch), base_offset, leader_epoch)


def forgets_the_epoch(batch: memoryview, base_offset: int, leader_epoch: int) -> None:
    struct.pack_into(">q", batch, 0, base_offset)


def looks_at_lengths_only(log: memoryview, next_offset: int) -> int:
    position = 0
    while len(log) - position >= 61:
        end = position + 12 + struct.unpack_from(">i", log, position + 8)[0]
        if log[position + 16] != 2 or not position + 61 <= end <= len(log):
            break
        position = end
    return position


def drops_the_last_good_one(log: memoryview, next_offset: int) -> int:
    good, last = recovering.recovery(log, next_offset), 0
    while True:
        end = last + 12 + struct.unpack_from(">i", log, last + 8)[0] if good else 0
        if end >= good:
            return good if good == len(log) else last
        last = end


def forgets_the_offsets(log: memoryview, next_offset: int) -> int:
    position = 0
    while good := recovering.recovery(log[position:], -(1 << 63)):
        position += good
    return position


def where_the_damage_begins(log: memoryview, next_offset: int) -> int:
    good = recovering.recovery(log, next_offset)
    return min(good + 1, len(log))


def distrusts_the_epoch(log: memoryview, next_offset: int) -> int:
    position = 0
    good = recovering.recovery(log, next_offset)
    while position < good and log[position + 12 : position + 16] == bytes(4):
        position += 12 + struct.unpack_from(">i", log, position + 8)[0]
    return position


def takes_zeros_for_batches(log: memoryview, next_offset: int) -> int:
    """The CRC of nothing is 0, and so is what stands there."""
    position = 0
    while len(log) - position >= 61:
        base, length, _, _, crc, _, delta = struct.unpack_from(">qiibIhi", log, position)
        end = position + 12 + length
        whole = end <= len(log) and (base >= next_offset or length == 0)
        if not whole or crc32c(log[position + 21 : end]) != crc:
            break
        position, next_offset = end, base + delta + 1
    return position


def takes_all_that_comes(fetch: Any, log: Any, next_offset: int) -> int:
    came = fetch(next_offset)
    log.write(came)
    return next_offset + len(came)


def trusts_the_network(fetch: Any, log: Any, next_offset: int) -> int:
    came = memoryview(fetch(next_offset))
    good = came[: looks_at_lengths_only(came, next_offset)]
    log.write(good)
    while good:
        base_offset, length, delta = struct.unpack_from(">qi11xi", good)
        next_offset, good = base_offset + delta + 1, good[12 + length :]
    return next_offset


def counts_batches(fetch: Any, log: Any, next_offset: int) -> int:
    came = memoryview(fetch(next_offset))
    good = came[: recovering.recovery(came, next_offset)]
    log.write(good)
    while good:
        next_offset += 1
        good = good[12 + struct.unpack_from(">i", good, 8)[0] :]
    return next_offset


def begins_anew(fetch: Any, log: Any, next_offset: int) -> int:
    return PARTS["follower"].ours(lambda _: fetch(0), log, next_offset)


def stamps_what_came(fetch: Any, log: Any, next_offset: int) -> int:
    def stamped(offset: int) -> bytes:
        came = bytearray(fetch(offset))
        came[12:16] = came[12:16] and b"\0\0\0\7"
        return bytes(came)

    return PARTS["follower"].ours(stamped, log, next_offset)


class AlwaysEqual(int):
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = int.__hash__


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise KeyboardInterrupt


def exits(*_: object) -> int:
    raise SystemExit


def ends_the_process(*_: object) -> int:
    os._exit(0)


def says_nothing_sensible(*_: object) -> int:
    raise Unspeakable


def is_equal_to_everything(*_: object) -> int:
    return AlwaysEqual(1)


def eats_memory(*_: object) -> int:
    return len(bytearray(1 << 34))


WRONG: list[tuple[str, Callable[..., object], str]] = [
    ("index_lookup", scans, "it scans"),
    ("index_lookup", one_too_far, "Asked for"),
    ("index_lookup", hard_coded, "Asked for"),
    ("accumulator", lambda *_: 1, "Your answer is 1"),
    ("placement", lambda *_: 0, "you chose directory 0"),
    ("retention", lambda *_: 2, "answer is"),
    ("retention", spares_the_active_one, "active"),
    ("retention", takes_the_active_one_too, "answer is"),
    ("retention", leaves_gaps, "answer is"),
    ("retention", is_equal_to_everything, "answer is"),
    ("retention", says_nothing_sensible, "raised Unspeakable"),
    ("placement", changes_its_argument, "changed the list"),
    ("placement", exits, "raised SystemExit"),
    ("placement", ends_the_process, "gave no answer"),
    ("placement", eats_memory, "raised MemoryError"),
    ("transfer", copies_large_pieces, "but copied"),
    ("loop", sendfile_as_a_loop, "nobody copied"),
    ("loop", swallows_a_full_socket, "BlockingIOError: let it"),
    ("transfer", goes_on_until_all_is_gone, "One call a turn"),
    ("stamp", little_endian, "big-endian"),
    ("stamp", with_a_new_crc, "which bytes does it cover"),
    ("stamp", over_the_length, "is the producer's"),
    ("stamp", a_new_batch, "Write into it"),
    ("stamp", forgets_the_epoch, "byte 12 is 0xff"),
    ("recovery", looks_at_lengths_only, "only the CRC notices"),
    ("recovery", drops_the_last_good_one, "somebody's good records are lost"),
    ("recovery", forgets_the_offsets, "below the end of the batch before"),
    ("recovery", where_the_damage_begins, "between two batches"),
    ("recovery", distrusts_the_epoch, "another leader epoch"),
    ("recovery", lambda log, _: len(log), "between two batches"),
    ("recovery", takes_zeros_for_batches, "has magic 2"),
    ("follower", takes_all_that_comes, "half a batch went into the copy"),
    ("follower", trusts_the_network, "a damaged batch went into the copy"),
    ("follower", counts_batches, "plus its lastOffsetDelta"),
    ("follower", begins_anew, "asks once, for that"),
    ("follower", stamps_what_came, "byte 15 of the copy is not the leader's"),
]


@pytest.mark.parametrize(("name", "function", "hint"), WRONG)
def test_a_wrong_part_is_told_what_is_wrong(
    name: str, function: Callable[..., object], hint: str
) -> None:
    found = examine(PARTS[name], lambda: function, seed=1)
    assert found.passed is False
    assert hint in found.words
    assert "zerocopy_lab/conformance" not in "\n".join([found.words, *found.trace])


@pytest.mark.parametrize("part", PARTS.values(), ids=PARTS.keys())
def test_a_stub_has_not_begun(part: Any) -> None:
    assert examine(part, lambda: lambda *_: None).passed is None


def test_an_endless_part_costs_its_limit_and_no_more() -> None:
    def endless(_: object) -> int:
        while True:
            pass

    began = time.monotonic()
    found = examine(PARTS["placement"]._replace(limit_s=0.5), lambda: endless)
    assert (found.passed, "did not come back" in found.words) == (False, True)
    assert time.monotonic() - began < 30


# -- in a broker -----------------------------------------------------------------------------------

RIGHT = {
    "stamp": """
import struct

def stamp(batch, base_offset, leader_epoch):
    struct.pack_into(">q", batch, 0, base_offset)
    struct.pack_into(">i", batch, 12, leader_epoch)
""",
    "placement": """
def placement(counts):
    return counts.index(min(counts))
""",
    "index_lookup": """
from bisect import bisect_right

def index_lookup(offsets, positions, wanted):
    entry = bisect_right(offsets, wanted)
    return positions[entry - 1] if entry else 0
""",
    "retention": """
def retention(segments, limit_ms, limit_bytes, now_ms):
    total = sum(s.size_bytes for s in segments)
    for number, s in enumerate(segments):
        old = 0 <= limit_ms < now_ms - s.youngest_ms
        much = limit_bytes >= 0 and s.size_bytes and total - s.size_bytes >= limit_bytes
        if not (old or much) or (number == len(segments) - 1 and s.size_bytes == 0):
            return number
        total -= s.size_bytes
    return len(segments)
""",
    "recovery": """
import struct
from crc32c import crc32c

def recovery(log, next_offset):
    position = 0
    while position + 61 <= len(log):
        base, length, epoch, magic, crc, attributes, delta = struct.unpack_from(
            ">qiibIhi", log, position
        )
        end = position + 12 + length
        if magic != 2 or length < 49 or end > len(log) or base < next_offset:
            return position
        if crc32c(log[position + 21 : end]) != crc:
            return position
        position, next_offset = end, base + delta + 1
    return position
""",
    "loop": """
import os

def loop(sock, piece, sent_bytes, chunk_bytes):
    count = min(chunk_bytes, piece.length - sent_bytes)
    return sock.send(os.pread(piece.file.fd, count, piece.position + sent_bytes)) if count else 0
""",
    "transfer": """
import os

def transfer(sock, piece, sent_bytes):
    left = piece.length - sent_bytes
    here = piece.position + sent_bytes
    return os.sendfile(sock.fileno(), piece.file.fd, here, left) if left else 0
""",
}


def kept(directory: Path, **sources: str) -> Path:
    directory.mkdir()
    for name, source in sources.items():
        (directory / f"{name}.py").write_text(source)
    return directory


@pytest.mark.parametrize("transfer", [None, "loop"])
def test_all_parts_together_carry_every_byte(tmp_path: Path, transfer: str | None) -> None:
    parts = kept(tmp_path / "parts", **RIGHT)
    more = ["--data-dir", str(tmp_path / "second"), "--set", "segment.bytes=131072"]
    with RunningBroker(tmp_path / "data", parts=parts, transfer=transfer, options=more) as broker:
        sent = flight_events.produce(
            broker.bootstrap, "flights", flight_events.repeated(5000), {"batch.size": 32_768}
        )
        received = flight_events.consume(broker.bootstrap, "flights", 5000)
        log = broker.log_path.read_text()
    assert sent == received
    assert all(f"part {name} takes its seat" in log for name in RIGHT)


@pytest.mark.kcat
def test_kcat_talks_to_a_broker_of_a_learners_parts(tmp_path: Path) -> None:
    """Written and read by kcat, from the beginning and from the middle, byte-identical; what the
    learner's rule of retention may delete goes.
    """
    if shutil.which("kcat") is None:
        pytest.skip("kcat is not installed")
    lines = [f"{number} {'x' * (number % 900)}".encode() for number in range(12_000)]
    more = ["--data-dir", str(tmp_path / "second"), "--set", "segment.bytes=1048576"]
    parts = kept(tmp_path / "parts", **RIGHT)
    with RunningBroker(tmp_path / "data", parts=parts, transfer="transfer", options=more) as broker:
        kcat_write(broker.bootstrap, "lines", lines)
        assert kcat_read(broker.bootstrap, "lines", len(lines)) == lines
        assert _kcat_from(broker.bootstrap, 7500) == lines[7500:]
        topic_admin.alter_topic(broker.bootstrap, "lines", {"retention.bytes": "2000000"})
        directory = next(tmp_path.glob("*/lines-0"))
        deadline = time.monotonic() + TIMEOUT_S
        while (directory / f"{0:020d}.log").exists():
            assert time.monotonic() < deadline, "the learner's rule lets the first segment go"
            time.sleep(0.05)
        assert _kcat_from(broker.bootstrap, 11_900) == lines[11_900:]
        log = broker.log_path.read_text()
    assert all(f"part {name} takes its seat" in log for name in RIGHT)
    assert "ERROR" not in log


def _kcat_from(bootstrap: str, offset: int) -> list[bytes]:
    command = ["kcat", "-b", bootstrap, "-C", "-t", "lines", "-o", str(offset), "-q", "-e"]
    done = subprocess.run(command, check=True, timeout=TIMEOUT_S, capture_output=True)
    return done.stdout.splitlines()


def test_a_broker_does_not_start_with_a_part_that_fails_its_exam(tmp_path: Path) -> None:
    parts = kept(tmp_path / "parts", index_lookup="def index_lookup(o, p, w):\n    return 0\n")
    with pytest.raises(BrokerNotRunning, match=r"part index_lookup .* does not pass its exam"):
        RunningBroker(tmp_path / "data", parts=parts).start()


def test_a_part_that_changed_since_its_exam_sits_again(tmp_path: Path) -> None:
    parts = kept(tmp_path / "parts", transfer=RIGHT["transfer"])
    assert list(take_seats(parts)) == ["transfer"]
    (parts / "transfer.py").write_text("def transfer(sock, piece, sent_bytes):\n    return 1\n")
    with pytest.raises(PartRefused, match="part transfer"):
        take_seats(parts)


def test_a_stranger_among_the_parts_is_named(tmp_path: Path) -> None:
    with pytest.raises(NoSuchPart, match="no part 'tranfser'"):
        kept_in(kept(tmp_path / "parts", tranfser=""))


def test_a_seated_part_that_lies_or_raises_is_named_and_not_followed() -> None:
    part = PARTS["index_lookup"]
    with pytest.raises(PartFailed, match="part index_lookup answered 7 where 0 is right"):
        _held_to_ours(part, lambda *_: 7, [], [], 3)
    with pytest.raises(PartFailed, match="part index_lookup raised ZeroDivisionError"):
        _held_to_ours(part, lambda *_: 1 // 0, [], [], 3)


def torn(data_dir: Path) -> tuple[Path, int]:
    """A log whose broker was killed with half a batch behind the last; its size without that."""
    with RunningBroker(data_dir) as broker:
        flight_events.produce(broker.bootstrap, "flights", flight_events.repeated(500))
        broker.kill()
    log = data_dir / "flights-0" / f"{0:020d}.log"
    whole = log.read_bytes()
    log.write_bytes(whole + whole[: len(whole) // 3])
    return log, len(whole)


def test_a_learners_recovery_cuts_the_log_at_the_brokers_start(tmp_path: Path) -> None:
    log, whole_bytes = torn(tmp_path / "data")
    parts = kept(tmp_path / "parts", recovery=RIGHT["recovery"])
    with RunningBroker(tmp_path / "data", parts=parts) as broker:
        assert flight_events.consume(broker.bootstrap, "flights", 500).messages == 500
        told = broker.log_path.read_text()
    assert "by the seated part; the log is cut at offset 500" in told
    assert log.stat().st_size == whole_bytes


@pytest.mark.parametrize("wrong", [lambda log, _: 0, lambda log, _: len(log), lambda *_: 1 // 0])
def test_a_recovery_that_is_wrong_leaves_the_files_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong: Callable[..., object]
) -> None:
    """One that drops good batches among them: its exam was passed, and now it lies."""
    log, _ = torn(tmp_path)
    before = log.read_bytes()
    held = partial(_held_to_ours, PARTS["recovery"], wrong)
    monkeypatch.setattr("zerocopy_lab.log.startup.recovery._good_bytes", held)
    logs = open_logs(tmp_path)
    with pytest.raises(KafkaError, match="part recovery"):
        logs.find("flights", 0)
    logs.close()
    assert log.read_bytes() == before
    monkeypatch.undo()
    logs = open_logs(tmp_path)
    assert logs.find("flights", 0).log_end_offset == 500
    logs.close()


@pytest.mark.parametrize("wrong", [little_endian, over_the_length, lambda *_: 1 // 0])
def test_a_batch_that_a_part_put_elsewhere_is_as_it_was(wrong: Callable[..., object]) -> None:
    sent = stamping.drawn_batch(random.Random(4))
    batch = bytearray(sent)
    with pytest.raises(PartFailed, match="part stamp"):
        _stamped_as_by_ours(wrong, memoryview(batch), 77, 3)
    assert batch == sent


def test_the_processors_time_can_be_limited_whatever_the_clock() -> None:
    def endless(_: object) -> int:
        while True:
            pass

    found = examine(PARTS["placement"], lambda: endless, limit_s=60, cpu_s=1)
    assert found.words == (
        "placement gave no answer: it had no end after 1 s of the processor's time"
    )


def test_a_result_that_the_code_wrote_itself_is_no_answer() -> None:
    def forges(_: object) -> int:
        for descriptor in range(3, 64):
            try:
                os.write(descriptor, b'{"value": [true, "of course"], "problem": null}')
            except OSError:
                continue
        os._exit(0)

    found = examine(PARTS["placement"], lambda: forges)
    assert found.passed is False
    assert "it wrote a result of its own making" in found.words


def test_the_code_reaches_no_pipe_or_socket_that_was_open_before() -> None:
    def shouts(_: object) -> int:
        for descriptor in range(3, 256):
            with contextlib.suppress(OSError):
                os.write(descriptor, b"heard")
        return 0

    read_end, write_end = os.pipe()
    here, there = socket.socketpair()
    with here, there, os.fdopen(read_end, "rb") as heard:
        with os.fdopen(write_end, "wb"):
            examine(PARTS["placement"], lambda: shouts)
        assert heard.read() == b""
        here.setblocking(False)
        with pytest.raises(BlockingIOError):
            here.recv(16)
