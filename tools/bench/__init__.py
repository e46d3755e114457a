"""Benchmarks: this package against the usual alternatives, timed in turns."""
