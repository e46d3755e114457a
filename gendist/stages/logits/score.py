"""Score Parquet files of texts with the teacher, and read scores back."""

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from gendist.config.base_settings import Device
from gendist.io.parquet import column_names, read_parquet, write_parquet
from gendist.io.provenance import Provenance, hash_file, hash_folder
from gendist.nn import devices
from gendist.nn.packed_linear import pack_linear_layers
from gendist.nn.pretrained import class_names, load_classifier, load_config, load_tokenizer
from gendist.stages.logits.batches import encoded_logits, longest_input, predict_logits
from gendist.stages.logits.cascade import BF16, RECORD, Cascade
from gendist.stages.logits.files import logits_column

log = logging.getLogger(__name__)

FIXED, FIXED_ON_GPU = 512, 8192
"""Tokens in a batch: its shape depends on the length alone, and the last batch of each length is partly filler."""


def score(teacher: Path, texts: Path, target: Path, max_tokens: int, threads: int = 1, device: Device = "auto") -> None:
    """Write the teacher's logits of one file, as ``score_files``."""
    score_files(teacher, [texts], [target], max_tokens, threads, device)


def score_files(
    teacher: Path,
    files: Sequence[Path],
    targets: Sequence[Path],
    max_tokens: int,
    threads: int = 1,
    device: Device = "auto",
) -> None:
    """Write the teacher's logits (float32) for every row of some files, in their order.

    Rows of files without a column ``label``, of which there may be many, are scored in int8 on a CPU and in bf16 on a
    GPU where the teacher's precision allows it. A text scores the same whatever it is scored with.

    Args:
        teacher: finetuned classifier folder.
        files: Parquet with a column ``id`` (real rows) or ``row`` (a shard), and ``text``.
        targets: Parquet to write for each: the same key column, and logits: list<float32>[classes].
        max_tokens: longer texts are cut.
        threads: CPU threads.
        device: where to compute; a GPU is claimed until this process ends.
    """
    place = devices.prepare(threads, 0, device)
    columns = [column_names(file) for file in files]
    keys = ["row" if "row" in present else "id" for present in columns]
    tables = [read_parquet(file, {key: "integers", "text": "strings"}) for file, key in zip(files, keys, strict=True)]
    rows = [text for table in tables for text in table["text"].to_pylist()]
    labelled = any("label" in present for present in columns)
    names = class_names(teacher)
    what = f"scoring {files[0].name}" + (f" to {files[-1].name}" if len(files) > 1 else "")
    logits = (_on_gpu if place.type == "cuda" else _on_cpu)(teacher, rows, names, max_tokens, labelled, what)
    hashed, first = hash_folder(teacher), 0
    for file, key, table, target in zip(files, keys, tables, targets, strict=True):
        own, first = logits[first : first + table.num_rows], first + table.num_rows
        provenance = Provenance("logits", {"texts": hash_file(file), "teacher": hashed}, {"max_tokens": max_tokens})
        write_parquet(
            target, pa.table({key: table[key], "logits": logits_column(own)}), provenance, {"label_names": names}
        )
        log.info("%s: %d rows", target, len(own))


def _on_cpu(teacher: Path, rows: list[str], names: list[str], max_tokens: int, labelled: bool, what: str) -> np.ndarray:
    model, tokenizer = load_classifier(str(teacher), names), load_tokenizer(str(teacher))
    error = getattr(model.config, RECORD, None)
    # Labelled rows are what accuracies are measured on, and students are held to most: exactly.
    if labelled or error is None:
        return predict_logits(pack_linear_layers(model), tokenizer, rows, max_tokens, what, FIXED)
    logits, again = Cascade(model, tokenizer, max_tokens, error).logits(rows, what)
    log.info("scored in int8, %d of %d rows again in float32", again, len(rows))
    return logits


def _on_gpu(teacher: Path, rows: list[str], names: list[str], max_tokens: int, labelled: bool, what: str) -> np.ndarray:
    """Return the logits of some rows, which are tokenised while the weights are loaded."""
    tokenizer, config = load_tokenizer(str(teacher)), load_config(str(teacher))
    longest = longest_input(tokenizer, max_tokens, config)
    with ThreadPoolExecutor(1) as others:  # the tokenizer is no Python and takes further threads by itself
        tokenised = others.submit(lambda: tokenizer(rows, truncation=True, max_length=longest)["input_ids"])
        model = load_classifier(str(teacher), names).to("cuda")
        encoded = tokenised.result()
    if not labelled and (getattr(config, BF16, False) or getattr(config, RECORD, None) is not None):
        model = in_bf16(model)
        log.info("scoring in bf16 on %s", torch.cuda.get_device_name())
    with devices.any_kernels():  # those of a forward pass repeat themselves without being asked
        return encoded_logits(model, encoded, tokenizer.pad_token_id or 0, longest, what, FIXED_ON_GPU)


def in_bf16(model: Any) -> Any:
    """Convert a classifier to bf16, in place; its head stays float32, or logits would have three digits."""
    model.bfloat16()
    for name, part in model.named_children():
        if name != model.base_model_prefix:
            part.float().register_forward_pre_hook(lambda _, given: tuple(x.float() for x in given))
    return model
