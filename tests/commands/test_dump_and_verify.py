from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.log.small_log_dir import BATCH_POSITIONS, batch_at, patch, write_log_dir
from tests.records.golden_hex import golden_bytes
from zerocopy_lab.__main__ import main
from zerocopy_lab.inspect.files import files_in
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.record import Record, build_batch

SEGMENT = f"flights-0/{0:020d}"
SECOND, THIRD = BATCH_POSITIONS[0][1:]


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    write_log_dir(tmp_path)
    return tmp_path


def output(capsys: pytest.CaptureFixture[str], *arguments: object, exit_code: int = 0) -> str:
    assert main([str(argument) for argument in arguments]) == exit_code
    return capsys.readouterr().out


def json_lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_dump_of_a_segment(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = output(capsys, "dump", log_dir / f"{SEGMENT}.log").splitlines()
    assert len(lines) == 4
    assert (
        lines[2].split()
        == (
            f"{SECOND} offsets 2 to 3: 2 records, {THIRD - SECOND} bytes, none, epoch 0, "
            "newest 1970-01-01 00:00:03.000Z"
        ).split()
    )


def test_dump_of_the_records(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "dump", "--records", log_dir / f"{SEGMENT}.log")
    assert "4  1970-01-01 00:00:04.000Z  'key' -> 'value 4'" in text


def test_dump_of_a_whole_directory(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = output(capsys, "dump", log_dir)
    files = files_in(log_dir)
    assert len(files) == 14
    assert all(f"{path}  ({path.stat().st_size:,} bytes)" in text for path in files)
    assert f"offset 5 is the last of the batch at position {THIRD}" in text
    assert "1970-01-01 00:00:09.000Z is reached by offset 9" in text
    assert "producerId 7, producerEpoch 0, lastSequence 1, lastOffset 11" in text
    assert "topic_id: jiTUXyp0R2OT5swQgO-Dgw" in text


@pytest.mark.parametrize("codec", Codec)
def test_json_says_everything(
    tmp_path: Path, codec: Codec, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{40:020d}.log"
    records = [
        Record(40, 1, b"k", b"\xff\x00", (("trace", b"a"), ("none", None))),
        Record(41, 2, None, b"v"),
    ]
    batch = build_batch(records, codec=codec, base_offset=40, producer_id=9, base_sequence=5)
    path.write_bytes(batch)
    (line,) = json_lines(output(capsys, "dump", "--json", "--records", path))
    assert line["file"] == str(path)
    assert (line["kind"], line["filePosition"], line["totalBytes"]) == ("log", 0, len(batch))
    assert (line["baseOffset"], line["lastOffset"], line["recordsCount"]) == (40, 41, 2)
    assert (line["producerId"], line["baseSequence"], line["attributes"]) == (9, 5, codec)
    assert line["damage"] is None
    assert line["records"] == [
        {
            "offset": 40,
            "timestamp": 1,
            "isControl": False,
            "key": "k",
            "valueBase64": "/wA=",
            "headers": [{"name": "trace", "value": "a"}, {"name": "none", "value": None}],
        },
        {
            "offset": 41,
            "timestamp": 2,
            "isControl": False,
            "key": None,
            "value": "v",
            "headers": [],
        },
    ]


def test_json_of_the_other_files(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (_, entry) = json_lines(output(capsys, "dump", "--json", log_dir / f"{SEGMENT}.index"))
    assert (entry["filePosition"], entry["offset"], entry["position"]) == (8, 5, THIRD)
    (entry, _) = json_lines(output(capsys, "dump", "--json", log_dir / f"{SEGMENT}.timeindex"))
    assert (entry["offset"], entry["timestamp"]) == (3, 3_000)
    lines = json_lines(output(capsys, "dump", "--json", log_dir / "meta.properties"))
    assert lines[0]["line"] == "node.id=1"


def bytes_shown(text: str) -> bytes:
    """The bytes in the middle column of a hex dump."""
    shown = [line for line in text.splitlines()[1:] if line[12:16] == "    "]
    return bytes.fromhex(" ".join(line[16:63] for line in shown))


@pytest.mark.parametrize("codec", Codec)
def test_hex_shows_every_byte_of_a_batch_once(
    tmp_path: Path, codec: Codec, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{0:020d}.log"
    headers = (("trace", b"\x00" * 40), ("none", None))
    batch = build_batch([Record(0, 1, b"k", b"v" * 99, headers)], codec=codec)
    path.write_bytes(batch + batch_at(1))
    text = output(capsys, "dump", "--hex", path)
    assert bytes_shown(text) == path.read_bytes()
    assert all(f"  {name} " in text for name in ("baseOffset", "crc", "recordsCount"))
    assert ("  headerKey trace" in text) == (codec is Codec.NONE)
    assert (f"  records {codec.name.lower()}" in text) == (codec is not Codec.NONE)


@pytest.mark.parametrize("name", [f"{SEGMENT}.timeindex", f"flights-0/{12:020d}.snapshot"])
def test_hex_shows_every_byte_of_the_small_files(
    log_dir: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text = output(capsys, "dump", "--hex", log_dir / name)
    assert bytes_shown(text) == (log_dir / name).read_bytes()


def test_dump_shows_damage_and_goes_on(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = log_dir / f"{SEGMENT}.log"
    patch(path, SECOND + 70, b"\xff")
    lines = output(capsys, "dump", "--records", "--hex", path).splitlines()
    assert len([line for line in lines if "DAMAGED: CRC-32C" in line]) == 1
    assert any("offsets 4 to 5" in line for line in lines)
    path.write_bytes(path.read_bytes()[: THIRD + 5])
    assert main(["dump", str(path)]) == 1
    told = capsys.readouterr()
    assert "offsets 2 to 3" in told.out
    assert f"{path}: 5 bytes" in told.err


def test_dump_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    for path in (tmp_path, tmp_path / "notes.txt"):
        assert main(["dump", str(path)]) == 2
        assert "is no file of a log" in capsys.readouterr().err
    assert main(["dump", str(tmp_path / "nowhere")]) == 2


def test_dump_into_a_pipe_that_nobody_reads(log_dir: Path) -> None:
    command = [sys.executable, "-m", "zerocopy_lab", "dump", "--hex", str(log_dir)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as dumping:
        assert dumping.stdout is not None
        assert dumping.stderr is not None
        dumping.stdout.close()
        assert dumping.stderr.read() == b""
    assert dumping.returncode == 0


def test_verify(log_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "verify", log_dir) == "1 partitions, 2 segments, 6 batches: 0 faults\n"
    patch(log_dir / f"{SEGMENT}.log", SECOND + 70, b"\xff")
    text = output(capsys, "verify", "--deep", log_dir, exit_code=1)
    assert text.startswith(f"{log_dir / SEGMENT}.log at position {SECOND}: CRC-32C")
    assert text.endswith("6 batches, 10 records: 1 faults\n")
    found = json.loads(output(capsys, "verify", "--json", log_dir, exit_code=1))
    assert (found["batches"], len(found["faults"])) == (6, 1)
    assert found["faults"][0]["position"] == SECOND
    assert found["faults"][0]["path"] == f"{log_dir / SEGMENT}.log"


def test_verify_of_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(tmp_path)]) == 2
    assert "is neither a log.dir" in capsys.readouterr().err


def test_dump_of_the_golden_batch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The whole look of it; two_records.hex says independently what the bytes are."""
    path = tmp_path / f"{0:020d}.log"
    path.write_bytes(golden_bytes("two_records.hex"))
    _, _, shown = output(capsys, "dump", "--hex", "--records", path).partition("\n")
    assert shown == (Path(__file__).parent / "golden" / "two_records.txt").read_text()
