"""How well a causal model predicts texts, in a unit that any tokenizer can be compared in."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from gendist.errors import GendistError
from gendist.pocket.corpus import articles
from gendist.pocket.tokenizer import boundaries

MAX_TOKENS = 256


@torch.no_grad()
def nats_per_character(
    model: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int = MAX_TOKENS
) -> float:
    """Negative log-likelihood of whole texts (end token included) over their number of characters.

    Texts longer than ``max_tokens`` (or the model's context) are cut, and their characters
    counted up to the cut.

    Raises:
        GendistError: if the texts hold no character.
    """
    start, end = boundaries(tokenizer)
    max_tokens = min(max_tokens, model.config.max_position_embeddings)
    nats, characters = 0.0, 0
    device = model.device
    for text in texts:
        encoding = tokenizer.encode(text, add_special_tokens=False)
        ids = [start, *encoding.ids[: max_tokens - 2]]
        if len(encoding.ids) <= max_tokens - 2:
            ids.append(end)
            characters += len(text)
        else:
            characters += encoding.offsets[max_tokens - 3][1]
        x = torch.tensor([ids], device=device)
        logits = model(input_ids=x).logits[0, :-1]  # (tokens - 1, vocabulary)
        nats += float(torch.nn.functional.cross_entropy(logits.float(), x[0, 1:], reduction="sum"))
    if not characters:
        raise GendistError("nothing to evaluate on: the texts are empty")
    return nats / characters


def evaluate_files(
    model: PreTrainedModel, tokenizer: Tokenizer, files: Sequence[Path], rows: int
) -> dict[str, dict[str, Any]]:
    """Score the first ``rows`` texts of each Parquet file, files of one folder taken together.

    Returns:
        ``{folder name: {"rows": texts read, "nats_per_character": score}}``.
    """
    texts: dict[str, list[str]] = {}
    for file in files:
        texts.setdefault(file.resolve().parent.name, []).extend(articles([file], limit=rows))
    model.eval()
    return {
        name: {"rows": len(read), "nats_per_character": round(nats_per_character(model, tokenizer, read), 4)}
        for name, read in texts.items()
    }
