"""The logic of the labs, one module per notebook and named like it: `labs/05_zero_copy.ipynb` ->
`zero_copy`.

A lesson measures, computes verdicts and words, and `<topic>_exercises` beside it holds EXERCISES.
Nothing of that is in the notebook, so all of it has tests.
"""
