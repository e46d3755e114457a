"""Install trained pocket models into the package, with their hashes, figures and model card."""

import json
import math
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from safetensors import safe_open
from safetensors.numpy import load_file

from gendist.errors import GendistError
from gendist.io.provenance import PROVENANCE_KEY, hash_file
from gendist.nn.pocket.packaged import FILES, GENERATOR, HASHES, MODELS, STUDENTS, SUBWORD_FILES, VECTORS, WEIGHTS
from gendist.nn.pocket.quantisation import SCALE
from tools.pocket.settings import HELD_OUT

FIGURES = "figures.json"
CARD = "README.md"
BEGIN, CLOSE = "<!-- figures: pocket -->", "<!-- end of figures -->"
CURVE_POINTS = 12


def held_out_curve(file: Path) -> list[dict[str, Any]]:
    """Return the held-out scores of a training curve, by step.

    A resumed run repeats the steps since its checkpoint; the later record counts.
    """
    if not file.exists():
        return []
    records = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    scored = {r["step"]: r for r in records if HELD_OUT in r}
    return [{"tokens": scored[step]["tokens"], "nats_per_token": scored[step][HELD_OUT]} for step in sorted(scored)]


def write_figures(out: Path, scores: Mapping[str, Any]) -> dict[str, Any]:
    """Collect what is known of the models under ``out`` into its ``figures.json`` and return it.

    Args:
        out: the recipe's folder.
        scores: new results of ``evaluate_files``; earlier ones of the same weights are kept.
    """
    weights = hash_file(out / WEIGHTS)
    file = out / FIGURES
    earlier = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    unchanged = earlier.get("generator", {}).get("sha256") == weights
    figures = {
        "generator": {
            "sha256": weights,
            **_tensors(out / WEIGHTS),
            "curve": held_out_curve((out / WEIGHTS).with_name("curve.jsonl")),
        },
        "subwords": {"sha256": hash_file(out / VECTORS), **_tensors(out / VECTORS)},
        "nats_per_character": {**(earlier["nats_per_character"] if unchanged else {}), **scores},
    } | ({"students": earlier["students"]} if "students" in earlier else {})
    file.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return figures


def write_student_figures(out: Path) -> None:
    """Enter what is known of the students under ``out`` into its ``figures.json``."""
    file = out / FIGURES
    figures = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    figures["students"] = {}
    for student, name in STUDENTS.items():
        curve = (out / name).with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()
        score = json.loads(curve[-1])["held_out_cosine"]
        figures["students"][student] = {
            "sha256": hash_file(out / name),
            **_tensors(out / name),
            "held_out_cosine": score,
        }
    file.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def install(out: Path, names: Sequence[str] = (*GENERATOR, *SUBWORD_FILES), models: Path = MODELS) -> None:
    """Copy finished models and their figures into the package; renew its hashes and model card.

    Args:
        out: the recipe's folder.
        names: files to copy; the package keeps its other ones.
        models: folder of the package.

    Raises:
        GendistError: if a model is not finished, or the card has no place for the figures.
    """
    missing = [name for name in (*names, FIGURES) if not (out / name).exists()]
    if missing:
        raise GendistError(f"{out}: {', '.join(missing)} missing; run the recipe to its end first")
    for name in names:
        (models / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(out / name, models / name)
    hashes = write_hashes(models)
    earlier = json.loads((models / FIGURES).read_text(encoding="utf-8")) if (models / FIGURES).exists() else {}
    figures = earlier | json.loads((out / FIGURES).read_text(encoding="utf-8"))
    (models / FIGURES).write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    sizes = {name: (models / name).stat().st_size for name in hashes}
    card = models / CARD
    card.write_text(fill_card(card.read_text(encoding="utf-8"), figures, sizes, hashes), encoding="utf-8")


def write_hashes(models: Path) -> dict[str, str]:
    """Record the SHA-256 of each model file in a folder, as ``packaged`` compares them, and return them by name."""
    hashes = {name: hash_file(models / name) for name in FILES if (models / name).exists()}
    (models / HASHES).write_text(json.dumps(hashes, indent=2) + "\n", encoding="utf-8")
    return hashes


def fill_card(card: str, figures: Mapping[str, Any], sizes: Mapping[str, int], hashes: Mapping[str, str]) -> str:
    """Replace what stands between the card's markers by tables of the figures.

    Raises:
        GendistError: if the markers are missing.
    """
    if BEGIN not in card or CLOSE not in card:
        raise GendistError(f"the model card has no '{BEGIN}' ... '{CLOSE}' to fill")
    generator, subwords = figures["generator"], figures["subwords"]
    parts = [
        _table(("File", "Bytes", "SHA-256"), [(f"`{n}`", f"{sizes[n]:,}", f"`{hashes[n]}`") for n in hashes]),
        f"Generator: {generator['weights']:,} trained weights, {_made_with(generator)}.\n"
        f"Subword vectors: {' x '.join(map(str, subwords['shape']))}, {_made_with(subwords)}.",
    ]
    curve = generator["curve"]
    if curve:
        every = max(1, -(-len(curve) // CURVE_POINTS))
        shown = [p for i, p in enumerate(curve) if (len(curve) - 1 - i) % every == 0]
        rows = [(f"{p['tokens']:,}", f"{p['nats_per_token']:.3f}") for p in shown]
        parts.append(_table(("Tokens trained on", "Held-out articles, nats per token"), rows))
    if students := figures.get("students"):
        student_rows = [
            (name, f"{s['weights']:,}", f"{made['snippets']:,}", str(made["epochs"]), f"{s['held_out_cosine']:.3f}")
            for name, s in students.items()
            for made in (s["settings"],)
        ]
        heads = ("Student", "Weights", "Snippets", "Passes", "Mean cosine to the encoder, held-out snippets")
        parts.append(_table(heads, student_rows))
    if figures["nats_per_character"]:
        scores = sorted(figures["nats_per_character"].items())
        score_rows = [(name, f"{s['rows']:,}", f"{s['nats_per_character']:.3f}") for name, s in scores]
        parts.append(_table(("Texts, without finetuning", "Rows", "Nats per character"), score_rows))
    filled = "\n\n".join([BEGIN, *parts, CLOSE])
    return re.sub(f"{re.escape(BEGIN)}.*?{re.escape(CLOSE)}", lambda _: filled, card, flags=re.DOTALL)


def _tensors(file: Path) -> dict[str, Any]:
    """Number of weights, shape where there is one tensor, and what the provenance says."""
    with safe_open(file, "np") as stored:
        made = json.loads((stored.metadata() or {}).get(PROVENANCE_KEY, "{}"))
    shapes = [tensor.shape for name, tensor in load_file(file).items() if not name.endswith(SCALE)]
    return {"weights": sum(map(math.prod, shapes)), "settings": made.get("settings", {}), "seed": made.get("seed")} | (
        {"shape": list(shapes[0])} if len(shapes) == 1 else {}
    )


def _made_with(figures: Mapping[str, Any]) -> str:
    settings = {**figures["settings"]} | ({} if figures["seed"] is None else {"seed": figures["seed"]})
    shown = [
        f"{n.replace('_', ' ')} {v:,}" if isinstance(v, int) else f"{n.replace('_', ' ')} {v}"
        for n, v in settings.items()
    ]
    return ", ".join(shown) if figures["settings"] else "settings not recorded"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
