"""Costs: what must be shipped to use a system, and how long it takes to label a text."""
