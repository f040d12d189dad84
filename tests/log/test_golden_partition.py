"""Every byte of a small partition's files, annotated, in golden/partition.hex: read it to learn."""

from __future__ import annotations

from pathlib import Path

from tests.log.making import TOPIC, Clock, batch, log_in, open_logs
from zerocopy_lab.inspect.verification import verify
from zerocopy_lab.log.startup.identity_files import format_id

GOLDEN = Path(__file__).parent / "golden" / "partition.hex"


def golden_files() -> dict[str, bytes]:
    """Name -> bytes. A section begins with `== name`; behind `#` is what the bytes are."""
    files: dict[str, bytes] = {}
    name = ""
    for line in GOLDEN.read_text().splitlines():
        if line.startswith("== "):
            name = line.removeprefix("== ")
            files[name] = b""
        else:
            files[name] = files.get(name, b"") + bytes.fromhex(line.partition("#")[0])
    del files[""]  # the comment at the top
    return files


def write_partition(directory: Path) -> None:
    """Two segments: three batches of an idempotent producer, then one of another producer."""
    logs = open_logs(directory, clock=Clock(1_000), index_interval_bytes="0", segment_bytes="250")
    log = log_in(logs)
    for number, value in enumerate((b"AA", b"BB", b"CC")):
        stamp = (1_000 + 10 * number,)
        log.append(batch(value, timestamps_ms=stamp, producer_id=7, sequence=number))
    log.append(batch(b"DD", b"EE", timestamps_ms=(990, 995)))
    logs.close()


def test_every_byte(tmp_path: Path) -> None:
    write_partition(tmp_path)
    partition = tmp_path / f"{TOPIC}-0"
    written = {path.name: path.read_bytes() for path in partition.iterdir()}
    identity = written.pop("partition.metadata").decode()
    topic_id = open_logs(tmp_path).topics()[TOPIC].topic_id
    assert identity == f"version: 0\ntopic_id: {format_id(topic_id)}"
    golden = golden_files()
    assert sorted(written) == sorted(golden)
    for name, content in golden.items():
        assert written[name].hex(" ") == content.hex(" "), name


def test_verify_finds_no_fault_in_it(tmp_path: Path) -> None:
    write_partition(tmp_path)
    found = verify(tmp_path, deep=True)
    assert (found.segments, found.batches, found.records, found.faults) == (2, 4, 5, [])
