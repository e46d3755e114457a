"""Scoring texts with a classifier: ours against transformers' pipeline."""

import copy
from typing import Any

import numpy as np
from transformers import TextClassificationPipeline

from gendist import devices
from gendist.bench.material import bert_base, newsbriefs
from gendist.bench.pairs import Case, Check
from gendist.logits.batches import predict_logits
from gendist.models import load_classifier, load_tokenizer
from gendist.packed import pack_linear_layers

MAX_TOKENS = 128
CHANGED = 0.002
"""Share of the rows whose class may differ."""


def cases(rows: int = 96) -> list[Case]:
    """Return the pairs: the shapes of MiniLM and of BERT-base, on ``rows`` real texts."""
    tokenizer = load_tokenizer("minilm")
    devices.prepare(1, 0)
    minilm = load_classifier("minilm", [str(i) for i in range(6)]).eval()
    return [
        _case("scoring, MiniLM shape", minilm, tokenizer, 4 * rows),
        _case("scoring, BERT-base shape", bert_base(), tokenizer, rows),
    ]


def _case(name: str, model: Any, tokenizer: Any, rows: int) -> Case:
    texts = newsbriefs()[1].texts[:rows]
    fast = pack_linear_layers(copy.deepcopy(model))
    pipeline = TextClassificationPipeline(model=model, tokenizer=tokenizer, device="cpu", batch_size=32, top_k=None)

    def theirs() -> list[Any]:
        tokenizer.pad_token = tokenizer.pad_token or "[PAD]"
        return list(pipeline(texts, truncation=True, max_length=MAX_TOKENS, padding=True))

    names = [model.config.id2label[i] for i in range(model.config.num_labels)]
    best = [names.index(max(row, key=lambda entry: entry["score"])["label"]) for row in theirs()]
    logits = predict_logits(fast, tokenizer, texts, MAX_TOKENS)
    changed = float(np.mean(logits.argmax(1) != np.array(best)))
    return Case(
        name,
        "transformers pipeline, batches of 32",
        "rows",
        6.0,
        lambda: float(len(predict_logits(fast, tokenizer, texts, MAX_TOKENS))),
        lambda: float(len(theirs())),
        [Check("share of rows of another class", changed, CHANGED)],
    )
