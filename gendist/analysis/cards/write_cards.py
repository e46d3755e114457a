"""Write the model card, the dataset card and the synthetic rows of a dataset, in the format of the hub."""

from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gendist import __version__
from gendist.analysis.cards.card_facts import CardFacts, collect_facts, pool_files, pool_table
from gendist.analysis.report_page.stage_costs import format_seconds
from gendist.analysis.table_files import MISSING, format_mean, markdown_table
from gendist.config.study import Study
from gendist.io import escape
from gendist.io.atomic_files import write_text
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.predict.exported_model import required_extras
from gendist.stages.synthetic.detokenize import detokenize

NO_LICENCE = "unknown"
"""License in the front matter until the owner of the data sets one."""
ROWS_FILE = "data/synthetic.parquet"
N_EXAMPLES = 3
"""Example rows in the dataset card."""


def write_cards(study: Study, dataset: str, licence: str = NO_LICENCE) -> list[Path]:
    """Write ``cards/model/README.md``, ``cards/dataset/README.md`` and the synthetic rows of a dataset.

    Args:
        study: a finished study.
        dataset: name of the dataset.
        licence: license id of the hub, for the front matter.

    Returns:
        The written files.

    Raises:
        GendistError: if the study is incomplete, or a file is damaged.
    """
    facts = collect_facts(study, dataset)
    folder = Path(study.results) / dataset / "cards"
    table = pool_table(study, dataset)
    pairs = list(pool_files(study, dataset))
    inputs = {f"shards/{i:05d}": hash_file(shard) for i, (shard, _) in enumerate(pairs)}
    inputs |= {f"logits/{i:05d}": hash_file(logits) for i, (_, logits) in enumerate(pairs)}
    rows = folder / "dataset" / ROWS_FILE
    examples = [row | {"text": detokenize(row["text"])} for row in table.slice(0, N_EXAMPLES).to_pylist()]
    write_parquet(rows, table, Provenance("cards", inputs), {"label_names": facts.train.label_names})
    written = [rows]
    for kind, front_matter, values in (
        ("model", model_front_matter(facts, licence), {}),
        ("dataset", dataset_front_matter(facts, licence, table.num_rows), {"rows": examples}),
    ):
        card = folder / kind / "README.md"
        write_text(card, render_card(f"{kind}.md", front_matter, facts, n_rows=table.num_rows, **values))
        written.append(card)
    return written


def render_card(template: str, front_matter: dict[str, Any], facts: CardFacts, **values: Any) -> str:
    """Render a card from its template. Values are escaped for Markdown, the front matter for YAML."""
    header = yaml.safe_dump(front_matter, sort_keys=False, allow_unicode=True)
    kinds = ("generator", "sampling", "teacher", "student", "training")
    settings = {key: facts.config[key] for key in kinds if key in facts.config}
    context = {
        "f": facts,
        "c": facts.config,
        "version": __version__,
        "header": Markup(header),
        "settings": Markup(fence_yaml(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))),
        "classes": Markup(_class_table(facts)),
        "sources": Markup(_source_table(facts)),
        "memorisation": Markup(_memorisation_table(facts)) if facts.memorisation else None,
        "costs": Markup(_cost_table(facts)),
        "accuracy": format_mean(facts.accuracy.mean, facts.accuracy.sd),
        "extras": required_extras((facts.subject.export or {}).get("bytes", {})),
    }
    return card_environment().get_template(template).render(context | values)


def card_environment() -> Environment:
    """Return the Jinja environment; values other than ``Markup`` are escaped for Markdown."""
    return Environment(
        loader=PackageLoader("gendist.analysis.cards"),
        autoescape=False,
        finalize=_escaped,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def model_front_matter(facts: CardFacts, licence: str) -> dict[str, Any]:
    """Return the front matter of the model card, with the scores as ``model-index``."""
    task = {"type": "text-classification", "name": "Text classification"}
    data: dict[str, Any] = {"type": facts.config["dataset"]["hub"] or "custom", "name": facts.dataset, "split": "test"}
    metrics = [
        {"type": "accuracy", "name": "Accuracy", "value": round(facts.run_accuracy / 100, 4)},
        {"type": "f1", "name": "Macro F1", "value": round(facts.macro_f1 / 100, 4)},
    ]
    result = {"task": task, "dataset": data, "metrics": metrics}
    front_matter: dict[str, Any] = {"license": licence, **_language(facts)}
    front_matter |= {"library_name": "gendist", "pipeline_tag": "text-classification"}
    front_matter |= {"tags": ["gendist", "text-classification", "knowledge-distillation", "synthetic-data", "onnx"]}
    if facts.config["dataset"]["hub"]:
        front_matter["datasets"] = [facts.config["dataset"]["hub"]]
    name = f"{facts.dataset}-{facts.subject.system.replace('+', '-')}"
    return front_matter | {"metrics": ["accuracy", "f1"], "model-index": [{"name": name, "results": [result]}]}


def dataset_front_matter(facts: CardFacts, licence: str, rows: int) -> dict[str, Any]:
    """Return the front matter of the dataset card."""
    sizes = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    size = next((name for limit, name in sizes if rows < limit), "1M<n<10M")
    return {
        "license": licence,
        **_language(facts),
        "task_categories": ["text-classification"],
        "tags": ["synthetic", "gendist", "knowledge-distillation"],
        "size_categories": [size],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": ROWS_FILE}]}],
    }


def _language(facts: CardFacts) -> dict[str, list[str]]:
    """Return the language, if known: the embedded generator writes English."""
    return {"language": ["en"]} if facts.config["generator"].get("model") == "pocket" else {}


def _escaped(value: object) -> object:
    return value if isinstance(value, Markup) else escape.markdown(str(value))


def fence_yaml(text: str) -> str:
    """Return YAML as a code block, with a fence longer than any run of backticks in it."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}yaml\n{text}{fence}"


def _class_table(facts: CardFacts) -> str:
    header = ["Class", "test rows", "precision, %", "recall, %", "95 % interval of recall", "F1, %"]
    rows = []
    for score in facts.classes:
        bounds = (score.recall_low, score.recall_high)
        interval = MISSING if None in bounds else f"{bounds[0]:.1f} to {bounds[1]:.1f}"
        shown = [MISSING if v is None else f"{v:.1f}" for v in (score.precision, score.recall, score.f1)]
        rows.append([escape.markdown(score.name), f"{score.rows:,}", *shown[:2], interval, shown[2]])
    return markdown_table(header, rows, align_right=range(1, 6))


def _source_table(facts: CardFacts) -> str:
    rows = [[escape.markdown(cell) for cell in (s.role, s.name, s.licence, s.origin)] for s in facts.sources]
    return markdown_table(["For", "Model", "Licence", "SHA-256 of its files, or revision"], rows)


def _memorisation_table(facts: CardFacts) -> str:
    header = [key for key in facts.memorisation[0] if key != "dataset"]
    rows = [[escape.markdown(row[key] or MISSING) for key in header] for row in facts.memorisation]
    return markdown_table([escape.markdown(key) for key in header], rows, align_right=range(1, len(header)))


def _cost_table(facts: CardFacts) -> str:
    rows = [[cost.stage, f"{cost.jobs:,}", format_seconds(cost.seconds)] for cost in facts.costs]
    header = ["Stage", "jobs", "time"]
    if any(cost.price for cost in facts.costs):
        header.append("price")
        rows = [[*row, cost.price or MISSING] for row, cost in zip(rows, facts.costs, strict=True)]
    return markdown_table(header, rows, align_right=range(1, len(header)))
