"""Scoring texts with a classifier: this package against transformers' pipeline."""

import copy
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from transformers import TextClassificationPipeline

from gendist.config.teacher_settings import Teacher
from gendist.nn import devices
from gendist.nn.packed_linear import pack_linear_layers
from gendist.nn.pretrained import class_names, load_classifier, load_tokenizer
from gendist.stages.logits.batched_logits import predict_logits
from gendist.stages.logits.int8_cascade import INT8_ERROR_KEY, Int8Cascade, top_two_margins
from gendist.stages.teacher.finetune_teacher import finetune_teacher
from tools.bench.bench_inputs import bert, newsbriefs, prepared
from tools.bench.timed_pairs import Case, Check

MAX_TOKENS = 128
MAX_CHANGED = 0.002
"""Accepted share of rows whose class differs."""


def cases(rows: int = 96) -> list[Case]:
    """Return the cases: finetuned MiniLM on all real test texts, and untrained BERT-base on ``rows`` of them."""
    minilm, tokenizer = finetuned_minilm()
    texts = newsbriefs()[1].texts
    share = float((_leads(minilm, tokenizer, texts) < getattr(minilm.config, INT8_ERROR_KEY)).mean())
    large = bert()
    # For the untrained model, the threshold is set to rescore the same share of rows as for MiniLM.
    error = float(np.quantile(_leads(large, tokenizer, texts[:rows]), share))
    return [
        _case("scoring, MiniLM", minilm, tokenizer, texts, error=getattr(minilm.config, INT8_ERROR_KEY)),
        _case("scoring, BERT-base shape", large, tokenizer, texts[:rows], error=error),
    ]


def finetuned_minilm() -> tuple[Any, Any]:
    """Return MiniLM, finetuned on the packaged dataset, and its tokenizer."""
    settings = Teacher(model="minilm", epochs=3, learning_rate=1e-4, refit=False, max_tokens=MAX_TOKENS)
    with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
        train, _ = prepared(Path(folder))
        teacher = Path(folder, "teacher")
        finetune_teacher(train, teacher, settings, device="cpu")
        return load_classifier(str(teacher), class_names(teacher)).eval(), load_tokenizer(str(teacher))


def _leads(model: Any, tokenizer: Any, texts: list[str]) -> np.ndarray:
    """Return the lead of each text's best class in float32, (texts,)."""
    return top_two_margins(predict_logits(pack_linear_layers(copy.deepcopy(model)), tokenizer, texts, MAX_TOKENS))


def _case(name: str, model: Any, tokenizer: Any, texts: list[str], *, error: float) -> Case:
    devices.prepare(1, 0)
    cascade = Int8Cascade(copy.deepcopy(model), tokenizer, MAX_TOKENS, error)
    pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu", batch_size=32, top_k=None)

    def theirs() -> list[Any]:
        tokenizer.pad_token = tokenizer.pad_token or "[PAD]"
        return list(pipeline(texts, truncation=True, max_length=MAX_TOKENS, padding=True))

    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    best = [names.index(max(row, key=lambda entry: entry["score"])["label"]) for row in theirs()]
    logits, again = cascade.logits(texts)
    changed = float(np.mean(logits.argmax(1) != np.array(best)))
    return Case(
        f"{name}, {100 * again / len(texts):.0f} % rescored",
        "transformers pipeline, batches of 32",
        "rows",
        6.0,
        lambda: float(len(cascade.logits(texts)[0])),
        lambda: float(len(theirs())),
        [Check("share of rows with another class", changed, MAX_CHANGED)],
    )
