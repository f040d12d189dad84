"""Two small files that say who something is.

`<log.dir>/meta.properties`, Java's properties format: which cluster and which broker a directory
belongs to, so that a disk that was plugged into the wrong machine is noticed.

    version=1
    cluster.id=7u6Y0pVRQ3mBcQ4m1W7b8g
    node.id=0
    directory.id=1C2v9r0QSxOiVj4uY2o3Hw

`<log.dir>/<topic>-<partition>/partition.metadata`: which topic the directory belongs to; a topic
that is deleted and created again has the same name but another id.

    version: 0
    topic_id: Wn3cX2GXRkyw4sS0m4W1ZQ

Ids are UUIDs in URL-safe base64 without padding (Kafka's `Uuid.toString`). Sources:
`MetaProperties`, `PartitionMetadataFile`.
"""

from __future__ import annotations

import base64
import binascii
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.log.file_names import PARTITION_METADATA_FILE

META_PROPERTIES_FILE = "meta.properties"


def format_id(identity: UUID) -> str:
    """22 characters of URL-safe base64."""
    return base64.urlsafe_b64encode(identity.bytes).rstrip(b"=").decode()


def parse_id(text: str) -> UUID:
    """The UUID in 22 characters. Raises ValueError."""
    try:
        return UUID(bytes=base64.urlsafe_b64decode(text + "=="))
    except (ValueError, binascii.Error):
        raise ValueError(f"{text!r} is no id of 22 characters of base64") from None


def new_id() -> str:
    """A random id whose text is easy on command lines: it does not begin with a dash, as Kafka's
    never do.
    """
    while (text := format_id(uuid.uuid4())).startswith("-"):
        pass
    return text


class MetaProperties(NamedTuple):
    """Whose directory it is."""

    cluster_id: str
    node_id: int
    directory_id: str

    def save(self, directory: Path) -> None:
        """Write meta.properties. Raises OSError."""
        lines = (
            f"cluster.id={self.cluster_id}",
            f"directory.id={self.directory_id}",
            f"node.id={self.node_id}",
            "version=1",
        )
        replace_file(directory / META_PROPERTIES_FILE, "\n".join([*lines, ""]).encode())

    @classmethod
    def load(cls, directory: Path) -> MetaProperties | None:
        """What the file says, None without one. Raises ValueError naming the file, OSError."""
        path = directory / META_PROPERTIES_FILE
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        except UnicodeDecodeError as error:
            raise ValueError(f"{path}: byte {error.start} is no text") from None
        lines = [line for line in text.splitlines() if line and not line.startswith("#")]
        properties = dict(line.partition("=")[::2] for line in lines)
        try:
            # Version 0 (Kafka with ZooKeeper) called the node a broker and gave directories no id.
            node_id = int(properties.get("node.id") or properties["broker.id"])
            directory_id = properties.get("directory.id") or new_id()
            return cls(properties["cluster.id"], node_id, directory_id)
        except (KeyError, ValueError) as error:
            raise ValueError(f"{path}: {error} is missing or not a number") from None


def cluster_id_in(directories: Iterable[Path]) -> str | None:
    """The cluster that the first directory with a meta.properties belongs to."""
    for directory in directories:
        try:
            meta = MetaProperties.load(directory)
        except (ValueError, OSError):
            continue  # opening the directory will say what is wrong with it
        if meta is not None:
            return meta.cluster_id
    return None


def save_topic_id(directory: Path, topic_id: UUID) -> None:
    """Write partition.metadata. Raises OSError."""
    replace_file(directory / PARTITION_METADATA_FILE, topic_id_file(topic_id))


def topic_id_file(topic_id: UUID) -> bytes:
    """The content of partition.metadata."""
    return f"version: 0\ntopic_id: {format_id(topic_id)}".encode()


def load_topic_id(directory: Path) -> UUID | None:
    """The topic's id, None when there is no file. Raises ValueError naming the file, OSError."""
    path = directory / PARTITION_METADATA_FILE
    try:
        fields = dict(line.split(": ", 1) for line in path.read_text().splitlines())
        return parse_id(fields["topic_id"])
    except FileNotFoundError:
        return None
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None
