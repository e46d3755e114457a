"""Every file that a study writes: the contract with scripts that read them."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class StudyFile:
    """One kind of file, by its path under the results folder."""

    path: str
    """Names in braces are those of the config's entries, or numbers."""
    about: str
    columns: Mapping[str, str] = field(default_factory=dict)
    """Of a table: each column and what it holds; empty for tables whose columns depend on the study."""


SCORES = "teacher's unnormalised scores, one per class, in the order of the label names in the file's metadata"
RUN = {
    "id": "id of the test row",
    "label": "gold class, a place in the label names",
    "predicted": "predicted class",
    "logits": "scores per class; empty for a system without any",
}

STUDY_FILES = (
    StudyFile("run_config.yaml", "the config, validated, with every default"),
    StudyFile("metrics.parquet", "one row per run: see [above](#columns-of-metricsparquet)"),
    StudyFile("report.html", "tables and figures with what made them, in one page; written by `make run` only"),
    StudyFile("tables/table1.csv", "every system: accuracy in percent, its standard deviation, runs, parameters"),
    StudyFile("tables/table1.md", "the same, rounded, to read"),
    StudyFile("tables/table1.tex", "the same for a LaTeX document"),
    StudyFile("tables/table2.csv", "hard labels against distillation, percent, with a paired t-test over the seeds"),
    StudyFile("tables/table2.md", "the same, rounded"),
    StudyFile("tables/table3.csv", "samples of generated rows with the teacher's top class and its probability"),
    StudyFile("tables/table3.md", "the same, long texts cut"),
    StudyFile("tables/table4.csv", "generated rows and their three nearest training rows by TF-IDF cosine"),
    StudyFile("tables/table4.md", "the same, long texts cut"),
    StudyFile("tables/gains.csv", "what each step brings, percent and points, with paired t-tests over the seeds"),
    StudyFile("tables/gains.md", "the same, rounded"),
    StudyFile("tables/memorisation.csv", "how much of the generated rows is copied, beside real rows never seen"),
    StudyFile("tables/memorisation.md", "the same, rounded"),
    StudyFile("figures/figure2.{format}", "accuracy on synthetic rows alone by their number: SVG, PNG, and the points"),
    StudyFile("figures/sampling.{format}", "sampling strategies compared; only if the study has more than one"),
    StudyFile(
        "{dataset}/texts/{split}.parquet",
        "the real rows, `train` and `test`; label names in the metadata",
        {
            "id": "row of the source file, from 0",
            "text": "the text columns, joined",
            "label": "place in the label names",
        },
    ),
    StudyFile("{dataset}/generators/{generator}/…", "finetuned causal language model, a transformers folder"),
    StudyFile(
        "{dataset}/synthetic/{generator}/{sampling}/shard-{shard}.parquet",
        "generated rows, `shard_rows` of them; counts by `finish` in the metadata",
        {
            "row": "number in the pool, from 0",
            "text": "the text, label and special tokens taken off",
            "n_tokens": "tokens generated, prompt words included",
            "finish": "`stop` (ended by itself), `length` (cut) or `empty` (no letter or digit: left out of training)",
        },
    ),
    StudyFile("{dataset}/teachers/{teacher}/…", "finetuned classifier, a transformers folder, `history.json` with it"),
    StudyFile(
        "{dataset}/logits/{teacher}/{split}.parquet",
        "the teacher's scores of the real rows",
        {"id": "as in the texts", "logits": SCORES},
    ),
    StudyFile(
        "{dataset}/logits/{teacher}/{generator}/{sampling}/shard-{shard}.parquet",
        "the teacher's scores of a shard",
        {"row": "as in the shard", "logits": SCORES},
    ),
    StudyFile("{run}/metrics.json", "this run's row of `metrics.parquet`, without the time"),
    StudyFile("{run}/timing.json", "`train_seconds`: apart, because nothing else here depends on the clock"),
    StudyFile("{run}/predictions.parquet", "what the run says of every test row", RUN),
    StudyFile("{run}/model.safetensors", "weights of a student; provenance in the header"),
    StudyFile("{run}/student.json", "of a student: its settings, label names, and after how many pieces texts are cut"),
    StudyFile("pocket/generator/…", "the embedded generator as a transformers folder, before finetuning"),
    StudyFile("embeddings/{embeddings}/…", "embeddings that were fetched from their publisher (`bpemb:…`)"),
    StudyFile("logs/…", "of each job, at the path of its output: `.log`, and `.benchmark.tsv` (seconds, memory)"),
)

RUNS = (
    "{dataset}/students/{student}/{regime}/{variant}/n{count}/seed{seed}",
    "{dataset}/baselines/{baseline}/seed{seed}",
    "{dataset}/evaluation/{teacher}",
)
"""Run folders, ``{run}`` above: of students, baselines and teachers."""
