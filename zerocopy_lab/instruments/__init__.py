"""The senses: what a process did, and where the bytes of a file are, measured from outside.

Everything here takes a pid or a path, never an object of the broker, so it works just as well on
the process and the log directory of a real Kafka. It imports the standard library and psutil only.

| module            | answers                                                           | tag     |
|-------------------|-------------------------------------------------------------------|---------|
| `spread`          | how far do repeated measurements differ?                          | TIMED   |
| `processor`       | CPU seconds, context switches and page faults of a process        | TIMED   |
| `block_io`        | bytes that went to and from the block device                      | COUNTED |
| `system_calls`    | how many of which system call                                     | COUNTED |
| `page_residency`  | which pages of a file are in memory, how many are dirty           | COUNTED |
| `eviction`        | push a file out of memory, and prove that it is out               | COUNTED |
| `memory`          | dirty and writeback pages of the system, pressure, what is free   | COUNTED |
| `copied_bytes`    | bytes the kernel copied out to receivers                          | COUNTED |
| `network`         | congestion control, and what a network card could do by itself    | PROVED  |
| `host`            | which machine is this?                                            | -       |
| `capabilities`    | which of all these work here, for whom, and if not, why not       | -       |

Below them: `page_calls` (two system calls that Python lacks), `perf_meter` and `strace_meter` (the
programs that count). Every instrument either measures or raises `Unavailable` with the reason and
the remedy. None ever invents a number: what the kernel did not say stays None.
"""
