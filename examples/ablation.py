# %% [markdown]
# # An ablation: how many synthetic rows, and what for?
#
# A study trains the same student without a teacher, with one, and with synthetic rows, at several numbers of rows and
# with several seeds. This notebook runs it, reads `metrics.parquet` with pandas and draws Figure 2 of the paper.
# The sizes below take a part of the default study's time (docs/quickstart.md).

# %% tags=["parameters"]
TRAIN, TEST = "../data/newsbriefs/train.csv", "../data/newsbriefs/test.csv"
PER_CLASS = 100  # labelled rows of each class
COUNTS = [100, 250, 500, 1000, 2500]  # synthetic rows
SEEDS = 5
OUT = "ablation"  # folder for everything that is written
CHANGES = {}  # other keys of the config: docs/config.md

# %%
import subprocess
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import yaml
from scipy.stats import ttest_rel

# %% [markdown]
# ## The study
#
# `kim` learns from labels, `kim+dist` from the teacher's scores of the same rows, `kim+gendist` from those of synthetic
# rows too. `counts` adds `kim+synthetic`, which learns from the first *n* synthetic rows alone.

# %%
out = Path(OUT)
out.mkdir(exist_ok=True)
study = {
    "results": str(out / "results"),
    "datasets": {"news": {"train": TRAIN, "test": TEST, "train_per_class": PER_CLASS, "synthetic": max(COUNTS)}},
    "samplings": {"nucleus": {"top_p": 0.95}},
    "trainings": {"default": {}},
    "systems": ["tfidf-svm", "teacher", "kim", "kim+dist", "kim+gendist"],
    "counts": COUNTS,
    "seeds": SEEDS,
    "export": {"enabled": False},
    **CHANGES,
}


def gendist(*arguments: object) -> None:
    """Run a command of gendist, as in a terminal."""
    subprocess.run(["gendist", *map(str, arguments)], check=True)


config = out / "ablation.yaml"
config.write_text(yaml.safe_dump(study, sort_keys=False))
gendist("run", config)

# %% [markdown]
# ## The runs
#
# One row per trained system and seed; docs/metrics.md describes the columns.

# %%
runs = pd.read_parquet(out / "results/metrics.parquet")
runs["accuracy"] *= 100
print(runs.groupby(["system", "n_synthetic"], dropna=False)["accuracy"].agg(["mean", "std", "count"]).round(1))

# %% [markdown]
# ## What does each step gain?
#
# Runs of equal seed begin with equal weights, so their differences are paired.

# %%
systems = ["kim", "kim+dist", "kim+gendist"]
by_seed = runs[runs["system"].isin(systems)].pivot(index="seed", columns="system", values="accuracy")
for before, after in pairwise(systems):
    gain = by_seed[after] - by_seed[before]
    line = f"{before} -> {after}: {gain.mean():+.1f} points"
    if len(gain) > 2:
        line += f" (paired t-test over {len(gain)} seeds: p = {ttest_rel(by_seed[after], by_seed[before]).pvalue:.3f})"
    print(line)

# %% [markdown]
# ## Figure 2
#
# Accuracy on synthetic rows alone, mean and standard deviation over seeds. The workflow draws the same figure:
# `figures/figure2.svg` in the results.

# %%
curve = runs[runs["system"] == "kim+synthetic"].groupby("n_synthetic")["accuracy"].agg(["mean", "std"])
levels = runs.groupby("system")["accuracy"].mean()

figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
axes.errorbar(curve.index, curve["mean"], yerr=curve["std"].fillna(0), marker="o", capsize=3, label="kim+synthetic")
for system, style in (("teacher", "--"), ("kim+gendist", ":"), ("kim+dist", "-."), ("kim", (0, (1, 5)))):
    axes.axhline(levels[system], linestyle=style, color="grey", label=system)
axes.set_xscale("log")
axes.set_xticks(curve.index, curve.index)
axes.minorticks_off()
axes.set_xlabel("synthetic rows")
axes.set_ylabel("test accuracy (%)")
axes.legend()
figure.savefig(out / "figure2.png", dpi=150)

# %% [markdown]
# ## Change one thing
#
# A changed config reruns only what depends on the change. One more number of rows:

# %%
more = {**study, "counts": [*COUNTS, max(COUNTS) * 3 // 4]}
(out / "more.yaml").write_text(yaml.safe_dump(more, sort_keys=False))
gendist("run", out / "more.yaml", "--dry-run")  # without --dry-run, it trains these students and updates the results
