"""Lab 10, TLS: what is lost with zero copy, what the cipher takes, and who sees the plaintext.

Four ways to send the same resident file to a receiver that drops what comes:

| way                | copies | calls           | cipher |
|--------------------|--------|-----------------|--------|
| sendfile           | 0      | 1 MiB each      | -      |
| copying            | 2      | 1 MiB each      | -      |
| copying in records | 2      | 16 KiB each     | -      |
| TLS                | 2      | 16 KiB (record) | yes    |

So what TLS costs falls apart into the copies, the smaller calls, and the cipher with its records.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab import transfer
from zerocopy_lab.classroom.aspect import Aspect
from zerocopy_lab.classroom.evidence import Finding, Quantity, Verdict, verdict_within
from zerocopy_lab.classroom.lab import Lab
from zerocopy_lab.classroom.subject import KERNEL_HERE
from zerocopy_lab.classroom.thresholds import TLS_CLAIMED
from zerocopy_lab.file_slice import FileSlice, OpenFile
from zerocopy_lab.instruments.spread import Spread, ratios
from zerocopy_lab.measuring.experiment import Contestant, Outcome, run_experiment
from zerocopy_lab.measuring.racing import file_to_send, send_file
from zerocopy_lab.pictures.comparison import StrategyCost, strategies_side_by_side
from zerocopy_lab.pictures.theme import Origin, Picture
from zerocopy_lab.transfer.connections import pair_for

DIRECT, COPYING, RECORDS, TLS = "sendfile", "copying", "copying in records", "TLS"
_WAYS: Final = {
    DIRECT: ("sendfile", 1 << 20),
    COPYING: ("read_then_send", 1 << 20),
    RECORDS: ("read_then_send", 16 << 10),
    TLS: ("encrypt_then_send", 1 << 20),
}
_COST: Final = "sender_cpu_s_per_gib"
CIPHERS: Final = ("aes-256-gcm", "chacha20-poly1305")
KERNEL_TLS: Final = "sendfile_over_kernel_tls"


class Overheard(NamedTuple):
    """What a listener between the two ends would have seen."""

    cipher: str
    shows_plaintext: bool


def what_is_on_the_wire() -> Overheard:
    """Sends a file of marked bytes in the way that is priced as TLS, and looks at the receiver's
    socket below its TLS.
    """
    way, mark = transfer.strategies()[_WAYS[TLS][0]], os.urandom(32)
    with (
        tempfile.NamedTemporaryFile(buffering=0) as file,
        pair_for(way, "tcp") as (sender, receiver),
        socket.socket(fileno=os.dup(receiver.fileno())) as below,
    ):
        file.write(mark * 64)
        piece = FileSlice(OpenFile.open(Path(file.name)), 0, len(mark) * 64)
        way().send(sender, piece, 0)
        below.settimeout(10)
        seen = below.recv(piece.length, socket.MSG_WAITALL)
        chosen = sender.cipher() if isinstance(sender, ssl.SSLSocket) else None
    return Overheard(chosen[0] if chosen else "none", mark in seen)


def price(directory: Path, lab: Lab) -> Outcome:
    """The sender's CPU for each way, in turns. Raises ExperimentRefused, ContestantFailed."""
    ways = dict(_WAYS)
    if transfer.strategies()[KERNEL_TLS].unavailable() is None:
        ways[KERNEL_TLS] = (KERNEL_TLS, 1 << 20)
    with file_to_send(directory, (48 << 20) if lab.fast else (256 << 20)) as path:
        contestants = [
            Contestant(
                name,
                send_file,
                {
                    "strategy": strategy,
                    "chunk_bytes": chunk_bytes,
                    "family": "tcp",
                    "receiver": "dropping",
                    "path": str(path),
                },
            )
            for name, (strategy, chunk_bytes) in ways.items()
        ]
        return run_experiment(
            "what TLS costs the sender",
            contestants,
            repeats=3 if lab.fast else 7,
            warm_ups=1,
            runs=1,
            seed=lab.seed,
        )


def price_picture(outcome: Outcome) -> Picture:
    """Sender's CPU, both ends' CPU and throughput, a row for each way."""
    bars = [
        StrategyCost(
            name,
            *(
                outcome.spread_of(name, figure)
                for figure in (_COST, "total_cpu_s_per_gib", "gib_per_s")
            ),
        )
        for name in outcome.contestants
    ]
    origin = Origin("TIMED", outcome.host.text())
    return strategies_side_by_side(bars, origin=origin, title="A GiB of one file, in four ways")


def times(outcome: Outcome, dearer: str, cheaper: str) -> Spread:
    """How many times the CPU, round by round."""
    return ratios(outcome.values(dearer, _COST), outcome.values(cheaper, _COST))


def shares(outcome: Outcome) -> Mapping[str, float]:
    """Of what TLS costs more than sendfile: copies, smaller calls, cipher and records; medians."""
    direct, copying, records, tls = (
        outcome.spread_of(name, _COST).median for name in (DIRECT, COPYING, RECORDS, TLS)
    )
    extra = tls - direct
    return {
        "copies": (copying - direct) / extra,
        "calls of 16 KiB (with Python's turns)": (records - copying) / extra,
        "cipher and records": (tls - records) / extra,
    }


def price_words(outcome: Outcome) -> str:
    """The conclusion under the picture."""
    ratio = times(outcome, TLS, DIRECT)
    parts = ", ".join(f"{name} {share:.0%}" for name, share in shares(outcome).items())
    return (
        f"With TLS the sender needed {ratio.text()} times the CPU of sendfile, and "
        f"{times(outcome, TLS, COPYING).text()} times that of copying. Of what it costs more than "
        f"sendfile, by the medians: {parts}."
    )


def price_answer(outcome: Outcome) -> int:
    """The number of the notebook's choice: 20-30 %, up to twice, 2 to 5 times, more."""
    ratio = times(outcome, TLS, DIRECT).median
    return 1 + sum(ratio >= limit for limit in (1.35, 2.0, 5.0))


def cipher_alone(cipher: str) -> str:
    """What `openssl speed` says of records of 16 KiB: GiB/s of one processor; or why not."""
    program = shutil.which("openssl")
    if program is None:
        return f"{cipher}: there is no openssl program here"
    words = ["speed", "-seconds", "1", "-bytes", "16384", "-evp", cipher]
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=30, check=False
    )
    rates = re.findall(r"([\d.]+)k\s*$", done.stdout, re.MULTILINE)
    if done.returncode or not rates:
        return f"{cipher}: openssl could not tell"
    gib_per_s = float(rates[-1]) * 1000 / (1 << 30)
    return f"{cipher} alone: {gib_per_s:.1f} GiB/s, {1 / gib_per_s:.2f} s/GiB"


# -- what it says of L1 ----------------------------------------------------------------------------


def findings(outcome: Outcome, wire: Overheard) -> list[Finding]:
    """L1, against sendfile and against a sender that copies anyway; and the kernel's TLS."""
    return [
        _cost_finding(outcome, wire, DIRECT, "against sendfile"),
        _cost_finding(outcome, wire, COPYING, "against a sender that copies"),
        *_kernel_findings(outcome),
    ]


def _cost_finding(outcome: Outcome, wire: Overheard, base: str, part: str) -> Finding:
    ratio = times(outcome, TLS, base)
    words = f"TLS ({wire.cipher}) took {ratio.text()} times the sender's CPU of {base}."
    verdict = verdict_within(ratio, TLS_CLAIMED)
    if wire.shows_plaintext:
        verdict = Verdict.INCONCLUSIVE
        words = f"{wire.cipher} encrypted nothing: the file's bytes were on the wire. {words}"
    return Aspect("L1", KERNEL_HERE, part).timed(
        verdict,
        words,
        Quantity(f"TLS / {base}", ratio),
        Quantity("TLS", outcome.spread_of(TLS, _COST), "s/GiB"),
        Quantity(base, outcome.spread_of(base, _COST), "s/GiB"),
    )


def _kernel_findings(outcome: Outcome) -> list[Finding]:
    if KERNEL_TLS not in outcome.contestants:
        return []
    ratio = times(outcome, KERNEL_TLS, DIRECT)
    return [
        Aspect("L1", KERNEL_HERE, "with the kernel's TLS").timed(
            verdict_within(ratio, TLS_CLAIMED),
            f"sendfile over the kernel's TLS took {ratio.text()} times the CPU of plain sendfile.",
            Quantity(f"{KERNEL_TLS} / sendfile", ratio),
        )
    ]
