"""Install trained pocket models into the package, with checksums, figures and model card."""

import json
import math
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from safetensors import safe_open
from safetensors.numpy import load_file

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY, hash_file
from gendist.nn.pocket.packaged_files import (
    FILES,
    GENERAL_TEXTS,
    GENERATOR,
    HASHES,
    MODELS,
    STUDENTS,
    SUBWORD_FILES,
    VECTORS,
    WEIGHTS,
    WORDPIECE_FILES,
)
from gendist.nn.pocket.weight_quantization import SCALE
from tools.pocket.pretraining_settings import HELD_OUT

FIGURES_FILE = "figures.json"
CARD_FILE = "README.md"
FIGURES_BEGIN, FIGURES_END = "<!-- figures: pocket -->", "<!-- end of figures -->"
CURVE_POINTS = 12


def held_out_curve(file: Path) -> list[dict[str, Any]]:
    """Return the held-out scores of a training curve, by step.

    A resumed run repeats the steps after its checkpoint; the last record of a step is used.
    """
    if not file.exists():
        return []
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    scored = {r["step"]: r for r in records if HELD_OUT in r}
    return [{"tokens": scored[step]["tokens"], "nats_per_token": scored[step][HELD_OUT]} for step in sorted(scored)]


def write_figures(out: Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Collect shapes, settings and scores of the models under ``out`` in ``figures.json``; returns its content.

    Args:
        out: output folder of the recipe.
        scores: new results of ``evaluate_files``; earlier results of the same weights are kept.
    """
    weights = hash_file(out / WEIGHTS)
    file = out / FIGURES_FILE
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    unchanged = earlier.get("generator", {}).get("sha256") == weights
    figures = {
        "generator": {
            "sha256": weights,
            **_describe_tensors(out / WEIGHTS),
            "curve": held_out_curve((out / WEIGHTS).with_name("curve.jsonl")),
        },
        "subwords": {"sha256": hash_file(out / VECTORS), **_describe_tensors(out / VECTORS)},
        "nats_per_character": {**(earlier["nats_per_character"] if unchanged else {}), **scores},
    } | {key: earlier[key] for key in ("students", "texts", "wordpiece") if key in earlier}
    file.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return figures


def write_student_figures(out: Path, names: Mapping[str, str] = STUDENTS) -> None:
    """Add the figures of students under ``out`` (files by architecture) to ``figures.json``."""
    students = {}
    for student, name in names.items():
        curve = (out / name).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        score = json.loads(curve[-1])["held_out_cosine"]
        students[student] = {
            "sha256": hash_file(out / name),
            **_describe_tensors(out / name),
            "held_out_cosine": score,
        }
    _add_figures(out, "students", students)
    pieces = out / WORDPIECE_FILES[1]
    _add_figures(out, "wordpiece", {"sha256": hash_file(pieces), **_describe_tensors(pieces)})


def write_text_figures(out: Path) -> None:
    """Add the sources of the general text under ``out`` to ``figures.json``."""
    table = pq.read_table(out / GENERAL_TEXTS)
    words = Counter[str]()
    for text, source in zip(table["text"].to_pylist(), table["source"].to_pylist(), strict=True):
        words[source] += len(text.split())
    rows = Counter(table["source"].to_pylist())
    _add_figures(out, "texts", {source: {"rows": rows[source], "words": words[source]} for source in sorted(rows)})


def _add_figures(out: Path, key: str, figures: Mapping[str, Any]) -> None:
    """Set one key of ``figures.json``; the others stay."""
    file = out / FIGURES_FILE
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**earlier, key: figures}, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def install_models(out: Path, names: Sequence[str] = (*GENERATOR, *SUBWORD_FILES), models: Path = MODELS) -> None:
    """Copy finished models and figures into the package; update checksums and model card.

    Args:
        out: output folder of the recipe.
        names: files to copy.
        models: model folder of the package.

    Raises:
        GendistError: if a model is not finished, or the card has no markers for the figures.
    """
    missing = [name for name in (*names, FIGURES_FILE) if not (out / name).exists()]
    if missing:
        raise GendistError(f"{out}: {', '.join(missing)} missing; finish the recipe first")
    for name in names:
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / name, models / name)
    hashes = write_hashes(models)
    earlier = (
        json.loads((models / FIGURES_FILE).read_text(encoding="utf-8")) if (models / FIGURES_FILE).exists() else {}
    )
    new = json.loads((out / FIGURES_FILE).read_text(encoding="utf-8"))
    students = {**earlier.get("students", {}), **new.get("students", {})}
    figures = earlier | new | ({"students": students} if students else {})
    (models / FIGURES_FILE).write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    sizes = {name: (models / name).stat().st_size for name in hashes}
    card = models / CARD_FILE
    card.write_text(fill_card(card.read_text(encoding="utf-8"), figures, sizes, hashes), encoding="utf-8")


def write_hashes(models: Path) -> dict[str, str]:
    """Write the SHA-256 checksums of the model files in a folder, and return them by name."""
    hashes = {name: hash_file(models / name) for name in FILES if (models / name).exists()}
    (models / HASHES).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    return hashes


def fill_card(card: str, figures: Mapping[str, Any], sizes: Mapping[str, int], hashes: Mapping[str, str]) -> str:
    """Replace the text between the card's markers with tables of the figures.

    Raises:
        GendistError: if the markers are missing.
    """
    if FIGURES_BEGIN not in card or FIGURES_END not in card:
        raise GendistError(f"the model card has no '{FIGURES_BEGIN}' ... '{FIGURES_END}' to fill")
    generator, subwords = figures["generator"], figures["subwords"]
    parts = [
        _markdown_table(("File", "Bytes", "SHA-256"), [(f"`{n}`", f"{sizes[n]:,}", f"`{hashes[n]}`") for n in hashes]),
        f"Generator: {generator['weights']:,} trained weights, {_format_settings(generator)}.\n"
        f"Subword vectors: {' x '.join(map(str, subwords['shape']))}, {_format_settings(subwords)}.",
    ]
    if wordpiece := figures.get("wordpiece"):
        parts[-1] += f"\nWordPiece vectors: {' x '.join(map(str, wordpiece['shape']))}, {_format_settings(wordpiece)}."
    curve = generator["curve"]
    if curve:
        stride = max(1, -(-len(curve) // CURVE_POINTS))
        points = [p for i, p in enumerate(curve) if (len(curve) - 1 - i) % stride == 0]
        rows = [(f"{p['tokens']:,}", f"{p['nats_per_token']:.3f}") for p in points]
        parts.append(_markdown_table(("Tokens trained on", "Held-out articles, nats per token"), rows))
    if students := figures.get("students"):
        student_rows = [
            (
                name,
                f"{s['weights']:,}",
                f"{training['snippets']:,}",
                str(training["epochs"]),
                f"{s['held_out_cosine']:.3f}",
            )
            for name, s in students.items()
            for training in (s["settings"],)
        ]
        header = ("Student", "Weights", "Snippets", "Passes", "Mean cosine to the encoder, held-out snippets")
        parts.append(_markdown_table(header, student_rows))
    if texts := figures.get("texts"):
        text_rows = [(name, f"{source['rows']:,}", f"{source['words']:,}") for name, source in texts.items()]
        parts.append(_markdown_table(("General text", "Rows", "Words"), text_rows))
    if figures["nats_per_character"]:
        scores = sorted(figures["nats_per_character"].items())
        score_rows = [(name, f"{s['rows']:,}", f"{s['nats_per_character']:.3f}") for name, s in scores]
        parts.append(_markdown_table(("Texts, without finetuning", "Rows", "Nats per character"), score_rows))
    filled = "\n\n".join([FIGURES_BEGIN, *parts, FIGURES_END])
    return re.sub(f"{re.escape(FIGURES_BEGIN)}.*?{re.escape(FIGURES_END)}", lambda _: filled, card, flags=re.DOTALL)


def _describe_tensors(file: Path) -> dict[str, Any]:
    """Return the number of weights, the shape of a single tensor, and the settings and seed of the provenance."""
    with safe_open(file, "np") as stored:
        provenance = json.loads((stored.metadata() or {}).get(PROVENANCE_KEY, "{}"))
    shapes = [tensor.shape for name, tensor in load_file(file).items() if not name.endswith(SCALE)]
    return {
        "weights": sum(map(math.prod, shapes)),
        "settings": provenance.get("settings", {}),
        "seed": provenance.get("seed"),
    } | ({"shape": list(shapes[0])} if len(shapes) == 1 else {})


def _format_settings(figures: Mapping[str, Any]) -> str:
    settings = {**figures["settings"]} | ({} if figures["seed"] is None else {"seed": figures["seed"]})
    parts = [
        f"{n.replace('_', ' ')} {v:,}" if isinstance(v, int) else f"{n.replace('_', ' ')} {v}"
        for n, v in settings.items()
    ]
    return ", ".join(parts) if figures["settings"] else "settings not recorded"


def _markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
