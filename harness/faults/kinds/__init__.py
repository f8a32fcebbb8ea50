"""The kinds of faults, one file each; `harness.faults.kind` says what a file holds."""
