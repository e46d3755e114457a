"""Which system is the most accurate at each size and latency."""

from collections.abc import Mapping, Sequence
from typing import Any

from gendist.analysis.report.costs_table import is_exported_model
from gendist.analysis.report_page.deployed_model import format_latency, format_size

COSTS = {"By size": ("size_bytes", format_size), "By time for one text": ("latency_p50_ms", format_latency)}
"""Measured costs that are compared: label, column and format."""


def most_accurate(systems: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Return a sentence for each cost, as (label, sentence); empty if fewer than two systems were measured.

    Args:
        systems: measured costs with the mean accuracy of the system, in percent.
    """
    return [
        (label, sentence)
        for label, (cost, describe) in COSTS.items()
        if (sentence := _sentence([row for row in systems if row[cost]], cost, describe))
    ]


def _sentence(systems: Sequence[Mapping[str, Any]], cost: str, describe: Any) -> str:
    """Name the systems that are more accurate than all cheaper ones, cheapest first."""
    if len(systems) < 2:
        return ""
    leaders: list[Mapping[str, Any]] = []
    for row in sorted(systems, key=lambda row: (row[cost], -row["accuracy"])):
        if not leaders or row["accuracy"] > leaders[-1]["accuracy"]:
            leaders.append(row)
    named = [f"{_name(row)} ({row['accuracy']:.1f}\u00a0%) from {describe(row[cost])}" for row in leaders]
    return f"{named[0]} is the most accurate of all." if len(named) == 1 else f"{', '.join(named)}."


def _name(row: Mapping[str, Any]) -> str:
    return f"{row['system']}, as deployed," if is_exported_model(row) else str(row["system"])
