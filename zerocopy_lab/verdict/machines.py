"""Other machines: what their labs found, and what depends on the machine.

A folder of a class holds evidence files, somebody's each in a folder of their own:

    CLASS/ada/05_zero_copy.json      or CLASS/ada/evidence/..., as a lab wrote it

An entry that is forged (its digest is not that of its content), outdated (another version) or shows
nothing is left out and named. A few machines are recorded in data/machines, in the same form.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

from zerocopy_lab.checkout import DATA_DIR
from zerocopy_lab.classroom.evidence import Verdict
from zerocopy_lab.classroom.evidence_file import EVIDENCE_DIRECTORY
from zerocopy_lab.verdict.judgement import Basis, ClaimVerdict, judge
from zerocopy_lab.verdict.results import LabResult, Refused, read_results

MACHINES_DIR: Final = DATA_DIR / "machines"
_SAYS_NOTHING: Final = {"Python", "container"}
"""Facts of a host that no verdict of the labs hangs on."""


class Machine(NamedTuple):
    """A machine (or somebody's run on it) and what its labs found. `facts`: of its host."""

    name: str
    facts: Mapping[str, str]
    results: Mapping[str, LabResult]
    is_recorded: bool = False

    @property
    def verdicts(self) -> list[ClaimVerdict]:
        """Every claim, by what was found there."""
        return judge([each for result in self.results.values() for each in result.findings])

    @property
    def seen_there(self) -> dict[tuple[str, str], Verdict]:
        """Claim and part -> verdict, of what was tested on that machine itself."""
        own = [
            each
            for result in self.results.values()
            for each in result.findings
            if each.basis is Basis.HERE and each.may_speak
        ]
        return {
            (judged.claim.id, part.part): part.verdict
            for judged in judge(own)
            for part in judged.parts
        }


class Difference(NamedTuple):
    """A part of a claim on which machines differ. `sides`: verdict -> names of machines.

    `facts` are those of the hosts that differ just as the verdicts do: what may be the reason.
    """

    claim_id: str
    part: str
    sides: Mapping[Verdict, tuple[str, ...]]
    facts: tuple[str, ...]

    @property
    def is_opposite(self) -> bool:
        """Supported here, contradicted there: it depends on the machine. Otherwise only whether it
        can be told does.
        """
        return {Verdict.SUPPORTED, Verdict.CONTRADICTED} <= set(self.sides)


def machines_of_class(directory: Path) -> tuple[list[Machine], list[Refused]]:
    """The machines whose evidence lies in a folder, by name; and the entries that are refused."""
    by_owner: dict[str, list[Path]] = {}
    for path in sorted(directory.rglob("*.json")):
        folders = path.relative_to(directory).parts[:-1]
        owner = "/".join(name for name in folders if name != EVIDENCE_DIRECTORY)
        by_owner.setdefault(owner, []).append(path)
    machines, all_refused = [], []
    for owner, paths in by_owner.items():
        results, refused = read_results(paths)
        where = f"{owner}/" if owner else ""
        all_refused += [each._replace(name=where + each.name) for each in refused]
        machines += _by_host(owner or directory.name, results)
    return machines, all_refused


def _by_host(owner: str, results: Mapping[str, LabResult]) -> list[Machine]:
    """One machine each host: somebody may have worked on two."""
    hosts: dict[str, list[LabResult]] = {}
    for result in results.values():
        hosts.setdefault(repr(sorted(result.host.items())), []).append(result)
    return [
        Machine(
            owner if number == 1 else f"{owner} ({number})",
            found[0].host,
            {result.lab_id: result for result in found},
        )
        for number, found in enumerate(hosts.values(), 1)
    ]


@cache
def recorded_machines() -> tuple[Machine, ...]:
    """Those that ship with the kit. ValueError when one of their files is not as it was written."""
    machines = []
    for directory in sorted(path for path in MACHINES_DIR.glob("*") if path.is_dir()):
        results, refused = read_results(sorted(directory.glob("*.json")))
        if refused:
            raise ValueError(f"{directory}: {refused[0].name}: {refused[0].reason}")
        if results:
            facts = next(iter(results.values())).host
            machines.append(Machine(directory.name, facts, results, is_recorded=True))
    return tuple(machines)


def stand_in() -> Machine | None:
    """The recorded machine that speaks for labs that have not run here: that with most of them."""
    return max(recorded_machines(), key=lambda machine: len(machine.results), default=None)


def differences(machines: Sequence[Machine]) -> list[Difference]:
    """Parts with other verdicts on other machines; those that depend on the machine first."""
    facts = {machine.name: machine.facts for machine in machines}
    sides: dict[tuple[str, str], dict[Verdict, tuple[str, ...]]] = {}
    for machine in machines:
        for key, verdict in machine.seen_there.items():
            side = sides.setdefault(key, {})
            side[verdict] = (*side.get(verdict, ()), machine.name)
    found = [
        Difference(claim_id, part, dict(side), _facts_that_go_along(list(side.values()), facts))
        for (claim_id, part), side in sides.items()
        if len(side) > 1
    ]
    return sorted(found, key=lambda each: not each.is_opposite)


def _facts_that_go_along(
    sides: Iterable[Sequence[str]], facts: Mapping[str, Mapping[str, str]]
) -> tuple[str, ...]:
    """Facts of which no value occurs on two sides."""
    sides = list(sides)
    names = dict.fromkeys(name for each in facts.values() for name in each)
    return tuple(
        name
        for name in names
        if name not in _SAYS_NOTHING
        and _are_apart([{facts[machine].get(name, "") for machine in side} for side in sides])
    )


def _are_apart(values: Sequence[set[str]]) -> bool:
    return len(set.union(*values)) == sum(map(len, values))
