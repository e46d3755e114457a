"""Benchmarks: ours beside what one would use otherwise, in turns, in one run."""
