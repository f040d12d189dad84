"""What the broker costs, side by side with the least that could do the same, in one run.

    python -m ci.bench [fetch] [produce] [messages] [start] [memory] [latency] [requests] [kafka]

Every section compares with a reference in the same run, rounds of the two taking turns, because
machines differ and one machine differs from minute to minute. Medians with their range; the goals
are printed beside them and gate nothing.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path

from ci.bench.beside_kafka import bench_kafka
from ci.bench.contest import (
    KIB,
    MIB,
    Contest,
    Round,
    batch_of,
    connect,
    cpu_s_per_gib,
    drop_answer,
    gib_per_s,
    kcat_consumes,
    kcat_produces,
    pin,
    play,
    requests_per_s,
    timed,
    write_messages,
)
from ci.bench.rates import bench_latency, bench_requests
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Wire
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.processor import cpu_seconds
from zerocopy_lab.instruments.spread import Spread, spread
from zerocopy_lab.protocol.versions import ApiKey
from zerocopy_lab.running.running_broker import RunningBroker

PROJECT = Path(__file__).resolve().parents[2]
ROUNDS = 7


def report(
    line: str, value: Spread, unit: str = "", goal: str = "", met: bool | None = None
) -> None:
    verdict = "" if met is None else ("  goal met" if met else "  GOAL MISSED")
    print(
        f"  {line:<46} {value.median:10.3f} {unit:<9} [{value.low:.3f} .. {value.high:.3f}]"
        f" n={value.n}{goal and '  goal ' + goal}{verdict}",
        flush=True,
    )


@contextmanager
def reference(
    kind: str, path: Path, request_bytes: int, answer_bytes: int
) -> Iterator[tuple[int, int]]:
    """A bare loop in a process of its own: its pid and port."""
    words = [sys.executable, "-m", "ci.bench.references", kind, str(path)]
    with subprocess.Popen(
        [*words, str(request_bytes), str(answer_bytes)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        try:
            yield process.pid, int(process.stdout.readline().rpartition(":")[2])
        finally:
            process.kill()


def bench_fetch(workspace: Path) -> None:
    """Fetch: the broker against a bare sendfile loop, same receiver, same request bytes."""
    print("fetch, against a bare sendfile loop (receiver drops the bytes; CPU of the sender)")
    for size, count in ((4 * KIB, 8_000), (64 * KIB, 6_000), (MIB, 1_000)):
        contest = fetch_contest(workspace / f"fetch-{size}", size, count)
        print(f" {size // KIB} KiB a fetch")
        for name, figure in (("GiB/s", gib_per_s), ("requests/s", requests_per_s)):
            report(f"broker {name}", spread(map(figure, contest.broker)))
            report(f"reference {name}", spread(map(figure, contest.reference)))
        throughput, cpu = contest.ratio(gib_per_s), contest.ratio(cpu_s_per_gib)
        goal = {4 * KIB: 0.25, 64 * KIB: 0.70, MIB: 0.90}[size]
        report(
            "throughput, broker / reference",
            throughput,
            "",
            f">= {goal}",
            throughput.median >= goal,
        )
        report("broker CPU", spread(map(cpu_s_per_gib, contest.broker)), "s/GiB")
        if size == MIB:
            report("CPU, broker / reference", cpu, "", "<= 1.15", cpu.median <= 1.15)
        else:
            report("CPU, broker / reference", cpu)


def fetch_contest(workspace: Path, size: int, count: int) -> Contest:
    """A partition of batches of exactly `size` bytes, 256 MiB of them at most, fetched one at a
    time.
    """
    batches = min(256, 256 * MIB // size)
    with RunningBroker(workspace, options=["--congestion-control", "cubic"]) as broker:
        pin(broker.pid, 0)
        with Wire(broker.host, broker.port) as wire:
            wire.ask_for_topic("bench")
            for _ in range(batches):
                assert produce(wire, "bench", 0, batch_of(size))[0] == 0
            frames = [
                fetch_frame(wire, "bench", 0, offset, max_bytes=size) for offset in range(batches)
            ]
        segment = next(workspace.glob("bench-0/*.log"))
        with reference("sendfile", segment, len(frames[0]), size) as (pid, port):
            pin(pid, 0)
            pin(0, 1)
            contest = Contest([], [])
            for number in range(ROUNDS + 1):
                pair = (
                    play(broker.pid, broker.port, frames, count, size, size),
                    play(pid, port, frames, count, size, size),
                )
                if number:  # the first pair warms up
                    contest.broker.append(pair[0])
                    contest.reference.append(pair[1])
    shutil.rmtree(workspace)
    return contest


def bench_produce(workspace: Path) -> None:
    """Produce: the broker against a bare receive-and-write loop."""
    print("produce, acks=1, against a bare receive-and-write loop (CPU of the receiver)")
    for size, count in ((16 * KIB, 8_000), (64 * KIB, 4_000), (MIB, 256)):
        contest = produce_contest(workspace / f"produce-{size}", size, count)
        print(f" batches of {size // KIB} KiB")
        report("broker GiB/s", spread(map(gib_per_s, contest.broker)))
        report("reference GiB/s", spread(map(gib_per_s, contest.reference)))
        report("broker CPU", spread(map(cpu_s_per_gib, contest.broker)), "s/GiB")
        cpu = contest.ratio(cpu_s_per_gib)
        if size == MIB:
            report("CPU, broker / reference", cpu, "", "<= 2.5", cpu.median <= 2.5)
        else:
            report("CPU, broker / reference", cpu)


def produce_contest(workspace: Path, size: int, count: int) -> Contest:
    """Both write into memory that a file of the round before has just given back: pages that have
    been free for seconds may have gone back to the hypervisor, and are dear to get again.
    """
    workspace.mkdir()
    options = ["--congestion-control", "cubic", "--set", "file.delete.delay.ms=0"]
    with (
        RunningBroker(workspace / "data", options=options) as broker,
        Wire(broker.host, broker.port) as wire,
    ):
        pin(broker.pid, 0)
        batch = batch_of(size)
        request_bytes = len(produce_frame(wire, "round-00", 0, batch, acks=1))
        with reference("write", workspace / "reference.log", request_bytes, 60) as (pid, port):
            pin(pid, 0)
            pin(0, 1)
            contest = Contest([], [])
            for number in range(ROUNDS + 1):
                topic = f"round-{number:02}"
                wire.ask_for_topic(topic)
                frames = [produce_frame(wire, topic, 0, batch, acks=1)]
                if number:
                    delete_topic(wire, f"round-{number - 1:02}", workspace / "data")
                ours = play(broker.pid, broker.port, frames, count, size)
                theirs = play_reference_write(pid, port, frames[0], count, size)
                if number:
                    contest.broker.append(ours)
                    contest.reference.append(theirs)
    shutil.rmtree(workspace)
    return contest


def delete_topic(wire: Wire, topic: str, log_dir: Path) -> None:
    """Delete a topic and wait until its files are gone."""
    asked = wire.ask(ApiKey.delete_topics, 1, topic_names=(topic,), timeout=timedelta(seconds=30))
    assert asked.responses[0].error_code == 0
    end_s = time.monotonic() + 30
    while any(log_dir.glob("*-delete")):
        assert time.monotonic() < end_s, f"the files of {topic} are still there"
        time.sleep(0.01)


def play_reference_write(pid: int, port: int, frame: bytes, count: int, size: int) -> Round:
    """As `play`; the answer is 60 bytes without a length."""
    with connect(port) as sock:
        cpu_before, before = cpu_seconds(pid), time.perf_counter()
        for _ in range(count):
            sock.sendall(frame)
            sock.recv(60, socket.MSG_WAITALL)
        seconds = time.perf_counter() - before
        return Round(seconds, cpu_seconds(pid) - cpu_before, count, count * size)


def bench_messages(workspace: Path) -> None:
    """Messages of 100 bytes through one unmodified kcat, and back."""
    print("messages of 100 bytes through one kcat (its own start and end included)")
    if shutil.which("kcat") is None:
        print("  kcat is not installed: not measured")
        return
    lines, count = workspace / "lines", 1_000_000
    write_messages(lines, count, 100)
    produced, consumed, cpu = [], [], []
    with RunningBroker(
        workspace / "messages", options=["--set", "file.delete.delay.ms=0"]
    ) as broker:
        for number in range(ROUNDS):
            topic = f"round-{number}"
            cpu_before = cpu_seconds(broker.pid)
            produced.append(count / timed(kcat_produces(broker.bootstrap, topic, lines)))
            cpu.append(cpu_seconds(broker.pid) - cpu_before)
            back = workspace / "back"
            with back.open("wb") as out:
                consumed.append(count / timed(kcat_consumes(broker.bootstrap, topic, count), out))
            assert subprocess.run(["cmp", lines, back], check=False).returncode == 0, "not the same"
    for name, rates in (("produced", produced), ("consumed", consumed)):
        rate = spread(value / 1e6 for value in rates)
        report(f"{name}, byte-identical", rate, "M/s", "> 1", rate.median > 1)
    report("broker CPU for a million produced", spread(cpu), "s")


def bench_start(workspace: Path) -> None:
    """From the start of the process to the line `listening on`."""
    print("start")
    seconds = []
    for number in range(ROUNDS):
        before = time.perf_counter()
        with RunningBroker(workspace / f"start-{number}"):
            seconds.append(time.perf_counter() - before)
    took = spread(seconds)
    report("until it listens", took, "s", "<= 0.4", took.median <= 0.4)
    bare = spread(timed([sys.executable, "-c", "pass"]) for _ in range(ROUNDS))
    report("reference: Python that does nothing", bare, "s")


def bench_memory(workspace: Path) -> None:
    """4 GiB in and out again: the most memory the broker ever had."""
    print("memory, 4 GiB in and out in batches of 1 MiB")
    options = ["--set", "segment.bytes=67108864", "--set", "retention.bytes=268435456"]
    options += ["--set", "file.delete.delay.ms=0"]
    batch = batch_of(MIB - 100)
    with (
        RunningBroker(workspace / "memory", options=options) as broker,
        Wire(broker.host, broker.port) as wire,
    ):
        wire.ask_for_topic("memory")
        for gib in range(1, 5):
            for number in range((gib - 1) * KIB, gib * KIB):
                code, offset = produce(wire, "memory", 0, batch)
                assert (code, offset) == (0, number)
                wire.send_frame(fetch_frame(wire, "memory", 0, offset, max_bytes=MIB))
                assert drop_answer(wire.sock) > MIB - 100
            peak = spread([_status_mib(broker.pid, "VmHWM")])
            now = spread([_status_mib(broker.pid, "VmRSS")])
            report(f"after {gib} GiB: resident", now, "MiB")
            report(f"after {gib} GiB: peak", peak, "MiB", "<= 100", peak.median <= 100)


def _status_mib(pid: int, field: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / KIB
    raise RuntimeError(f"/proc/{pid}/status has no {field}")


SECTIONS: dict[str, Callable[[Path], None]] = {
    "fetch": bench_fetch,
    "produce": bench_produce,
    "messages": bench_messages,
    "start": bench_start,
    "memory": bench_memory,
    "latency": partial(bench_latency, report=report),
    "requests": partial(bench_requests, report=report),
    "kafka": partial(bench_kafka, report=report),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    chosen = parser.parse_args().sections or list(SECTIONS)
    unknown = set(chosen) - set(SECTIONS)
    if unknown:
        parser.error(f"no section {', '.join(sorted(unknown))}; choose of {', '.join(SECTIONS)}")
    host = describe_host()
    print(f"{host.system} {host.kernel}, {host.cpu_model}, {host.cpu_count} CPUs")
    print(f"Python {host.python}; contestants take turns, medians of n rounds")
    for name in chosen:
        workspace = Path(tempfile.mkdtemp(prefix="zerocopy-lab-bench-"))
        try:
            SECTIONS[name](workspace)
        finally:
            shutil.rmtree(workspace, ignore_errors=True)


if __name__ == "__main__":
    main()
