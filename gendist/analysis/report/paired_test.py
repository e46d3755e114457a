"""Paired t-test of two systems over shared seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

from gendist.analysis.metrics_table import MetricsRow, round_score
from gendist.analysis.table_files import Cell


@dataclass(frozen=True)
class PairedTest:
    """Mean difference in accuracy, in percentage points, with a two-sided paired t-test."""

    pairs: int
    difference: float | None = None
    """None without pairs."""
    t: float | None = None
    p: float | None = None
    """t and p are None for fewer than two pairs, or if all differences are equal."""

    def cells(self, prefix: str = "") -> dict[str, Cell]:
        """Return the round_score values for CSV, by prefixed column name."""
        p = None if self.p is None else float(f"{self.p:.4g}")
        return {
            f"{prefix}difference": round_score(self.difference),
            f"{prefix}pairs": self.pairs,
            f"{prefix}t": round_score(self.t),
            f"{prefix}p": p,
        }


def paired_t_test(first_runs: Sequence[MetricsRow], second_runs: Sequence[MetricsRow]) -> PairedTest:
    """Test the second system against the first; the difference is positive if the second is better."""
    first = {run["seed"]: run["accuracy"] * 100 for run in first_runs}
    second = {run["seed"]: run["accuracy"] * 100 for run in second_runs}
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return PairedTest(0)
    before, after = np.array([first[s] for s in seeds]), np.array([second[s] for s in seeds])
    differences = after - before
    mean = float(differences.mean())
    # Equal differences have zero variance: t is undefined.
    if len(seeds) < 2 or np.ptp(differences) <= 1e-9:
        return PairedTest(len(seeds), mean)
    test = ttest_rel(after, before)
    return PairedTest(len(seeds), mean, float(test.statistic), float(test.pvalue))
