"""Evaluation stage: metrics of every system on the test rows, collected into one table."""
