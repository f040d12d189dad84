"""Walking over the batches of a `.log` file, which is nothing but batch after batch.

A batch says its own length in its header, so a file can be walked without any index:
`scan_headers` reads some 60 bytes a batch and jumps (look-ups, producer state), `scan_batches`
reads everything and checks the CRC (recovery, compaction). Where a walk stops at damage, the
CorruptMessage names the file and the position, and everything before it was good.
"""

from __future__ import annotations

from collections.abc import Iterator

from zerocopy_lab.errors import CorruptMessage
from zerocopy_lab.file_slice import OpenFile
from zerocopy_lab.log import cold_pages
from zerocopy_lab.records.batch import (
    HEADER_BYTES,
    BatchHeader,
    check_stored_batch,
    read_header,
)

_HEADER_WINDOW_BYTES = 4 << 10  # about index.interval.bytes: one look-up, usually one pread(2)
_CHUNK_BYTES = 1 << 20


def scan_headers(
    file: OpenFile, position: int, end: int, window_bytes: int = _HEADER_WINDOW_BYTES
) -> Iterator[tuple[int, BatchHeader]]:
    """Position and header of every batch from `position` (a batch's start) up to `end`, both in
    bytes.

    Raises CorruptMessage at a header that cannot be one, or a batch that goes beyond `end`;
    OSError.
    """
    window = memoryview(b"")
    window_start = position
    while position < end:
        if position + HEADER_BYTES > window_start + len(window):
            window = memoryview(
                cold_pages.read(file.fd, min(window_bytes, end - position), position)
            )
            window_start = position
        header = _header_in(file, window, position - window_start, position, end)
        yield position, header
        position += header.total_bytes


def scan_batches(
    file: OpenFile, position: int, end: int
) -> Iterator[tuple[int, BatchHeader, memoryview]]:
    """Position, header and bytes of every batch, each with its CRC checked. Errors as in
    `scan_headers`.

    A view is valid until the next step. Memory: a megabyte, or the largest batch.
    """
    chunk = memoryview(b"")
    chunk_start = position
    while position < end:
        if position + HEADER_BYTES > chunk_start + len(chunk):
            chunk, chunk_start = _read(file, position, _CHUNK_BYTES, end), position
        header = _header_in(file, chunk, position - chunk_start, position, end)
        if position + header.total_bytes > chunk_start + len(chunk):
            chunk, chunk_start = _read(file, position, header.total_bytes, end), position
        at = position - chunk_start
        batch = chunk[at : at + header.total_bytes]
        try:
            yield position, check_stored_batch(batch), batch
        except CorruptMessage as error:
            raise CorruptMessage(f"{file.path} at position {position}: {error}") from None
        position += header.total_bytes


def _read(file: OpenFile, position: int, wanted_bytes: int, end: int) -> memoryview:
    count = min(max(wanted_bytes, _CHUNK_BYTES), end - position)
    return memoryview(cold_pages.read(file.fd, count, position))


def _header_in(file: OpenFile, window: memoryview, at: int, position: int, end: int) -> BatchHeader:
    try:
        header = read_header(window, at)
    except CorruptMessage as error:
        raise CorruptMessage(f"{file.path} at position {position}: {error}") from None
    if position + header.total_bytes > end:
        raise CorruptMessage(
            f"{file.path} at position {position}: a batch of {header.total_bytes} bytes, "
            f"but the file has only {end - position} bytes left"
        )
    return header
