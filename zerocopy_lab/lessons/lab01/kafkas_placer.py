"""Kafka's own replica placement, asked: its class runs in a JVM, without a cluster.

Six brokers are six JVMs; but who stores what is decided by one class, and that one can be given
six brokers' numbers. A source file of a few lines asks it, once for every seed.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.placement import Replicas
from zerocopy_lab.running import apache_kafka

SEEDS = 200
_TIMEOUT_S = 60
_SOURCE = """
import java.util.*;
import java.util.stream.*;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.metadata.placement.*;

public class Ask {
    public static void main(String[] words) {
        int[] of = Stream.of(words).mapToInt(Integer::parseInt).toArray();
        var brokers = IntStream.range(0, of[2]).mapToObj(id -> new UsableBroker(
            id, of[3] > 1 ? Optional.of("rack " + id % of[3]) : Optional.empty(), false)).toList();
        var cluster = new ClusterDescriber() {
            public Iterator<UsableBroker> usableBrokers() { return brokers.iterator(); }
            public Uuid defaultDir(int broker) { return Uuid.ZERO_UUID; }
        };
        for (int seed = 0; seed < of[4]; seed++) {
            var placer = new StripedReplicaPlacer(new Random(seed));
            var placed = placer.place(new PlacementSpec(0, of[0], (short) of[1]), cluster);
            System.out.println(placed.assignments().stream().map(each -> each.replicas().stream()
                .map(String::valueOf).collect(Collectors.joining(","))).collect(
                Collectors.joining(" ")));
        }
    }
}
"""


def kafkas_answers(
    partitions: int, replicas: int, brokers: int, racks: int
) -> list[Replicas] | Unmeasured:
    """What `StripedReplicaPlacer` of the Kafka that runs here answers, for SEEDS seeds; 1 rack: the
    brokers name none.
    """
    if reason := apache_kafka.unavailable():
        return Unmeasured(reason)
    jars = apache_kafka.jars(apache_kafka.default_version())
    with tempfile.TemporaryDirectory() as directory:
        source = Path(directory, "Ask.java")
        source.write_text(_SOURCE)
        numbers = map(str, (partitions, replicas, brokers, racks, SEEDS))
        done = subprocess.run(
            ["java", "-cp", f"{jars}/*", str(source), *numbers],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    if done.returncode:  # a Java without its compiler
        return Unmeasured(f"Kafka's placer could not be asked: {done.stderr.strip()[-300:]}")
    return [_replicas(line) for line in done.stdout.splitlines()]


def _replicas(line: str) -> Replicas:
    held = [tuple(map(int, each.split(","))) for each in line.split()]
    return dict(enumerate(held))
