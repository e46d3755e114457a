"""Measure deployment costs: size on disk and latency per text."""
