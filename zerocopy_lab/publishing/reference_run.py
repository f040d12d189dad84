"""Makes the reference run: what labs show, marked as recorded, where an instrument is missing.

    python -m zerocopy_lab labs record
    python -m zerocopy_lab labs record --broker kafka 03 05    (`classroom.kafka_runs`)

The measurements are the labs' own, in fast mode, on a machine that has all instruments; where they
end up is described in `recorded`. Only what can be missing is kept: pages, device bytes, system
calls, what needs an eviction or a control group, and what a real Kafka did (lab 06).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from zerocopy_lab.classroom.kafka_runs import keep_kafka_run
from zerocopy_lab.classroom.lab import KAFKA, Lab
from zerocopy_lab.classroom.manifest import LabEntry, lab_entry
from zerocopy_lab.instruments.host import describe_host
from zerocopy_lab.instruments.unavailable import Unmeasured
from zerocopy_lab.lessons.lab04 import loop_price, moves
from zerocopy_lab.lessons.lab05 import one_call
from zerocopy_lab.lessons.lab06 import late_reader, page_cache, small_memory
from zerocopy_lab.lessons.lab09 import devices, receiving
from zerocopy_lab.lessons.lab10 import limits
from zerocopy_lab.lessons.lab11 import failed_fsync, flush_policies
from zerocopy_lab.measuring.experiment import Outcome
from zerocopy_lab.measuring.fetch_calls import calls_per_fetch
from zerocopy_lab.measuring.racing import random_file
from zerocopy_lab.measuring.recorded import REFERENCE_FILE, REFERENCE_FORMAT, plain_outcome
from zerocopy_lab.publishing.headless import run_lab
from zerocopy_lab.running import apache_kafka, flight_events
from zerocopy_lab.running.running_broker import RunningBroker
from zerocopy_lab.running.scratch import ScratchDirectory

SEED = 1
_OF_ONE_RUN = {"data_dir", "path", "host", "port", "pid"}
_Found = TypeVar("_Found")


class CannotRecord(RuntimeError):
    """This machine lacks an instrument itself; the message says which."""


def record(path: Path = REFERENCE_FILE) -> None:
    """Measures and writes the file. Raises CannotRecord, and whatever the labs' functions raise."""
    with ScratchDirectory("reference") as scratch:
        found = {
            **_calls(scratch.path / "calls"),
            **_pages(),
            **_moves(scratch.path),
            **_ends(),
        }
    run = {
        "format": REFERENCE_FORMAT,
        "host": describe_host().text(),
        "day": datetime.now(UTC).date().isoformat(),
        "settings": {"fast": True, "seed": SEED},
        "found": found,
    }
    path.write_text(json.dumps(run, indent=1) + "\n")


def record_on_kafka(entry: LabEntry) -> Path:
    """Runs a lab against a real Kafka, in fast mode, and keeps what it found out about it: where.

    Raises CannotRecord with what is missing, or with what went wrong in the lab.
    """
    with ScratchDirectory("kafka-run") as scratch:
        run = run_lab(entry, scratch.path, fast=True, seed=SEED, broker=KAFKA)
        if run.skipped or run.problems:
            raise CannotRecord(run.skipped or "\n".join(run.problems))
        conclusion = run.evidence["conclusion"]
    try:
        return keep_kafka_run(conclusion, apache_kafka.default_version())
    except ValueError as reason:
        raise CannotRecord(str(reason)) from reason


def _calls(data_dir: Path) -> dict[str, Any]:
    """Of labs 04 and 05."""
    with RunningBroker(data_dir) as broker:
        flight_events.load(broker.bootstrap, moves.TOPIC, fast=True)
        calls = _certain(calls_per_fetch(broker, moves.TOPIC))
    path = random_file(data_dir.parent, 64 << 20)
    reads = _certain(moves.device_reads(path))
    measured = loop_price.sweep(path, _lab("04"))
    in_c = _certain(loop_price.shares(measured, in_c=True) if measured.has_c else None)
    sleeps = _certain(one_call.sleeps_in_one_call(one_call.a_file(data_dir.parent)))
    return {
        moves.READS_AS: reads._asdict(),
        loop_price.SHARES_AS: in_c.text(),
        one_call.CALLS_AS: calls,
        one_call.SLEEPS_AS: sleeps._asdict(),
    }


def _pages() -> dict[str, Any]:
    """Of lab 06: what a real Kafka did, and what a small memory does."""
    lab = _lab("06")
    with RunningBroker(kind="kafka", settings=late_reader.ONE_THREAD) as kafka:
        written = page_cache.write_and_watch(kafka, lab)
        soon = page_cache.read_all(kafka, written)
        seen = page_cache.Sighting(written, soon, _certain(page_cache.read_late(kafka, written)))
        outcome = _certain(late_reader.measure(kafka, lab))
        plain = page_cache.plain(seen, kafka.version)
    if plain is None:
        raise CannotRecord("this machine tells no dirty pages or no device bytes of a process")
    return {
        page_cache.RECORDED_AS: plain,
        late_reader.RECORDED_AS: _without_paths(outcome),
        small_memory.RECORDED_AS: _small_memory().plain(),
    }


def _small_memory() -> small_memory.Scene:
    """As the notebook has it."""
    with small_memory.SmallMemory() as stage:
        for step in range(48):
            stage.write()
            stage.read(small_memory.TAIL)
            if step > 12:
                stage.read(small_memory.LATE)
            stage.look()
    return stage.scene


def _ends() -> dict[str, Any]:
    """Of lab 11."""
    with RunningBroker() as broker:
        seen = _certain(flush_policies.survivors(broker, _lab("11")))
    return {
        flush_policies.RECORDED_AS: [each._asdict() for each in seen],
        failed_fsync.RECORDED_AS: _certain(failed_fsync.fail_twice())._asdict(),
    }


def _moves(directory: Path) -> dict[str, Any]:
    """Of labs 09 and 10."""
    lab = _lab("09")
    with RunningBroker() as broker:
        taken = {"the broker": _certain(receiving.taken_by_broker(broker, lab))}
    path = devices.a_file(directory, lab)
    return {
        receiving.RECEIVERS_AS: {**taken, **_certain(receiving.taken_by_receivers())},
        devices.CARDS_AS: _certain(devices.try_cards()),
        limits.FILE_SYSTEMS_AS: limits.on_file_systems(directory, lab),
        devices.DISK_AS: _without_paths(_certain(devices.read_in_all_ways(path, lab))),
    }


def _certain(found: _Found | str | Unmeasured | None) -> _Found:
    if found is None or isinstance(found, str | Unmeasured):
        raise CannotRecord(f"this machine cannot make a reference run: {found}")
    return found


def _without_paths(outcome: Outcome) -> dict[str, Any]:
    """Plain, and without the processes and directories of that run."""
    fields = plain_outcome(outcome)
    fields["contestants"] = {
        name: {key: value for key, value in settings.items() if key not in _OF_ONE_RUN}
        for name, settings in outcome.contestants.items()
    }
    return fields


def _lab(lab_id: str) -> Lab:
    return Lab(lab_entry(lab_id), True, SEED, Path(), True)
