"""Many scenarios in one go, interleaved, so that a drift of the machine hits all of them alike.

In: scenarios and repeats; out: a result for each run, and one summary of all.

file.py      from paths to what is to be run; the suite file
matrix.py    one scenario for each combination of a matrix
order.py     which runs when
running.py   one run after the other
summary.py   what came of it, as one document
schema.py    the JSON Schema of suite files, for editors
"""
