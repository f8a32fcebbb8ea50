"""The request table: one row for each request, from the generator to Parquet.

In: packed records of the load generator; out: columns, units and counts of them.
"""
