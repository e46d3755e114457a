"""Scores of every system on the test rows, and the one table that gathers them."""
