"""A lab of somebody's own course: the verbs work in it, with exercises that its author wrote.

    start_own_lab("week3", [Exercise("week3.1", "How many?", grade)], points={"week3.1": 2})
    check("week3.1", 7)

It has no notebook on the list, so nothing here runs it; its evidence is written like any lab's.
Left out: `labs grade` examines the answers of this kit's own exercises only.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from zerocopy_lab.classroom.exercises import OF_OTHER_COURSES, Exercise
from zerocopy_lab.classroom.lab import (
    OURS,
    BadParameter,
    Lab,
    begin,
    check_parameters,
    whose_and_where,
)
from zerocopy_lab.classroom.manifest import LabEntry, labs
from zerocopy_lab.classroom.notebook_output import box

_NO_LIMIT_S = 0


def start_own_lab(
    name: str,
    exercises: Sequence[Exercise],
    *,
    points: Mapping[str, int] | None = None,
    fast: bool = False,
    seed: int = 1,
    out_dir: str = "out",
    student: str = "",
) -> Lab:
    """Makes a lab of one's own the running one, for `check`, `hint`, `keep` and the like.

    Its exercises have ids that begin with `name` and a dot. `out_dir`, `seed` and `student` are
    what OUT_DIR, SEED and STUDENT are to the kit's own notebooks. Raises BadParameter.
    """
    if name in labs():
        raise BadParameter(f"lab {name} is one of this kit: choose another name")
    strangers = [each.id for each in exercises if not each.id.startswith(f"{name}.")]
    if strangers:
        raise BadParameter(f"{strangers[0]!r} is no exercise of {name!r}: write '{name}.1'")
    parameters = {
        "FAST": fast,
        "SEED": seed,
        "OUT_DIR": out_dir,
        "BROKER": OURS,
        "STUDENT": student,
    }
    check_parameters(parameters)
    OF_OTHER_COURSES[name] = tuple(exercises)
    entry = LabEntry(
        id=name,
        name=name,
        title=name,
        asks="",
        minutes=0,
        prerequisites=(),
        platforms=(sys.platform,),
        timeout_s=_NO_LIMIT_S,
        claims=(),
        exercises=tuple(each.id for each in exercises),
        pictures=(),
        points=dict(points or {}),
    )
    lab = begin(entry, parameters)
    box("plain", f"Lab {name} has begun", whose_and_where(lab))
    return lab
