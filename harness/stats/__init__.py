"""Pure functions: counts and arrays in, numbers and verdicts out."""
