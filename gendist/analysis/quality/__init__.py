"""Measure the quality of generated rows against real rows."""
