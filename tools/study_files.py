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

COSTS = {
    "dataset": "name in the config",
    "system": "row of Table 1",
    "runtime": "what ran it",
    "size_bytes": "weights with tokenizer or vocabulary, on disk",
    "latency_p50_ms": "CPU time from one text to its label, median",
    "latency_p95_ms": "the same, 95th percentile",
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
    "longest_run": "most words in a row that one training row has as well",
    "nearest_id": "id of the nearest training row by TF-IDF cosine",
    "nearest_similarity": "that cosine",
}

STUDY_FILES = (
    StudyFile("run_config.yaml", "the config, validated, with every default"),
    StudyFile("metrics.parquet", "one row per run: see [above](#columns-of-metricsparquet)"),
    StudyFile("costs.parquet", "size and speed of every system where the study ran", COSTS),
    StudyFile("report.html", "all of it in one page, for a colleague"),
    StudyFile("workflow.html", "how the study ran, rule by rule; written by `make workflow` only"),
    StudyFile("tracking.json", "which runs were entered in MLflow; only where `tracking` says so"),
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
    StudyFile(
        "tables/quality.csv", "every pool of generated rows beside real ones: length, variety, repeats, confidence"
    ),
    StudyFile("tables/quality.md", "the same, rounded"),
    StudyFile("tables/costs.csv", "`costs.parquet`, with the accuracy of each system"),
    StudyFile("tables/costs.md", "the same, rounded"),
    StudyFile("tables/{dataset}/errors.csv", "test rows that the best gendist student gets wrong, the surest first"),
    StudyFile("figures/figure2.{format}", "accuracy on synthetic rows alone by their number: SVG, PNG, and the points"),
    StudyFile("figures/sampling.{format}", "sampling strategies compared; only if the study has more than one"),
    StudyFile("figures/quality.{format}", "length, variety and confidence of generated rows beside real ones"),
    StudyFile(
        "figures/rows.{format}",
        "accuracy against generated rows, unlabelled rows and both, and the points; only with `unlabelled`. Of the "
        "points, `equal_unlabelled` is the number of unlabelled rows with which the student is as accurate as with the "
        "generated ones, and `is_lower_bound` whether even all of them are not enough",
    ),
    StudyFile("figures/tradeoff.{format}", "accuracy against size and latency, and the points"),
    StudyFile("figures/{dataset}/{figure}.{format}", "`confusion`, `per_class` and `reliability` of that student"),
    StudyFile(
        "{dataset}/texts/{split}.parquet",
        "the real rows, `train` and `test`, with label names in the metadata; with `unlabelled`, that file's too, in "
        "the order in which they were drawn",
        {
            "id": "row of the source file, from 0",
            "text": "the text columns, joined",
            "label": "place in the label names; not in `unlabelled`",
        },
    ),
    StudyFile(
        "{dataset}/generators/{generator}/…",
        "finetuned causal language model, a transformers folder; of a generator with `rows`, `rows.parquet`: row, text "
        "(empty without letter or digit), and label if the file has it",
    ),
    StudyFile(
        "{dataset}/synthetic/{generator}/{sampling}/shard-{shard}.parquet",
        "generated rows, `shard_rows` of them; counts by `finish` in the metadata",
        {
            "row": "number in the pool, from 0",
            "text": "the text, label and special tokens taken off",
            "n_tokens": "tokens generated, prompt words included",
            "finish": "`stop` (ended by itself), `length` (cut), `given` (from a file; `n_tokens` are its words) or "
            "`empty` (no letter or digit: left out of training)",
        },
    ),
    StudyFile("{dataset}/teachers/{teacher}/…", "finetuned classifier, a transformers folder, `history.json` with it"),
    StudyFile(
        "{dataset}/logits/{teacher}/{split}.parquet",
        "the teacher's scores of the real rows: `train`, `test`, `unlabelled`",
        {"id": "as in the texts", "logits": SCORES},
    ),
    StudyFile(
        "{dataset}/logits/{teacher}/{generator}/{sampling}/shard-{shard}.parquet",
        "the teacher's scores of a shard",
        {"row": "as in the shard", "logits": SCORES},
    ),
    StudyFile(
        "{dataset}/quality/{generator}/{sampling}/repeats/n{count}.parquet",
        "what the rows of a pool repeat",
        REPEATS,
    ),
    StudyFile("{dataset}/quality/{generator}/{sampling}/quality.json", "all measures of a pool"),
    StudyFile(
        "{dataset}/quality/{generator}/{sampling}/rows.parquet",
        "the rows of a pool with what was measured of each",
        {
            "row": "number in the pool",
            "text": "as in the shard",
            "predicted": "the teacher's class",
            "asked": "the class that the generator was asked for, if it was asked for one",
            "confidence": "the teacher's probability of its class",
            "entropy": "of the teacher's probabilities, in nats",
            "n_words": "words",
            **{name: about for name, about in REPEATS.items() if name != "row"},
            "nearest_label": "that row's label",
            "nearest_text": "its text",
        },
    ),
    StudyFile("{dataset}/quality/{generator}/{sampling}/samples.html", "rows to browse"),
    StudyFile("{dataset}/costs/{kind}/{name}.json", "measurements that `costs.parquet` is made of"),
    StudyFile(
        "{dataset}/export/held_out/{student}/{regime}/{variant}/n{count}.parquet",
        "scores of real rows by a student that did not train on them: id, fold, label, logits; by `gendist export`",
    ),
    StudyFile("{dataset}/export/choice.json", "students ranked by that, and the temperature of the first"),
    StudyFile("{dataset}/export/model/…", "the student to deploy: see [Deploy](deploy.md)"),
    StudyFile("{dataset}/cards/…", "model card and dataset card; by `gendist card`"),
    StudyFile("{run}/metrics.json", "this run's row of `metrics.parquet`, without the time"),
    StudyFile("{run}/timing.json", "`train_seconds`: apart, because nothing else here depends on the clock"),
    StudyFile("{run}/predictions.parquet", "what the run says of every test row", RUN),
    StudyFile("{run}/model.safetensors", "weights of a student (provenance in the header), or of setfit's encoder"),
    StudyFile(
        "{run}/student.json",
        "of a student: settings, label names, after how many pieces texts are cut, how many rows it learnt from",
    ),
    StudyFile("{run}/svm.safetensors", "of tfidf-svm: weights"),
    StudyFile("{run}/vocabulary.json", "of tfidf-svm: words and their weights"),
    StudyFile("{run}/model.bin", "of fasttext: its own format"),
    StudyFile("{run}/head.safetensors", "of encoder-lr, model2vec and setfit: the classifier over the embeddings"),
    StudyFile("{run}/config.json", "of setfit: the encoder's architecture"),
    StudyFile("{run}/tokenizer.json", "of setfit: its tokenizer"),
    StudyFile("pocket/model2vec/…", "static embeddings distilled from the embedded encoder; for model2vec"),
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
