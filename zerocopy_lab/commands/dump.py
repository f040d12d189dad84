"""`dump`: what is in the files of a log, as people or programs like to read it.

    python -m zerocopy_lab dump DIR/flights-0                      every file of a partition
    python -m zerocopy_lab dump --records 00000000000000000000.log the records, too
    python -m zerocopy_lab dump --hex 00000000000000000000.index   the bytes, every field named
    python -m zerocopy_lab dump --json DIR                         one JSON object a line

Reads what this broker and what a real Kafka wrote, and changes nothing. The exit code is 1 when a
file could not be read to its end; `verify` tells more about that.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from zerocopy_lab.errors import KafkaError
from zerocopy_lab.inspect.files import (
    StoredBatch,
    files_in,
    index_entries,
    kind_of,
    snapshot_entries,
    stored_batches,
    text_lines,
)
from zerocopy_lab.log.file_names import parse_segment_file
from zerocopy_lab.records.batch import HEADER_BYTES
from zerocopy_lab.records.compression import Codec
from zerocopy_lab.records.fields import (
    Field,
    attributes_in_words,
    header_fields,
    record_fields,
    time_in_words,
)
from zerocopy_lab.records.record import Record, read_records

_BYTES_PER_LINE = 16


Shown = tuple[int, bytes, Field]  # position in the file, bytes, what they are


class DumpedEntry(NamedTuple):
    """One batch, index entry, producer or line: for people, for programs, and byte by byte."""

    position: int
    line: str
    values: dict[str, Any]
    fields: Iterable[Shown] = ()
    records: Iterable[Record] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the path and what to show of it."""
    parser.add_argument(
        "path", type=Path, help="a file of a log, a partition's directory, a log.dir"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    parser.add_argument(
        "--hex", action="store_true", help="the bytes of every field, with its name"
    )
    parser.add_argument("--records", action="store_true", help="open the batches")


def run(arguments: argparse.Namespace) -> int:
    """Prints; 1 when a file could not be read to its end, 2 when there is nothing to print."""
    try:
        kinds = {path: kind_of(path) for path in files_in(arguments.path)}
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    unknown = [path for path, kind in kinds.items() if kind is None]
    if unknown or not kinds:
        print(
            f"{arguments.path} is no file of a log, and has none in it: segments are called "
            "<20 digits>.log, .index, .timeindex or .snapshot",
            file=sys.stderr,
        )
        return 2
    exit_code = 0
    for path, kind in kinds.items():
        assert kind is not None
        try:
            _print_file(path, kind, arguments)
        except BrokenPipeError:  # `dump ... | head` has seen enough; say nothing at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (KafkaError, ValueError, OSError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            exit_code = 1
    return exit_code


def _print_file(path: Path, kind: str, arguments: argparse.Namespace) -> None:
    if not arguments.json:
        print(f"{path}  ({path.stat().st_size:,} bytes)")
    for entry in _ENTRIES[kind](path):
        if arguments.json:
            print(json.dumps(_as_json(entry, path, kind, arguments.records)))
            continue
        print(f"{entry.position:>12,}  {entry.line}")
        if arguments.hex:
            for position, octets, field in entry.fields:
                print("\n".join(_hex_lines(position, octets, field)))
        if arguments.records:
            for record in entry.records:
                print(f"{'':14}  {_record_line(record)}")


# One function for each kind of file: its entries, in order


def _log_entries(path: Path) -> Iterator[DumpedEntry]:
    for found in stored_batches(path):
        header = found.header
        producer = (
            f", producer {header.producer_id} epoch {header.producer_epoch} "
            f"sequence {header.base_sequence} to {header.last_sequence}"
            if header.producer_id >= 0
            else ""
        )
        yield DumpedEntry(
            found.position,
            f"offsets {header.base_offset} to {header.last_offset}: "
            f"{header.records_count} records, "
            f"{header.total_bytes:,} bytes, {attributes_in_words(header.attributes)}, "
            f"epoch {header.leader_epoch}, "
            f"newest {time_in_words(header.max_timestamp_ms)}{producer}"
            + (f"  DAMAGED: {found.damage}" if found.damage else ""),
            {
                **{field.name: field.value for field in header_fields(found.batch)},
                "lastOffset": header.last_offset,
                "totalBytes": header.total_bytes,
                "damage": found.damage,
            },
            _batch_bytes(found),
            () if found.damage else read_records(found.batch),
        )


def _batch_bytes(found: StoredBatch) -> Iterator[Shown]:
    yield from _located(header_fields(found.batch), found.batch, found.position)
    body = found.batch[HEADER_BYTES:]
    if found.damage or found.header.codec is not Codec.NONE:
        packed = Field("records", 0, len(body), 0, attributes_in_words(found.header.attributes))
        yield from _located([packed], body, found.position + HEADER_BYTES)
        return
    position = 0
    while position < len(body):
        fields = record_fields(body, position)
        yield from _located(fields, body, found.position + HEADER_BYTES)
        position = fields[-1].position + fields[-1].length


def _index_entries(path: Path) -> Iterator[DumpedEntry]:
    parsed = parse_segment_file(path.name)
    assert parsed is not None, "a file of another kind"
    content = memoryview(path.read_bytes())
    for fields in index_entries(path):
        values = {field.name: field.value for field in fields}
        offset = parsed[0] + int(values["relativeOffset"])
        if "timestamp" in values:
            line = f"{time_in_words(int(values['timestamp']))} is reached by offset {offset}"
        else:
            line = f"offset {offset} is the last of the batch at position {int(values['position'])}"
        values["offset"] = offset
        yield DumpedEntry(fields[0].position, line, values, _located(fields, content))


def _snapshot_entries(path: Path) -> Iterator[DumpedEntry]:
    content = memoryview(path.read_bytes())
    for fields in snapshot_entries(path):
        line = ", ".join(f"{field.name} {field.told}" for field in fields)
        values = {field.name: field.value for field in fields}
        yield DumpedEntry(fields[0].position, line, values, _located(fields, content))


def _text_entries(path: Path) -> Iterator[DumpedEntry]:
    position = 0
    for number, text in enumerate(text_lines(path), 1):
        octets = text.encode()
        line = Field(f"line {number}", position, len(octets), octets)
        yield DumpedEntry(position, text, {"line": text}, [(position, octets, line)])
        position += len(octets) + 1


_ENTRIES = {
    "log": _log_entries,
    "index": _index_entries,
    "timeindex": _index_entries,
    "snapshot": _snapshot_entries,
    "text": _text_entries,
}


def _located(fields: Iterable[Field], view: memoryview, start: int = 0) -> Iterator[Shown]:
    """Each field with its position in the file and its bytes; the view begins at `start` there."""
    for field in fields:
        octets = bytes(view[field.position : field.position + field.length])
        yield start + field.position, octets, field


# How an entry looks


def _hex_lines(position: int, octets: bytes, field: Field) -> Iterator[str]:
    for start in range(0, max(len(octets), 1), _BYTES_PER_LINE):
        line = octets[start : start + _BYTES_PER_LINE].hex(" ")
        told = f"{field.name} {field.told}".rstrip() if start == 0 else ""
        yield f"{position + start:>12,}    {line:<{3 * _BYTES_PER_LINE}} {told}".rstrip()


def _record_line(record: Record) -> str:
    headers = "".join(f"  {name}={_text(value)}" for name, value in record.headers)
    time = time_in_words(record.timestamp_ms)
    return f"{record.offset}  {time}  {_text(record.key)} -> {_text(record.value)}{headers}"


def _text(octets: bytes | None) -> str:
    return "null" if octets is None else ascii(octets.decode("utf-8", "backslashreplace"))


def _as_json(entry: DumpedEntry, path: Path, kind: str, with_records: bool) -> dict[str, Any]:
    shown = {"file": str(path), "kind": kind, "filePosition": entry.position, **entry.values}
    if with_records and kind == "log":
        shown["records"] = [_record_as_json(record) for record in entry.records]
    return shown


def _record_as_json(record: Record) -> dict[str, Any]:
    return {
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "isControl": record.is_control,
        **_bytes_as_json("key", record.key),
        **_bytes_as_json("value", record.value),
        "headers": [
            {"name": name, **_bytes_as_json("value", value)} for name, value in record.headers
        ],
    }


def _bytes_as_json(name: str, octets: bytes | None) -> dict[str, str | None]:
    """As text where it is UTF-8; what is not, as base64 under another name."""
    try:
        return {name: None if octets is None else octets.decode()}
    except UnicodeDecodeError:
        return {f"{name}Base64": base64.b64encode(octets or b"").decode()}
