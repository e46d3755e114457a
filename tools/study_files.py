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
    """Of a table: each column and its meaning; empty for tables whose columns depend on the study."""


LOGITS = "the teacher's logits, one per class, in the order of the label names in the metadata"
PREDICTIONS = {
    "id": "id of the test row",
    "label": "gold class, an index into the label names",
    "predicted": "predicted class",
    "logits": "one per class; empty for a system without logits",
}
COSTS = {
    "dataset": "name in the config",
    "system": "row of Table 1",
    "runtime": "inference runtime",
    "size_bytes": "weights with tokenizer or vocabulary, on disk",
    "latency_p50_ms": "CPU time from one text to its label, median",
    "latency_p95_ms": "95th percentile",
    "rows_per_second": "many texts at once",
    "texts": "texts that were timed",
    "device": "the processor",
    "threads": "threads",
    "train_seconds": "mean over the system's runs",
}
REPEATS = {
    "row": "number in the pool; rows without text are left out",
    "duplicate_of": "earlier row with the same text",
    "near_duplicate_of": "earlier row with nearly the same text",
    "copy_of": "id of a training row with the same text",
    "near_copy_of": "id of a training row with nearly the same text",
    "longest_run": "most consecutive words shared with one training row",
    "nearest_id": "id of the nearest training row by TF-IDF cosine",
    "nearest_similarity": "that cosine",
}

STUDY_FILES = (
    StudyFile("run_config.yaml", "the validated config with every default"),
    StudyFile("quick.yaml", "the config that `gendist run --quick` ran"),
    StudyFile("metrics.parquet", "one row per run: [columns](#columns-of-metricsparquet)"),
    StudyFile("costs.parquet", "size and speed of every system on this machine", COSTS),
    StudyFile("report.html", "the whole study on one page"),
    StudyFile("workflow.html", "Snakemake's report; by `make workflow`"),
    StudyFile("tracking.json", "runs logged to MLflow; only with `tracking`"),
    StudyFile("tables/table1.{table}", "every system: accuracy in %, standard deviation, runs, parameters; also `tex`"),
    StudyFile("tables/table2.{table}", "hard labels against distillation, %, paired t-test over seeds"),
    StudyFile("tables/table3.{table}", "generated rows with the teacher's top class and its probability"),
    StudyFile("tables/table4.{table}", "generated rows and their three nearest training rows by TF-IDF cosine"),
    StudyFile("tables/gains.{table}", "gain of each step in points, paired t-tests over seeds"),
    StudyFile("tables/memorisation.{table}", "overlap of generated and of held-out rows with the training rows"),
    StudyFile("tables/quality.{table}", "length, variety, repeats, confidence of every pool, beside real rows"),
    StudyFile("tables/costs.{table}", "`costs.parquet` with the accuracy of each system"),
    StudyFile("tables/{dataset}/errors.csv", "test rows that the best gendist student gets wrong, the surest first"),
    StudyFile("figures/figure2.{format}", "accuracy on synthetic rows alone, by their number"),
    StudyFile("figures/sampling.{format}", "sampling strategies; only with more than one"),
    StudyFile("figures/quality.{format}", "length, variety and confidence of generated and real rows"),
    StudyFile(
        "figures/rows.{format}",
        "accuracy by generated rows, unlabelled rows and both; only with `unlabelled`. `equal_unlabelled`: unlabelled "
        "rows with the accuracy of the generated ones; `is_lower_bound`: whether all of them have less",
    ),
    StudyFile("figures/tradeoff.{format}", "accuracy against size and latency"),
    StudyFile("figures/{dataset}/{figure}.{format}", "`confusion`, `per_class` and `reliability` of that student"),
    StudyFile(
        "{dataset}/texts/{split}.parquet",
        "real rows: `train`, `test`, `unlabelled` (in sampled order); label names in the metadata",
        {
            "id": "row of the source file, from 0",
            "text": "the text columns, joined",
            "label": "index into the label names; not in `unlabelled`",
        },
    ),
    StudyFile(
        "{dataset}/generators/{generator}/…",
        "finetuned causal language model, a transformers folder, with `lora` in peft's format; for prompted models "
        "a record of the classes; or `rows.parquet` of a generator with `rows`",
    ),
    StudyFile(
        "{dataset}/synthetic/{generator}/{sampling}/answers/{shard}.jsonl",
        "answers of an `endpoint`, reused by every later run; delete them to ask again",
    ),
    StudyFile(
        "{dataset}/synthetic/{generator}/{sampling}/shard-{shard}.parquet",
        "`shard_rows` generated rows; counts by `finish` in the metadata",
        {
            "row": "number in the pool, from 0",
            "text": "the text without label and special tokens",
            "n_tokens": "generated tokens with prompt words; words of a `given` row",
            "finish": "`stop` (end token), `length` (cut), `given` (from a file); not trained on: `empty` (no "
            "letter or digit), `refusal`, `echo`",
        },
    ),
    StudyFile("{dataset}/teachers/{teacher}/…", "finetuned classifier, a transformers folder; `history.json`"),
    StudyFile(
        "{dataset}/logits/{teacher}/{split}.parquet",
        "logits of the real rows: `train`, `test`, `unlabelled`",
        {"id": "as in the texts", "logits": LOGITS},
    ),
    StudyFile(
        "{dataset}/logits/{teacher}/{generator}/{sampling}/shard-{shard}.parquet",
        "logits of a shard",
        {"row": "as in the shard", "logits": LOGITS},
    ),
    StudyFile(
        "{dataset}/…/index-{n_shards}.json",
        "beside shards and their logits, if a pool has more than 200: their number and a hash of their contents",
    ),
    StudyFile(
        "{dataset}/quality/{generator}/{sampling}/repeats/n{count}.parquet",
        "repeats among the first rows of a pool",
        REPEATS,
    ),
    StudyFile("{dataset}/quality/{generator}/{sampling}/quality.json", "all measures of a pool"),
    StudyFile(
        "{dataset}/quality/{generator}/{sampling}/rows.parquet",
        "rows of a pool with their measures",
        {
            "row": "number in the pool",
            "text": "as in the shard",
            "predicted": "the teacher's class",
            "asked": "the prompted class, if any",
            "confidence": "the teacher's probability of its class",
            "entropy": "of the teacher's probabilities, in nats",
            "n_words": "words",
            **{name: about for name, about in REPEATS.items() if name != "row"},
            "nearest_label": "that row's label",
            "nearest_text": "its text",
        },
    ),
    StudyFile("{dataset}/quality/{generator}/{sampling}/samples.html", "rows to browse"),
    StudyFile("{dataset}/costs/{kind}/{name}.json", "measurements behind `costs.parquet`"),
    StudyFile(
        "{dataset}/export/held_out/{student}/{regime}/{variant}/n{count}.parquet",
        "cross-fitted logits of real rows: id, fold, label, logits",
    ),
    StudyFile("{dataset}/export/choice.json", "students ranked by them, and the temperature of the first"),
    StudyFile("{dataset}/export/model/…", "the exported student: [Deploy](deploy.md)"),
    StudyFile("{dataset}/export/classifier.html", "the exported student as a page for a browser"),
    StudyFile("{dataset}/cards/…", "model and dataset card; by `gendist card`"),
    StudyFile("{run}/metrics.json", "the run's row of `metrics.parquet`, without time"),
    StudyFile("{run}/timing.json", "`train_seconds`"),
    StudyFile("{run}/predictions.parquet", "predictions of the test rows", PREDICTIONS),
    StudyFile("{run}/model.safetensors", "weights of a student (provenance in the header), or of SetFit's encoder"),
    StudyFile("{run}/student.json", "student: settings, label names, maximum length, training rows"),
    StudyFile("{run}/svm.safetensors", "tfidf-svm: weights"),
    StudyFile("{run}/vocabulary.json", "tfidf-svm: words and their columns"),
    StudyFile("{run}/model.bin", "fasttext: its own format"),
    StudyFile("{run}/head.safetensors", "encoder-lr, model2vec, setfit: the classifier"),
    StudyFile("{run}/config.json", "setfit: the encoder's architecture"),
    StudyFile("{run}/tokenizer.json", "setfit: its tokenizer"),
    StudyFile("pocket/model2vec/…", "static embeddings for model2vec"),
    StudyFile("pocket/generator/…", "the embedded generator before finetuning, a transformers folder"),
    StudyFile("embeddings/{embeddings}/…", "downloaded embeddings (`bpemb:…`)"),
    StudyFile("logs/…", "per job, at the path of its output: `.log`, `.benchmark.tsv` (seconds, memory)"),
)

RUNS = (
    "{dataset}/students/{student}/{regime}/{variant}/n{count}/seed{seed}",
    "{dataset}/baselines/{baseline}/seed{seed}",
    "{dataset}/evaluation/{teacher}",
)
"""Run folders, ``{run}`` above: of students, baselines and teachers."""
