"""The classroom: brokers to measure, real workloads, predictions, widgets, conclusions, reports.

Only labs, tests and the command line import this room; it may use every other. Where to start:

| you want to know | read |
|---|---|
| what a notebook imports | `notebook` |
| which labs there are, what each promises | `manifest`, `labs/labs.toml` |
| what the article claims | `claims`, `claims.toml` |
| a broker in a process of its own, or in a thread | `running_broker`, `broker_thread` |
| what a running broker looks like from outside | `console`, `broker_view`, `console_table` |
| real events through a real client | `flight_events` |
| contestants that take turns, and what compares them | `experiment`, `comparison` |
| brokers as contestants | `broker_contest`, `kept_broker`, `fetching` |
| what is shown where an instrument is missing | `recorded`, `reference_run` |
| the verbs of a lab | `lab`, `prediction`, `explore`, `exercises`, `conclusion` |
| what a verdict is made of | `evidence` |
| running labs unwatched, and distrusting a green run | `headless`, `scan`, `report` |

How a lab is written
--------------------
1. *List it* in `labs/labs.toml`: id, name, title, what it asks, minutes, prerequisites, platforms,
   timeout_s (of one cell), claims (`conclude` must bring a finding on each), exercises, pictures
   (the scan misses none of them).
2. *Put its logic* into `lessons/labNN/<topic>.py`; the topic is the notebook's name after the
   number. Functions measure and return plain values; functions turn values into findings and into
   words. Their tests are in `tests/labs/`.
3. *Write the notebook* `labs/NN_topic.ipynb`: cells of at most 12 lines, no class, no logic.

   | cell | id, tag or metadata | holds |
   |---|---|---|
   | heading | id `heading` | anything: `labs tidy` writes it from the list |
   | the question | | why anybody should care, in three sentences |
   | parameters | tag `parameters` | `FAST = False`, `SEED = 1`, `OUT_DIR = "out"` |
   | bootstrap | id `bootstrap` | `navigation.BOOTSTRAP`, imports, `start_lab("NN", globals())` |
   | Predict | | `my_guess = None`, `prediction = predict(question, my_guess, choices)` |
   | Measure | | `with RunningBroker(...) as broker:` and the lesson's functions |
   | picture | | `lab.picture("name", picture, words)`, the words computed from the values |
   | compare | | `prediction.compare(measured, because)` |
   | Explain | | what the kernel or Kafka did, with sources |
   | Try it | | `explore(draw, controls, sweep, words, name=...)` with pure functions |
   | Exercises | metadata `exercise` = id | `answer = None`, `check("NN.1", answer)` |
   | conclusion | | `conclude(lesson.findings(...), invariants={...})` |
   | way on | id `next` | anything: `labs tidy` writes it |

4. *Run it*: `python -m zerocopy_lab labs tidy NN`, then `labs run --fast NN`. For the solutions
   copy the notebook to `labs/solutions/`, answer its exercise cells, then `labs solve NN`. Open the
   report and the notebook, and look.

Rules that the tests hold you to: `lab.fast` decides about amounts; a lab takes at most 30 s then.
A stub never raises. Words and verdicts come from what was measured; where a machine cannot
measure, the verdict is NOT_TESTABLE and the words say why; the reference run's figures may stand
beside them, marked as recorded. Whatever may differ between two runs
of the same machine is no invariant.
"""
