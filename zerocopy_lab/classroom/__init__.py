"""The classroom: the verbs of a lab, what a verdict is made of, and what a learner has built.

Only labs, publishing, tests and the command line import this room. Where to start:

| you want to know | read |
|---|---|
| what a notebook imports | `notebook` |
| which Python it must run in | `interpreter` |
| which labs there are, what each promises | `manifest`, `labs/labs.toml` |
| what the article claims, and which claims are about Kafka | `claims`, `claims.toml` |
| the verbs | `lab`, `prediction`, `explore`, `exercises`, `kept_parts`, `conclusion` |
| what a verdict is made of, and what it is about | `evidence`, `aspect`, `thresholds`, `subject` |
| what sources say of a claim | `cited`, `cited.toml` |
| findings in a file, and back | `plain_finding` |
| what was found on a real Kafka, where none runs here | `kafka_runs` |
| what a run leaves, and how far a learner is | `evidence_file` |
| whose run it is, and whose numbers | `student` |
| what a running broker looks like from outside | `console`, `console_table` |

Brokers to measure are in `running`, contestants and judgement in `measuring`, the exams of parts in
`conformance`, headless runs and their scan in `publishing`, judgements and the report in `verdict`.

How a lab is written
--------------------
1. *List it* in `labs/labs.toml`: id, name, title, what it asks, minutes, prerequisites, platforms,
   timeout_s (of one cell), claims (`conclude` must bring a finding on each), exercises, `points`
   (a part 4, other code 2, a value 1; examined or counted, never a matter of a clock), pictures
   (the scan misses none of them), `system_calls` (law 1: names that its code cells must hold) and
   `parts` (law 2: what the learner builds).
2. *Put its control* into `lessons/labNN/`: `<topic>.py` (the notebook's name after the number),
   and `<topic>_exercises.py`, which holds EXERCISES: each can be examined from an answer and a seed
   alone, nothing measured. Functions measure and return plain values; functions turn values into
   findings and into words. The mechanism itself stands in the notebook. Their tests are in
   `tests/labs/`.
3. *Write the notebook* `labs/NN_topic.ipynb`: cells of at most 15 lines, no class.

   | cell | id, tag or metadata | holds |
   |---|---|---|
   | heading | id `heading` | anything: `labs tidy` writes it from the list |
   | the question | | why anybody should care, in three sentences |
   | parameters | tag `parameters` | `FAST`, `SEED`, `OUT_DIR`, `BROKER`, `STUDENT` |
   | bootstrap | id `bootstrap` | `navigation.BOOTSTRAP`, imports, `start_lab("NN", globals())` |
   | Predict | | `guess = predict("question", {"choice": "what it would mean", ...})`, literals |
   | See it bare | | the mechanism by its system calls, run, printed, to be changed and broken |
   | Measure | | `with broker_for(BROKER, ...) as broker:` and the lesson's functions |
   | picture | | `with guess.fold(): lab.picture("name", picture, words)`, words from the values |
   | compare | | `guess.compare(choice or its number, how=Seen.MEASURED)` |
   | Explain | | `## What happened`, then in `<details>`: what was done by whom, with sources |
   | Try it | | `explore(draw, controls, sweep, words, name=...)`; the sweep has *other* values |
   | Build | metadata `exercise` = id | `def my_x`, `check("NN.1", my_x)`; `keep("part", my_x)` |
   | Exercises | metadata `exercise` = id | `answer = None`, `check("NN.2", answer)`; 3 or more |
   | conclusion | | `conclude(lesson.findings(...), invariants={...})` |
   | way on | id `next` | anything: `labs tidy` writes it |

4. *Run it*: `python -m zerocopy_lab labs tidy NN`, then `labs run --fast NN`, and again with
   `--broker kafka`. For the solutions copy the notebook to `labs/solutions/`, answer its exercise
   cells, then `labs solve NN`. Open the report and the notebook, and look.

**Predict means commit.** Each choice comes with what it would mean *if it were so*; of these the
one is printed that belongs to what was measured. So the cell gives nothing away, and no explanation
is printed that the measurement refused. Whatever gives the answer away (bare cells, too) stands
inside `with guess.fold():`; it is plain HTML that opens with the guess. `how` says where the
outcome comes from: Seen.MEASURED, COMPUTED or CITED. An outcome that this machine cannot tell is
`compare(None, why)`.

**What a verdict is about.** Every finding names its subject: KERNEL_HERE, `about(broker)` (our
broker, or "Apache Kafka 4.2.0, run here"), `recorded_on(...)`, `cited(...)`. For claims that
`claims.toml` marks `about = "Kafka"`, our own broker is no evidence: `finding(about=THIS_BROKER)`
raises CircularEvidence, `Aspect("S5", about(broker), part).counted(True, words, ...)` makes a
verdict of a Kafka and an illustration (*does so*, *does otherwise*) of ours, and `conclude` wants
at least one finding that speaks of a Kafka: live, recorded or cited. The last two it adds itself:
write into `cited.toml` what a source says, run `labs record --broker kafka NN` once the lab is
done, and store data/kafka_runs/NN.json with it. `verdict_on_cheaper(...)` and
`verdict_on_dearer(...)` are the maps from comparisons to verdicts, and `thresholds` has what counts
are held against. A finding's `part` is short: with it the report says what of a
claim is so and what is not; its first sentence has to be understood alone.

**Building.** `building("05.1", "transfer", "asks", hints)` is the exercise that writes a part: its
grade is the part's exam. Any other exercise has `grade(answer, lab) -> Grade`; it runs in a child
with 10 s, is given plain builtin values (a function only with `takes_code=True`), and has three
`hints`.
`RunningBroker(parts=lab.parts_dir)` runs what was kept, `serve --parts DIR` too.

Rules that the tests hold you to: `lab.fast` decides about amounts; a lab takes at most 30 s then.
A stub never raises. Words and verdicts come from what was measured; where a machine cannot
measure, the value is `Unmeasured(reason)`, the verdict NOT_TESTABLE and the words say why; the
reference run's figures may stand beside them, marked as recorded. Whatever may differ between two
runs of the same machine is no invariant.
"""

from zerocopy_lab.classroom.interpreter import check_interpreter

check_interpreter()  # here, because whatever a notebook imports first passes by
