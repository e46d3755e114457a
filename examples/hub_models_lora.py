# %% [markdown]
# # Models of the hub: LoRA, chat models, endpoints
#
# Three generators write synthetic rows for the same study: a model of the Hugging Face hub finetuned with low-rank
# adapters (LoRA), a chat model that is prompted as it is, and a model behind an OpenAI-compatible server. The quality
# of their rows is compared, and the accuracy of the student that each of them leads to.
#
# Needs `pip install "gendist[study,lora]"`, for `ENDPOINT` also the extra `endpoint`. The models below want a GPU,
# or patience; they are downloaded once.

# %% tags=["parameters"]
LORA_MODEL = "Qwen/Qwen2.5-0.5B"  # any causal language model: a hub id or a folder
CHAT_MODEL = "Qwen/Qwen2.5-0.5B-Instruct"  # one with a chat template
ENDPOINT = None  # such as {"url": "http://127.0.0.1:8000/v1", "model": "my-model"}; its key: OPENAI_API_KEY
TRAIN, TEST = "../data/newsbriefs/train.csv", "../data/newsbriefs/test.csv"
PER_CLASS = 100  # labelled rows of each class
ROWS = 1000  # synthetic rows of each generator
SEEDS = 3
OUT = "hub-models"  # folder for everything that is written
CHANGES = {}  # other keys of the config: docs/config.md

# %%
import subprocess
from pathlib import Path

import pandas as pd
import yaml

# %% [markdown]
# ## The generators
#
# The first one is the main one, which the tables use; the others are variants. Change a model by its id. `revision`
# pins a commit of the hub. A larger model fits into memory with a smaller `batch_size`; docs/generators.md has the
# gigabytes by size.

# %%
generators = {
    "tuned": {
        "model": LORA_MODEL,
        "lora": {"rank": 16},
        "unit": "examples",
        "batch_size": 8,
        "learning_rate": 2.0e-4,
        "epochs": 3,
        "conditional": True,  # the label precedes each text
    },
    "chat": {"model": CHAT_MODEL, "instruct": {"examples": 4}},  # four real texts of the class in each prompt
}
if ENDPOINT is not None:
    generators["api"] = {"endpoint": ENDPOINT}

# %% [markdown]
# ## The study

# %%
out = Path(OUT)
out.mkdir(exist_ok=True)
study = {
    "results": str(out / "results"),
    "datasets": {"news": {"train": TRAIN, "test": TEST, "train_per_class": PER_CLASS, "synthetic": ROWS}},
    "generators": generators,
    "samplings": {"nucleus": {"top_p": 0.95}},
    "trainings": {"default": {}},
    "systems": ["tfidf-svm", "teacher", "kim", "kim+dist", "kim+gendist"],
    "counts": [],
    "seeds": SEEDS,
    "export": {"enabled": False},
    **CHANGES,
}


def gendist(*arguments: object) -> None:
    """Run a command of gendist, as in a terminal."""
    subprocess.run(["gendist", *map(str, arguments)], check=True)


config = out / "generators.yaml"
config.write_text(yaml.safe_dump(study, sort_keys=False))
gendist("run", config)

# %% [markdown]
# ## The rows
#
# Compare each pool with `held-out real`. Refusals and copies of an example are counted, and train nothing.

# %%
print((out / "results/tables/quality.md").read_text(encoding="utf-8"))

# %%
for generator in generators:
    shards = sorted((out / "results/news/synthetic" / generator / "nucleus").glob("shard-*.parquet"))
    print(generator, pd.read_parquet(shards[0]).loc[:2, ["text", "finish"]].to_string(), sep="\n")

# %% [markdown]
# ## The students
#
# The same student and teacher with the rows of each generator. Differences within a standard deviation of the seeds
# mean nothing.

# %%
runs = pd.read_parquet(out / "results/metrics.parquet")
print(runs[runs["regime"] == "gendist"].groupby("generator")["accuracy"].agg(["mean", "std", "count"]).round(3))
print(runs[runs["system"].isin(["teacher", "kim", "kim+dist"])].groupby("system")["accuracy"].mean().round(3))
