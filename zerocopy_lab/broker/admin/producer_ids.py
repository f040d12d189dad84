"""InitProducerId: a number for every idempotent producer, never given twice.

Kafka's controller hands out blocks of 1,000 ids and records each block before the first id of it is
used (`ProducerIdsBlock`). So does this broker: the file holds the first id that no earlier run can
have given out.

Left out: transactional producers, whose id would have to survive the producer.
"""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import Any

from zerocopy_lab.broker.serving import answers
from zerocopy_lab.errors import TransactionalIdAuthorizationFailed
from zerocopy_lab.log.atomic_file import replace_file
from zerocopy_lab.protocol import messages
from zerocopy_lab.protocol.framing import Request
from zerocopy_lab.protocol.versions import ApiKey

BLOCK = 1000


class ProducerIds:
    """Gives out producer ids; `path` is the file that remembers the next block."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._next = self._block_end = self._read()

    @answers(ApiKey.init_producer_id, 0, 4, "3: the producer's last id and epoch")
    def init_producer_id(self, request: Any, context: Request) -> messages.Entity:
        """A new id with epoch 0; a producer that lost track of its sequence simply gets another
        one.
        """
        if request.transactional_id is not None:
            raise TransactionalIdAuthorizationFailed(
                "this broker has no transactions; remove transactional.id"
            )
        response_type = messages.response_type(ApiKey.init_producer_id, context.api_version)
        return messages.make(
            response_type,
            error_code=messages.error_code(0),
            producer_id=self.take(),
            producer_epoch=0,
        )

    def take(self) -> int:
        """An id that nobody has; raises OSError when a new block cannot be recorded."""
        with self._lock:
            if self._next == self._block_end:
                replace_file(self._path, b"%d\n" % (self._block_end + BLOCK))
                self._block_end += BLOCK
            self._next += 1
            return self._next - 1

    def _read(self) -> int:
        try:
            return int(self._path.read_text())
        except FileNotFoundError:
            return 0
        except ValueError as cause:
            raise ValueError(
                f"{self._path} should hold one number, the next free producer id; "
                "write one that is above every id in use"
            ) from cause
