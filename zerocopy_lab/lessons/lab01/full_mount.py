"""A log directory on a mount that really fills up: what happens to the partition that lives there?

`fill_in_namespace` runs this module in a mount namespace of its own, so that the small file system
is seen by nobody else and is gone when the process ends:

    DIR/large   an ordinary directory on whatever file system DIR is on
    DIR/small   a tmpfs of MOUNT_BYTES: the mount point that fills up

A broker (ours, or a real Kafka) is given both, a partition in each, and a client writes to the one
in the small directory until it is refused.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.classroom.kafka_runs import recorded_in_words
from zerocopy_lab.classroom.notebook_output import show_table
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab01.partition_homes import home_of, start
from zerocopy_lab.pictures.theme import byte_count
from zerocopy_lab.running.running_broker import RunningBroker, importable_here
from zerocopy_lab.running.scratch import ScratchDirectory
from zerocopy_lab.running.topic_admin import create_topic

BOUND = "bounded by one mount point"
"""The part of S1 that this is about."""

MOUNT_BYTES = 4 << 20
_TOPIC = "bounded"
_RECORD = b"x" * 60_000
_NAMESPACES = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])
_TIMEOUT_S = 150
_REFUSED_WITHIN_MS = 8000
_CANNOT_MOUNT = 3
"""The exit code that means: no mount here, so try the other kind of namespace."""


class FullMount(NamedTuple):
    """What happened: how much the mount took, what the client was then told, how the rest fared."""

    mount_bytes: int
    stored_bytes: int
    free_bytes: int
    refusal: str
    bytes_of_it_elsewhere: int
    free_elsewhere_bytes: int
    other_partition_goes_on: bool


def fill_in_namespace(which: str) -> FullMount | Unmeasured:
    """A broker of this kind beside a mount that fills up, in a namespace of our own; or why that
    cannot be done here. Raises RuntimeError when the broker did what nobody expects.
    """
    if which not in ("zerocopy_lab", "kafka"):
        return Unmeasured(f"the cluster at {which} has its own disks, and nobody may fill them")
    if shutil.which("unshare") is None:
        return Unmeasured("there is no `unshare` here, so no file system of our own can be mounted")
    refusals = []
    for namespace in _NAMESPACES:
        with ScratchDirectory("full") as scratch:
            module = [sys.executable, "-P", "-m", __name__, str(scratch.path), which]
            done = subprocess.run(
                [*namespace, *module],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
                env=importable_here({}),
            )
        if done.returncode == 0:
            return FullMount(**json.loads(done.stdout.splitlines()[-1]))
        if "Traceback" in done.stderr:
            raise RuntimeError(f"the mount was made, and then: {done.stderr[-2000:]}")
        refusals.append((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    why = "; ".join(refusals)
    return Unmeasured(f"no mount of our own: {why}. As root, or with user namespaces, it works")


def fill(directory: Path, which: str) -> FullMount:
    """Mount, write until nothing fits, and look. SystemExit when mounting is refused.

    The caller has seen to it that the mount is private to this process.
    """
    large, small = directory / "large", directory / "small"
    small.mkdir(parents=True)
    words = ["mount", "-t", "tmpfs", "-o", f"size={MOUNT_BYTES}", "none", str(small)]
    if subprocess.run(words, check=False).returncode:
        raise SystemExit(_CANNOT_MOUNT)
    broker = start(which, [large, small])
    assert isinstance(broker, RunningBroker)
    try:
        create_topic(broker.bootstrap, _TOPIC, 2, {"segment.bytes": str(1 << 20)})
        homes = [home_of([large, small], _TOPIC, partition) for partition in (0, 1)]
        inside, outside = homes.index(1), homes.index(0)
        refusal = _refusal(broker.bootstrap, inside, 3 * MOUNT_BYTES)
        goes_on = not _refusal(broker.bootstrap, outside, len(_RECORD))
    finally:
        broker.close()
    name = f"{_TOPIC}-{inside}"
    elsewhere = sum(file.stat().st_size for file in (large / name).glob("*"))
    stored = sum(file.stat().st_size for file in (small / name).glob("*.log"))
    free, free_elsewhere = (shutil.disk_usage(each).free for each in (small, large))
    return FullMount(MOUNT_BYTES, stored, free, refusal, elsewhere, free_elsewhere, goes_on)


def _refusal(bootstrap: str, partition: int, most_bytes: int) -> str:
    """Writes up to `most_bytes` to a partition, record by record; what the client was told when
    one was refused, or "" when all were stored.
    """
    from confluent_kafka import Producer

    told: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "message.timeout.ms": _REFUSED_WITHIN_MS,
            "retries": 0,  # a disk that is full now is full at the next try
            "log_level": 0,
        }
    )
    for _ in range(0, most_bytes, len(_RECORD)):
        producer.produce(
            _TOPIC,
            _RECORD,
            partition=partition,
            on_delivery=lambda error, _: told.append(str(error.str()) if error else ""),
        )
        producer.flush()
        if told[-1]:
            return told[-1]
    return ""


def spill_words(spill: FullMount | Unmeasured) -> str:
    """What happened, or why nobody could look."""
    if isinstance(spill, Unmeasured):
        return f"Not tried here: {spill}. {recorded_in_words('01', 'S1', BOUND)}".rstrip()
    what = f"then refused ({spill.refusal})" if spill.refusal else "and never refused"
    others = "goes on" if spill.other_partition_goes_on else "stopped as well"
    return (
        f"On a mount of {byte_count(spill.mount_bytes)} the partition's log took "
        f"{byte_count(spill.stored_bytes)} and was {what}, while another directory of the same "
        f"broker had {byte_count(spill.free_elsewhere_bytes)} free. Of the partition "
        f"{byte_count(spill.bytes_of_it_elsewhere)} lie there. A partition in the other directory "
        f"{others}."
    )


def show_spill(spill: FullMount | Unmeasured) -> None:
    """The two directories beside each other, and what happened in words."""
    if not isinstance(spill, Unmeasured):
        mine, others = byte_count(spill.stored_bytes), byte_count(spill.bytes_of_it_elsewhere)
        rows = [
            ["small", byte_count(spill.mount_bytes), mine, byte_count(spill.free_bytes)],
            ["large", "", others, byte_count(spill.free_elsewhere_bytes)],
        ]
        show_table(["directory", "mount", "bytes of the partition", "free"], rows)
    print(spill_words(spill))


def spill_answer(spill: FullMount | Unmeasured) -> int | None:
    """What happened to the next record: the number of the notebook's choice."""
    if isinstance(spill, Unmeasured):
        return None
    if spill.bytes_of_it_elsewhere:
        return 1
    return 2 if spill.refusal else 3


if __name__ == "__main__":
    print(json.dumps(fill(Path(sys.argv[1]), sys.argv[2])._asdict()))
