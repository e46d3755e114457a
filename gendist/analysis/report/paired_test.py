"""Paired comparison of two systems over the seeds that both have."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import ttest_rel

from gendist.analysis.metrics_table import MetricsRow, rounded
from gendist.analysis.table_files import Cell


@dataclass(frozen=True)
class PairedTest:
    """A mean difference in accuracy, in points of percent, with a two-sided paired t-test."""

    pairs: int
    difference: float | None = None
    """None without pairs."""
    t: float | None = None
    p: float | None = None
    """Neither of them for fewer than two pairs, or when all differences are the same."""

    def cells(self, prefix: str = "") -> dict[str, Cell]:
        """Return the four numbers rounded for CSV, by their names after ``prefix``."""
        p = None if self.p is None else float(f"{self.p:.4g}")
        return {
            f"{prefix}difference": rounded(self.difference),
            f"{prefix}pairs": self.pairs,
            f"{prefix}t": rounded(self.t),
            f"{prefix}p": p,
        }


def paired_t_test(first_runs: Sequence[MetricsRow], second_runs: Sequence[MetricsRow]) -> PairedTest:
    """Compare the second system with the first: positive where the second is better."""
    first = {run["seed"]: run["accuracy"] * 100 for run in first_runs}
    second = {run["seed"]: run["accuracy"] * 100 for run in second_runs}
    seeds = [seed for seed in first if seed in second]
    if not seeds:
        return PairedTest(0)
    before, after = np.array([first[s] for s in seeds]), np.array([second[s] for s in seeds])
    differences = after - before
    mean = float(differences.mean())
    # Equal differences have no spread to test against (t would be infinite).
    if len(seeds) < 2 or np.ptp(differences) <= 1e-9:
        return PairedTest(len(seeds), mean)
    test = ttest_rel(after, before)
    return PairedTest(len(seeds), mean, float(test.statistic), float(test.pvalue))
