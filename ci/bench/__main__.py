"""What the broker costs, side by side with the least that could do the same and with a real Kafka.

    python -m ci.bench [kafka] [latency] [late] [footprint] [fetch] [produce] [--rounds N]
    python -m ci.bench --publish            all of it, into data/bench.json and the README

| section     | compares                                                                 | with    |
|-------------|--------------------------------------------------------------------------|---------|
| `kafka`     | messages, fetches, small produces; of one client and of many             | Kafka   |
| `latency`   | end to end, at 1,000, 10,000 and 100,000 messages a second               | Kafka   |
| `late`      | what readers of old data do to a tail reader, at a slow device           | Kafka   |
| `footprint` | start, memory, idling, starting again, also after kill -9                | Kafka   |
| `fetch`     | fetches of 4 KiB to 1 MiB                                                | a loop  |
| `produce`   | produces of 16 KiB to 1 MiB                                              | a loop  |

Rounds of the two take turns in one run, because machines differ and one machine differs from minute
to minute. Medians with their range, and the conditions; goals are printed beside them and gate
nothing. Without Java there is nothing but ours. How costs grow: `ci.bench.log_alone`.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ci.bench.beside_kafka import bench_kafka
from ci.bench.conditions import conditions
from ci.bench.figures import Figures
from ci.bench.footprint import bench_footprint
from ci.bench.late_readers import bench_late_readers
from ci.bench.latency import bench_latency
from ci.bench.loops import bench_fetch, bench_produce
from ci.bench.published import publish

ROUNDS = 5

SECTIONS: dict[str, Callable[[Path, Figures, int], None]] = {
    "kafka": bench_kafka,
    "latency": bench_latency,
    "late": bench_late_readers,
    "footprint": bench_footprint,
    "fetch": bench_fetch,
    "produce": bench_produce,
}


def main() -> None:
    """Run the sections that were asked for, all by default."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=", ".join(SECTIONS))
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="that count (%(default)s)")
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the figures as JSON")
    parser.add_argument("--publish", action="store_true", help="data/bench.json and the README")
    asked = parser.parse_args()
    chosen = asked.sections or list(SECTIONS)
    if unknown := set(chosen) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}; choose of {', '.join(SECTIONS)}")
    if asked.rounds < 1:
        parser.error("--rounds: at least 1")
    workspace = Path(tempfile.mkdtemp(prefix="zerocopy-lab-bench-"))
    try:
        if asked.publish:
            publish(chosen, asked.rounds, workspace)
        else:
            run(chosen, asked.rounds, workspace, asked.save)
    finally:
        shutil.rmtree(workspace, ignore_errors=True)


def run(sections: list[str], rounds: int, workspace: Path, file: Path | None) -> None:
    """Take the figures of these sections here and now."""
    figures = Figures(conditions(workspace))
    for name, told in figures.conditions.items():
        print(f"{name}: {told}")
    print(f"contestants take turns; medians of {rounds} rounds and their range")
    for name in sections:
        place = workspace / name
        place.mkdir()
        SECTIONS[name](place, figures, rounds)
        shutil.rmtree(place)
    if file is not None:
        figures.save(file)


if __name__ == "__main__":
    main()
