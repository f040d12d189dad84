"""Pictures of where a broker's network thread is while it serves small requests, for
docs/where_the_time_goes.md.

    python -m pip install py-spy        the profiler, a program of its own
    python -m ci.bench.flame_graph      docs/flame_of_fetches.svg and docs/flame_of_produces.svg

It samples Python and C alike, so that system calls show. A box is as wide as the share of the
samples in which the function was under way, and what it called hangs below it; a pointer on a box
is told the file and the share. Linux; where one process may not look into another (ptrace(2)), root
may.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from pathlib import Path

from ci.bench.contest import KIB, batch_of, connect, make_topic, play
from ci.bench.pages import PROJECT
from zerocopy_lab.client.consumer import fetch_frame
from zerocopy_lab.client.producer import produce, produce_frame
from zerocopy_lab.client.wire import Frames, Wire
from zerocopy_lab.running.running_broker import RunningBroker

SECONDS, RATE_PER_S = 10, 200
TOP = "Reactor.run "  # the network thread is in there as long as it lives
WIDTH, ROW, LETTER, LEAST = 1200, 18, 6.6, 0.002
COLOURS = {"(libc.so": "#e5a3a3", ".py:": "#f2d48b", "": "#cfd6dd"}
"""By what stands in a frame: a system call or what the C library does, Python, C of Python."""

Stack = tuple[str, ...]


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
    with tempfile.TemporaryDirectory() as directory:
        raw = Path(directory) / "stacks"
        words = ["record", "--native", "--idle", "--function", "--format", "raw"]
        words += ["--rate", str(RATE_PER_S), "--duration", str(SECONDS)]
        words += ["--pid", str(broker.pid), "--output", str(raw)]
        with subprocess.Popen(["py-spy", *words]) as profiler:
            while profiler.poll() is None:
                play(broker.pid, connect(broker.port), [frame], 1_000, len(frame))
        if profiler.returncode:
            raise SystemExit(f"py-spy ended with {profiler.returncode}")
        stacks = network_stacks(raw.read_text(encoding="utf-8").splitlines())
    path.write_text(drawn(f"The network thread: {what}", stacks), encoding="utf-8")
    print(f"{path.relative_to(PROJECT)}: {path.stat().st_size // KIB} KiB")


def network_stacks(lines: Iterable[str]) -> Counter[Stack]:
    """How often each stack of the network thread was seen, from its loop on; of lines `frame;frame
    count`. Frames without a name are left out.
    """
    found: Counter[Stack] = Counter()
    for line in lines:
        frames, _, count = line.rpartition(" ")
        stack = [frame for frame in frames.split(";") if not frame.startswith("0x")]
        at = next((at for at, frame in enumerate(stack) if frame.startswith(TOP)), None)
        if at is not None:
            found[tuple(stack[at:])] += int(count)
    return found


def drawn(title: str, stacks: Counter[Stack]) -> str:
    """As SVG, without a script."""
    boxes = list(_boxes(stacks, 0, 0, stacks.total()))
    height = (max(depth for _, depth, _, _ in boxes) + 3) * ROW
    words = "red: system calls and the C library; yellow: Python; grey: C of Python"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        'font-family="monospace" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        f'<text x="4" y="14" font-size="13">{escape(title)} ({words})</text>',
    ]
    for frame, depth, start, share in boxes:
        x, y, width = start * WIDTH, (depth + 1.5) * ROW, share * WIDTH
        colour = next(colour for mark, colour in COLOURS.items() if mark in frame)
        letters = int((width - 4) / LETTER)
        name = frame.partition(" ")[0]
        shown = name if len(name) <= letters else name[: letters - 1] + "…" if letters > 3 else ""
        parts.append(
            f"<g><title>{escape(frame)}: {share:.1%}</title>"
            f'<rect x="{x:.1f}" y="{y:g}" width="{width:.1f}" height="{ROW - 1}" fill="{colour}"/>'
            f'<text x="{x + 2:.1f}" y="{y + 13:g}">{escape(shown)}</text></g>'
        )
    return "\n".join([*parts, "</svg>\n"])


def _boxes(
    stacks: Counter[Stack], depth: int, start: float, total: int
) -> Iterator[tuple[str, int, float, float]]:
    """Frame, depth, where it begins and its share; the widest first."""
    below: dict[str, Counter[Stack]] = {}
    for stack, count in stacks.items():
        if stack:
            below.setdefault(stack[0], Counter())[stack[1:]] += count
    for frame, rest in sorted(below.items(), key=lambda each: -each[1].total()):
        share = rest.total() / total
        if share < LEAST:
            return
        yield frame, depth, start, share
        yield from _boxes(rest, depth + 1, start, total)
        start += share


if __name__ == "__main__":
    main()
