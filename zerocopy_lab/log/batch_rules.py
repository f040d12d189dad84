"""What a batch must be to get into a log: whole, legal, and not too large for its topic.

Here is the line between what the broker looks at and what it believes. Seen in every batch, for
nothing but the CRC (20 GB/s):

- exactly one batch, magic 2, base offset 0, the length and the CRC-32C are right;
- record count and last offset delta agree; who has a producer id has a sequence number;
- no control batch, no transaction, a codec that exists, no LZ4 blocks that need each other;
- at most max.message.bytes; the largest timestamp not before the first, and not further ahead than
  message.timestamp.after.max.ms.

Seen only when the batch is opened (`opened_batch`), for about 1 µs a record, and with a codec 20 µs
and up to 1 ms for each MiB that comes out:

- the records are of their codec, as many as announced, and end where they say;
- the largest timestamp is really the largest; the offsets count 0, 1, 2, ...

Kafka opens every batch. A batch of 64 KiB with 600 records is appended here in 30 µs and opened in
600, so a broker that opened all would be a slower one by an order of magnitude, for errors that
correct clients do not make. So a batch is opened

- when its header contradicts itself (a largest timestamp before the first, flags that are the
  broker's);
- for the settings that cannot do without: a compacted topic needs a key in every record, a topic
  with a codec of its own repacks what comes in another one, and a limit on the *oldest* timestamp
  is not shown by the header;
- by `batch.validation`: `always`, `never`, or (the default) `sample`: now and then, from every
  connection (`Trust`). Who builds its batches wrongly does so from its first one on, and is caught
  there; who is caught is opened always. A stranger who means harm gets through: where there are
  any, set `always`.

Kafka: `LogValidator`.
"""

from __future__ import annotations

from zerocopy_lab.errors import InvalidRecord, MessageTooLarge, UnknownServerError
from zerocopy_lab.log.opened_batch import admit_odd
from zerocopy_lab.log.settings import TopicSettings
from zerocopy_lab.records.batch import BatchHeader, check_batch
from zerocopy_lab.records.compression import CODEC_MASK

VALIDATIONS = ("sample", "always", "never")


class Trust:
    """How far the batches of one connection are believed unseen.

    With `sample` the requests 1, 2, 4, 8, ... 64 are opened, then every 64th. `caught` once one was
    found to be wrong: from then on all are.
    """

    __slots__ = ("caught", "insists", "opens", "requests")

    def __init__(self) -> None:
        self.requests = 0
        self.opens = False  # the batches of the request at hand
        self.insists = False  # what cannot be opened is refused
        self.caught = False

    def next_request(self, validation: str) -> bool:
        """Whether the batches of the request that has come are to be opened; `validation` is
        sample, always or never.
        """
        self.requests = number = self.requests + 1
        self.insists = validation == "always" or (self.caught and validation == "sample")
        sampled = validation == "sample" and not number & (min(number, 64) - 1)
        self.opens = self.insists or sampled
        return self.opens


def codec_id(batch: memoryview) -> int:
    """The id of the codec that a batch says it is packed with, 0 for none; not checked."""
    return batch[22] & CODEC_MASK if len(batch) > 22 else 0


def admit(
    batch: memoryview,
    settings: TopicSettings,
    partition: str,
    now_ms: int,
    trust: Trust | None = None,
) -> tuple[memoryview, BatchHeader]:
    """The batch as it is to be stored, usually the very view that came in, and its header.

    Raises CorruptMessage, InvalidRecord, InvalidTimestamp, MessageTooLarge, RecordListTooLarge,
    TransactionalIdAuthorizationFailed, UnknownServerError, UnsupportedCompressionType.
    """
    if len(batch) > settings.max_message_bytes:
        raise MessageTooLarge(
            f"a batch of {len(batch)} bytes for {partition}; "
            f"max.message.bytes is {settings.max_message_bytes}"
        )
    header = check_batch(batch)
    latest_ms = now_ms + settings.message_timestamp_after_max_ms
    makes_sense = header.base_timestamp_ms <= header.max_timestamp_ms <= latest_ms or (
        settings.message_timestamp_type == "LogAppendTime"
    )
    if (
        makes_sense
        and 0 <= header.attributes <= CODEC_MASK  # no flags
        and len(batch) <= settings.segment_bytes
        and not settings.opens_batches
        and not (trust and trust.opens)
    ):
        return batch, header
    must_open = settings.opens_batches or not makes_sense or bool(trust and trust.insists)
    try:
        batch, header, was_wrong = admit_odd(
            batch,
            header,
            settings,
            partition,
            now_ms,
            opens=must_open or bool(trust and trust.opens),
            must_open=must_open,
        )
    except (InvalidRecord, UnknownServerError):
        if trust:
            trust.caught = True
        raise
    if trust and was_wrong:
        trust.caught = True
    return batch, header
