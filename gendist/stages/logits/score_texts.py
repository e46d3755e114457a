"""Score Parquet files of texts with the teacher."""

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
from gendist.stages.logits.batched_logits import max_input_length, predict_encoded, predict_logits
from gendist.stages.logits.int8_cascade import BF16_KEY, INT8_ERROR_KEY, Int8Cascade
from gendist.stages.logits.logits_files import logits_column

log = logging.getLogger(__name__)

BATCH_TOKENS, GPU_BATCH_TOKENS = 512, 16_384
"""Tokens per batch of fixed shape: on a GPU so many that computing a layer takes longer than launching it."""


def score_files(
    teacher: Path,
    files: Sequence[Path],
    targets: Sequence[Path],
    max_tokens: int,
    *,
    threads: int = 1,
    device: Device = "auto",
) -> None:
    """Write the teacher's float32 logits for every row of each file, in order.

    Files without a column ``label`` are scored in int8 on a CPU and in bf16 on a GPU if the teacher's precision
    allows it. The logits of a text do not depend on the other texts.

    Args:
        teacher: folder of the finetuned classifier.
        files: Parquet with a column ``id`` (real rows) or ``row`` (a shard), and ``text``.
        targets: Parquet file to write for each: the key column, and ``logits``: list<float32>[classes].
        max_tokens: truncation length.
        threads: CPU threads.
        device: device to score on; the process claims a GPU until it exits.
    """
    torch_device = devices.prepare(threads, 0, device)
    column_sets = [column_names(file) for file in files]
    keys = ["row" if "row" in present else "id" for present in column_sets]
    tables = [read_parquet(file, {key: "integers", "text": "strings"}) for file, key in zip(files, keys, strict=True)]
    texts = [text for table in tables for text in table["text"].to_pylist()]
    labelled = any("label" in present for present in column_sets)
    names = class_names(teacher)
    description = f"scoring {files[0].name}" + (f" to {files[-1].name}" if len(files) > 1 else "")
    logits = (_score_on_gpu if torch_device.type == "cuda" else _score_on_cpu)(
        teacher, texts, names, max_tokens=max_tokens, labelled=labelled, description=description
    )
    teacher_hash, first = hash_folder(teacher), 0
    for file, key, table, target in zip(files, keys, tables, targets, strict=True):
        part, first = logits[first : first + table.num_rows], first + table.num_rows
        provenance = Provenance(
            "logits", {"texts": hash_file(file), "teacher": teacher_hash}, {"max_tokens": max_tokens}
        )
        write_parquet(
            target, pa.table({key: table[key], "logits": logits_column(part)}), provenance, {"label_names": names}
        )
        log.info("%s: %d rows", target, len(part))


def _score_on_cpu(
    teacher: Path, texts: list[str], names: list[str], *, max_tokens: int, labelled: bool, description: str
) -> np.ndarray:
    model, tokenizer = load_classifier(str(teacher), names), load_tokenizer(str(teacher))
    error = getattr(model.config, INT8_ERROR_KEY, None)
    # Labelled rows determine accuracies and weigh most in distillation: always score them in float32.
    if labelled or error is None:
        return predict_logits(
            pack_linear_layers(model), tokenizer, texts, max_tokens, description=description, batch_tokens=BATCH_TOKENS
        )
    logits, n_rescored = Int8Cascade(model, tokenizer, max_tokens, error).logits(texts, description)
    log.info("scored in int8, rescored %d of %d rows in float32", n_rescored, len(texts))
    return logits


def _score_on_gpu(
    teacher: Path, texts: list[str], names: list[str], *, max_tokens: int, labelled: bool, description: str
) -> np.ndarray:
    """Return the logits of texts; tokenisation runs while the weights load."""
    tokenizer, config = load_tokenizer(str(teacher)), load_config(str(teacher))
    max_length = max_input_length(tokenizer, max_tokens, config)
    with ThreadPoolExecutor(1) as executor:  # the tokenizer releases the GIL
        tokenised = executor.submit(lambda: tokenizer(texts, truncation=True, max_length=max_length)["input_ids"])
        model = load_classifier(str(teacher), names).to("cuda")
        encoded = tokenised.result()
    if not labelled and (getattr(config, BF16_KEY, False) or getattr(config, INT8_ERROR_KEY, None) is not None):
        model = convert_to_bf16(model)
        log.info("scoring in bf16 on %s", torch.cuda.get_device_name())
    with devices.allow_nondeterministic():  # kernels of a forward pass are deterministic by default
        return predict_encoded(
            model,
            encoded,
            pad_id=tokenizer.pad_token_id or 0,
            max_length=max_length,
            description=description,
            batch_tokens=GPU_BATCH_TOKENS,
        )


def convert_to_bf16(model: Any) -> Any:
    """Convert a classifier to bf16 in place; its head stays float32, because bf16 logits have only three digits."""
    model.bfloat16()
    for name, part in model.named_children():
        if name != model.base_model_prefix:
            part.float().register_forward_pre_hook(lambda _, inputs: tuple(x.float() for x in inputs))
    return model
