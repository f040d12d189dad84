"""Drawing: every picture of the labs, from plain values, in one theme.

A function takes what was measured or counted, and returns a `Picture`: a matplotlib figure that a
notebook shows as it is, with the same content in words as its `alt`. No picture measures, decides
or claims anything: titles come from the caller, who has the verdict.

| module             | draws                                                                    |
|--------------------|--------------------------------------------------------------------------|
| `theme`            | hues, sizes, footer, where figures come from: what all of them share     |
| `comparison`       | strategies side by side; predicted against measured                      |
| `alias_proof`      | which bytes arrived after the file had been overwritten                  |
| `copy_ledger`      | who moved each byte, on which path, and how we know                      |
| `loop_cost`        | what loops cost, in parts; and what two changes save, in both orders     |
| `cost_curves`      | cost by message size; latency against throughput                         |
| `byte_map`         | a batch in its segment, byte by byte, beside its index entry             |
| `offset_search`    | how one offset is found: file names, index, batch headers                |
| `segment_map`      | segments under the limits of retention                                   |
| `residency_map`    | which pages of the segments are in memory, and who reads where           |
| `pages_over_time`  | the same moment by moment, with the lines of writers and readers         |
| `memory_over_time` | dirty pages rising, and being flushed                                    |
| `replica_map`      | which broker stores which replica                                        |
| `ladder`           | mechanisms taken away one at a time                                      |
"""
