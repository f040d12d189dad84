"""A log directory on a mount that really fills up: what happens to the partition that lives there?

Meant to be run in a mount namespace of its own (`fill_in_namespace` does that), so that the small
file system is seen by nobody else and is gone when the process ends:

    DIR/small   a tmpfs of MOUNT_BYTES: the mount point that fills up
    DIR/large   an ordinary directory on whatever file system DIR is on

One partition is put in each, and batches are appended to the first until the disk refuses.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from zerocopy_lab.errors import KafkaError
from zerocopy_lab.log.startup.log_directories import LogDirectories
from zerocopy_lab.records.record import Record, build_batch
from zerocopy_lab.running.running_broker import importable_here
from zerocopy_lab.running.scratch import ScratchDirectory

MOUNT_BYTES = 4 << 20
_RECORD_BYTES = 60_000
_NAMESPACES = (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"])
_TIMEOUT_S = 30


class FullMount(NamedTuple):
    """What happened: how much the mount took, what the log then said, and how the rest fared."""

    mount_bytes: int
    stored_bytes: int
    error: str
    free_elsewhere_bytes: int
    other_partition_goes_on: bool


def fill_in_namespace() -> FullMount | str:
    """Fill a small mount in a namespace of our own; or why that cannot be done here, in words."""
    if shutil.which("unshare") is None:
        return "there is no `unshare` here, so no file system of our own can be mounted"
    refusals = []
    for namespace in _NAMESPACES:
        with ScratchDirectory("full") as scratch:
            module = [sys.executable, "-P", "-m", "zerocopy_lab.running.full_mount"]
            done = subprocess.run(
                [*namespace, *module, str(scratch.path)],
                capture_output=True,
                text=True,
                timeout=_TIMEOUT_S,
                check=False,
                env=importable_here({}),
            )
        if done.returncode == 0:
            return FullMount(**json.loads(done.stdout))
        refusals.append((done.stderr.strip().splitlines() or ["no reason given"])[-1])
    return f"no mount of our own: {'; '.join(refusals)}. As root, or with user namespaces, it works"


def fill(directory: Path) -> FullMount:
    """Mount, store until nothing fits, and look. Raises CalledProcessError when mounting is
    refused.

    The caller has seen to it that the mount is private to this process.
    """
    small, large = directory / "small", directory / "large"
    small.mkdir()
    options = f"size={MOUNT_BYTES}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(small)], check=True)
    logs = LogDirectories.open([small, large])
    logs.create_topic("bounded", 1)
    logs.create_topic("elsewhere", 1)
    stored_bytes, error = _store_until_refused(logs)
    error = error.replace(f"{directory}/", "")  # its place differs from run to run
    goes_on = logs.find("elsewhere", 0).append(_batch()).base_offset == 0
    free_bytes = shutil.disk_usage(large).free
    logs.close()
    return FullMount(MOUNT_BYTES, stored_bytes, error, free_bytes, goes_on)


def _store_until_refused(logs: LogDirectories) -> tuple[int, str]:
    stored_bytes = 0
    while stored_bytes <= 2 * MOUNT_BYTES:
        batch = _batch()
        try:
            logs.find("bounded", 0).append(batch)
        except KafkaError as refused:
            return stored_bytes, f"{type(refused).__name__}: {refused}"
        stored_bytes += len(batch)
    raise AssertionError(f"{stored_bytes} bytes went into a mount of {MOUNT_BYTES}")


def _batch() -> memoryview:
    return memoryview(bytearray(build_batch([Record(0, 0, None, b"x" * _RECORD_BYTES, ())])))


if __name__ == "__main__":
    print(json.dumps(fill(Path(sys.argv[1]))._asdict()))
