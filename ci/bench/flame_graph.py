"""Pictures of where a broker is while it serves small requests, for docs/where_the_time_goes.md.

    python -m pip install py-spy        the profiler, a program of its own
    python -m ci.bench.flame_graph      docs/flame_of_fetches.svg and docs/flame_of_produces.svg

It samples Python and C alike, so that system calls show. Threads that wait are left out: a picture
is the time at work. Linux; where one process may not look into another (ptrace(2)), root may.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from ci.bench.contest import KIB, batch_of, connect, make_topic, play
from ci.bench.pages import PROJECT
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.running.running_broker import RunningBroker

SECONDS, RATE_PER_S = 8, 500
_TITLE = re.compile(r"py-spy record[^<]*")


def main() -> None:
    """Both pictures. Raises SystemExit without the profiler."""
    if shutil.which("py-spy") is None:
        raise SystemExit("there is no py-spy on PATH: python -m pip install py-spy")
    with RunningBroker() as broker:
        make_topic(broker, "small")
        with Wire(broker.host, broker.port) as wire:
            assert produce(wire, "small", 0, batch_of(4 * KIB)) == (0, 0)
        fetch = fetch_frame(Frames(), "small", 0, 0, max_bytes=4 * KIB)
        _picture(broker, "fetches", "fetches of 4 KiB, one after the other", fetch)
        make_topic(broker, "more")
        append = produce_frame(Frames(), "more", 0, batch_of(KIB), acks=1)
        _picture(broker, "produces", "produces of 1 KiB, one after the other", append)


def _picture(broker: RunningBroker, name: str, what: str, frame: bytes) -> None:
    path = PROJECT / "docs" / f"flame_of_{name}.svg"
    words = ["record", "--native", "--function", "--rate", str(RATE_PER_S)]
    words += ["--duration", str(SECONDS), "--pid", str(broker.pid), "--output", path.name]
    with subprocess.Popen(["py-spy", *words], cwd=path.parent) as profiler:
        while profiler.poll() is None:
            play(broker.pid, connect(broker.port), [frame], 1_000, len(frame))
    if profiler.returncode:
        raise SystemExit(f"py-spy ended with {profiler.returncode}")
    title = f"The broker at work: {what}"
    path.write_text(_TITLE.sub(title, path.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"{path.relative_to(PROJECT)}: {path.stat().st_size // KIB} KiB")


if __name__ == "__main__":
    main()
