"""Drawing: every picture of the labs, from plain values, in one theme.

A function takes what was measured or counted, and returns a `Picture`: a matplotlib figure that a
notebook shows as it is, with the same content in words as its `alt`. No picture measures, decides
or claims anything: titles come from the caller, who has the verdict.

| module         | draws                                                                       |
|----------------|-----------------------------------------------------------------------------|
| `theme`        | hues, sizes, footer: what all of them share                                 |
| `comparison`   | strategies side by side; predicted against measured                         |
| `alias_proof`  | which bytes arrived after the file had been overwritten                     |
"""
