"""Which clients work with this broker, and at what: found out by running them, printed as a
Markdown table.

    python -m ci.compat                                   all clients
    python -m ci.compat --only confluent-kafka --only kcat --aspect TLS
    python -m ci.compat --out data/compatible_clients.md  into the file that the README shows;
                                                          with --only, just these rows of it

Every cell is a round trip whose result is compared: the messages that come back with those that
were sent, the codec and the producer's id with what the broker's segment files hold, the owner of
the partitions with who is left. "yes": it worked; "–": the client does not offer it; "no": it
failed, and why is said below the table. The exit code is 1 if anything failed.

The steps of every check are here, once; how each client takes a step is in `libraries.py`,
`programs.py` and `elsewhere.py`, in the words of `verbs.py`. Java's tools come from Maven
(`zerocopy_lab.running.apache_kafka`). A client that cannot run here has no row; why is said below.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ci.compat.certificates import Certificates, make_certificates
from ci.compat.elsewhere import Go, Node, Rust
from ci.compat.libraries import Aiokafka, Confluent, KafkaPython
from ci.compat.programs import JavaTools, Kcat
from ci.compat.verbs import (
    PASSWORD,
    TIMEOUT_S,
    USER,
    Client,
    Door,
    Failed,
    NotOffered,
    Shipment,
    expect,
)
from zerocopy_lab.records.batch import BatchHeader, iterate_headers
from zerocopy_lab.running import apache_kafka
from zerocopy_lab.running.running_broker import RunningBroker

CODECS = ("gzip", "snappy", "lz4", "zstd")
PARTITIONS = 10
MESSAGES = [b"message %d %s" % (number, b"x" * (number % 90)) for number in range(2_000)]
WITNESS = Confluent()  # who writes what a client shall read, and reads what it wrote


class Doors:
    """A running broker with every kind of listener."""

    def __init__(self, broker: RunningBroker, certificates: Certificates) -> None:
        self.data_dir = broker.data_dir
        addresses = {"PLAINTEXT": broker.bootstrap}
        deadline_s = time.monotonic() + 20
        while len(addresses) < 4:
            for line in broker.log_path.read_text().splitlines():
                address, found, protocol = line.partition("listening on ")[2].partition(" for ")
                if found:
                    addresses[protocol] = address
            if time.monotonic() > deadline_s:
                raise Failed(f"not all listeners came up: {addresses}")
            time.sleep(0.01)
        authority = certificates.authority
        self.plain = Door(addresses["PLAINTEXT"], "PLAINTEXT", authority)
        self.tls = Door(addresses["SSL"], "SSL", authority)
        self.sasl = [
            Door(addresses["SASL_SSL"], "SASL_SSL", authority, "PLAIN"),
            Door(addresses["SASL_SSL"], "SASL_SSL", authority, "SCRAM-SHA-512"),
            Door(addresses["SASL_PLAINTEXT"], "SASL_PLAINTEXT", authority, "SCRAM-SHA-256"),
        ]

    def batches_of(self, topic: str) -> list[BatchHeader]:
        """The headers of all batches that the broker has stored for a topic."""
        return [
            header
            for path in sorted(self.data_dir.glob(f"{topic}-*/*.log"))
            for _, header in iterate_headers(memoryview(path.read_bytes()))
        ]


@contextmanager
def open_doors() -> Iterator[Doors]:
    with tempfile.TemporaryDirectory(prefix="zerocopy-lab-compat-") as name:
        directory = Path(name)
        certificates = make_certificates(directory)
        (directory / "users").write_text(f"{USER}:{PASSWORD}\n")
        options = ["--sasl-users", str(directory / "users")]
        options += ["--set", f"ssl.keystore.location={certificates.broker}"]
        options += ["--set", "group.consumer.session.timeout.ms=6000"]  # of KIP-848's members
        for protocol in ("SSL", "SASL_PLAINTEXT", "SASL_SSL"):
            options += ["--listen", f"{protocol}://127.0.0.1:0"]
        with RunningBroker(options=options) as broker:
            yield Doors(broker, certificates)


# Checks -------------------------------------------------------------------------------------------


def check_produce(client: Client, doors: Doors, topic: str) -> None:
    """What it writes, confluent-kafka reads."""
    client.produce(doors.plain, Shipment(topic, MESSAGES))
    expect(WITNESS.consume(doors.plain, topic, len(MESSAGES)), MESSAGES)


def check_consume(client: Client, doors: Doors, topic: str) -> None:
    """What confluent-kafka writes, it reads."""
    WITNESS.produce(doors.plain, Shipment(topic, MESSAGES))
    expect(client.consume(doors.plain, topic, len(MESSAGES)), MESSAGES)


def check_group(client: Client, doors: Doors, topic: str) -> None:
    """A second member of the group goes on where the first has committed."""
    WITNESS.produce(doors.plain, Shipment(topic, MESSAGES))
    for begin in (0, 700):
        received = client.consume(doors.plain, topic, 700, f"group-{topic}")
        expect(received, MESSAGES[begin : begin + 700])


def check_rebalance(client: Client, doors: Doors, topic: str, protocol: str = "classic") -> None:
    """Two members share ten partitions; one is killed; the other gets all of them."""
    with WITNESS.admin(doors.plain) as admin:
        admin.create(topic, PARTITIONS, {})
    command = client.member(doors.plain, f"group-{topic}", topic, protocol)
    with Member(command, client.assigned) as victim, Member(command, client.assigned) as heir:
        victim.wait_for(PARTITIONS // 2)
        heir.wait_for(PARTITIONS // 2)
        victim.kill()
        heir.wait_for(PARTITIONS)


def check_kip848(client: Client, doors: Doors, topic: str) -> None:
    """The same in a group of the new protocol."""
    check_rebalance(client, doors, topic, "consumer")


def check_admin(client: Client, doors: Doors, topic: str) -> None:
    """Create with three partitions and a setting, read it, change another, extend, delete."""
    with client.admin(doors.plain) as admin:
        admin.create(topic, 3, {"retention.ms": "86400000"})
        expect(admin.partitions(topic), 3)
        expect(admin.setting(topic, "retention.ms"), "86400000")
        admin.change(topic, "flush.ms", "1000")
        expect(admin.setting(topic, "flush.ms"), "1000")
        admin.extend(topic, 5)
        expect(admin.partitions(topic), 5)
        client.show_more(doors.plain, topic)
        admin.delete(topic)
        expect(topic in admin.topics(), False)


def check_compression(client: Client, doors: Doors, topic: str) -> str:
    """Each codec, as it lies in the segment file and as it is read back; the cell names the codecs
    if not all are offered.
    """
    offered = []
    for codec in CODECS:
        compressed = Shipment(f"{topic}-{codec}", MESSAGES, codec)
        try:
            client.produce(doors.plain, compressed)
        except NotOffered:
            continue
        offered.append(codec)
        stored = {header.codec.name.lower() for header in doors.batches_of(compressed.topic)}
        # librdkafka leaves a batch as it is that compression would make larger.
        expect(stored | {"none"}, {codec, "none"})
        expect(client.consume(doors.plain, compressed.topic, len(MESSAGES)), MESSAGES)
    if not offered:
        raise NotOffered
    return "yes" if len(offered) == len(CODECS) else ", ".join(offered)


def check_idempotence(client: Client, doors: Doors, topic: str) -> None:
    """Every batch carries a producer id and a sequence number, without a gap."""
    client.produce(doors.plain, Shipment(topic, MESSAGES, idempotent=True))
    batches = doors.batches_of(topic)
    expect({header.producer_id >= 0 for header in batches}, {True})
    sequence = 0
    for header in batches:
        expect(header.base_sequence, sequence)
        sequence += header.records_count
    expect(sequence, len(MESSAGES))


def check_round_trip(client: Client, door: Door, topic: str) -> None:
    """What it writes through a door, it reads through the same door."""
    client.produce(door, Shipment(topic, MESSAGES))
    expect(client.consume(door, topic, len(MESSAGES)), MESSAGES)


def check_tls(client: Client, doors: Doors, topic: str) -> None:
    check_round_trip(client, doors.tls, topic)


def check_sasl(client: Client, doors: Doors, topic: str) -> str:
    """PLAIN and SCRAM; the cell names the mechanisms if not all are offered."""
    offered = []
    for number, door in enumerate(doors.sasl):
        try:
            check_round_trip(client, door, f"{topic}-{number}")
        except NotOffered:
            continue
        offered.append(str(door.mechanism))
    if not offered:
        raise NotOffered
    return "yes" if len(offered) == len(doors.sasl) else ", ".join(offered)


#: A check returns what the cell says; None: "yes".
CHECKS: dict[str, Callable[[Client, Doors, str], str | None]] = {
    "produce": check_produce,
    "consume": check_consume,
    "group": check_group,
    "rebalance": check_rebalance,
    "KIP-848": check_kip848,
    "admin": check_admin,
    "compression": check_compression,
    "idempotence": check_idempotence,
    "TLS": check_tls,
    "SASL": check_sasl,
}


class Member:
    """A process in a group, and how many partitions it owns."""

    def __init__(self, command: list[str], assigned: Callable[[str, int], int | None]) -> None:
        self._changed = threading.Condition()
        self._assigned = assigned
        self._owns = -1
        self._lines: list[str] = []
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                owns = self._assigned(line, max(self._owns, 0))
                if owns is not None:
                    self._owns = owns
                    self._changed.notify_all()

    def wait_for(self, partitions: int) -> None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._owns == partitions, TIMEOUT_S):
                tail = "".join(self._lines[-5:])
                raise Failed(f"a member owns {self._owns} partitions, not {partitions}: {tail}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._thread.join()

    def __enter__(self) -> Member:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        assert self._process.stdout is not None
        self._process.stdout.close()


# The table ----------------------------------------------------------------------------------------


def row(client: Client, doors: Doors, aspects: Sequence[str], complaints: list[str]) -> list[str]:
    cells = []
    for aspect in aspects:
        topic = re.sub(r"[^a-z0-9.]+", "-", f"{client.name}-{aspect}".lower()).strip("-")
        try:
            cells.append(CHECKS[aspect](client, doors, topic) or "yes")
        except NotOffered:
            cells.append("–")
        except Exception as error:
            cells.append("no")
            last_line = traceback.format_exc().strip().splitlines()[-1]
            complaints.append(f"{client.name}, {aspect}: {last_line or error}")
        print(f"{client.name}: {aspect}: {cells[-1]}", file=sys.stderr, flush=True)
    return cells


def rows_in(path: Path) -> dict[str, str]:
    """The rows of a table by client, in order; none if there is no such file."""
    lines = path.read_text(encoding="utf-8").splitlines()[2:] if path.exists() else []
    return {line.split("|")[1].strip(): line for line in lines}


def clients(only: Sequence[str]) -> Iterator[Client]:
    everybody: list[Client] = [Confluent(), KafkaPython(), Aiokafka(), Kcat()]
    everybody += [
        Node("kafkajs", "kafkajs"),
        Node("@platformatic/kafka", "platformatic", speaks_kip848=True),
        Go("franz-go", "franz-go"),
        Go("kafka-go", "kafka-go"),
        Go("sarama", "sarama"),
        Rust("rdkafka (Rust)", "rdkafka", speaks_kip848=True),
    ]
    for version in ("3.9.1", apache_kafka.VERSION):
        everybody.append(JavaTools(version))
    for client in everybody:
        if not only or any(client.name.startswith(name) for name in only):
            yield client


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="CLIENT")
    parser.add_argument("--aspect", action="append", choices=CHECKS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    aspects = given.aspect or list(CHECKS)
    complaints: list[str] = []
    head = [f"| client | {' | '.join(aspects)} |", "|---" * (len(aspects) + 1) + "|"]
    rows = {}
    notes = []
    with open_doors() as doors:
        for client in clients(given.only):
            if reason := client.unavailable():
                notes.append(f"{client.name}: not testable here: {reason}")
                continue
            if isinstance(client, JavaTools):
                apache_kafka.jars(client.version)
            cells = row(client, doors, aspects, complaints)
            rows[client.name] = f"| {client.name} | {' | '.join(cells)} |"
            if isinstance(client, JavaTools):
                notes.append(f"{client.name}: {', '.join(client.used)}")
                client.close()
    print("\n".join([*head, *rows.values(), "", *notes, *complaints]))
    if given.out:
        kept = rows_in(given.out) if given.only else {}
        known = {**kept, **rows}
        body = [known[client.name] for client in clients([]) if client.name in known]
        given.out.write_text("\n".join([*head, *body]) + "\n")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
