"""Score a Parquet file of texts with the teacher, and read scores back."""

import logging
from pathlib import Path

import pyarrow as pa

from gendist import devices
from gendist.artifacts import Provenance, hash_file, hash_folder, read_parquet, write_parquet
from gendist.artifacts.parquet import column_names
from gendist.logits.batches import predict_logits
from gendist.logits.cascade import RECORD, Cascade
from gendist.logits.files import logits_column
from gendist.models import class_names, load_classifier, load_tokenizer
from gendist.packed import pack_linear_layers
from gendist.settings import Device

log = logging.getLogger(__name__)

FIXED = 512
"""Tokens in a batch."""


def score(teacher: Path, texts: Path, target: Path, max_tokens: int, threads: int = 1, device: Device = "auto") -> None:
    """Write the teacher's logits (float32) for every row of ``texts``, in its order.

    Args:
        teacher: finetuned classifier folder.
        texts: Parquet with a column ``id`` (real rows) or ``row`` (a shard), and ``text``; rows without a column
            ``label``, of which there may be many, are scored in int8 where the teacher's probabilities allow it.
        target: Parquet to write: the same key column, and logits: list<float32>[classes].
        max_tokens: longer texts are cut.
        threads: CPU threads.
        device: where to compute; a GPU is claimed until this process ends.
    """
    place = devices.prepare(threads, 0, device)
    present = column_names(texts)
    key = "row" if "row" in present else "id"
    table = read_parquet(texts, {key: "whole numbers", "text": "texts"})
    tokenizer = load_tokenizer(str(teacher))
    names = class_names(teacher)
    model = load_classifier(str(teacher), names).to(place)
    rows, what = table["text"].to_pylist(), f"scoring {texts.name}"
    error = getattr(model.config, RECORD, None)
    # Labelled rows are what accuracies are measured on, and students are held to most: exactly.
    if "label" not in present and error is not None and place.type == "cpu":
        logits, again = Cascade(model, tokenizer, max_tokens, error).logits(rows, what)
        log.info("scored in int8, %d of %d rows again in float32", again, len(rows))
    else:
        logits = predict_logits(pack_linear_layers(model), tokenizer, rows, max_tokens, what, FIXED)
    scores = pa.table({key: table[key], "logits": logits_column(logits)})
    provenance = Provenance(
        "logits", {"texts": hash_file(texts), "teacher": hash_folder(teacher)}, {"max_tokens": max_tokens}
    )
    write_parquet(target, scores, provenance, {"label_names": names})
    log.info("%s: %d rows", target, len(logits))
