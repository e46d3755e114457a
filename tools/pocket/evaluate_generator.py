"""Evaluate a causal language model in nats per character, comparable across tokenizers."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import PreTrainedModel

from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import TOKENIZER
from gendist.nn.pocket.pocket_tokenizer import boundary_ids
from gendist.nn.pocket.unpack_generator import unpack_generator
from gendist.nn.pretrained import load_causal_lm
from tools.pocket.corpus import articles

MAX_TOKENS = 256


@torch.no_grad()
def nats_per_character(
    model: PreTrainedModel, tokenizer: Tokenizer, texts: Sequence[str], max_tokens: int = MAX_TOKENS
) -> float:
    """Return the negative log-likelihood per character, in nats, including the end token.

    Truncates texts to ``max_tokens`` or the context length; counts only the characters before the truncation.

    Raises:
        GendistError: if all texts are empty.
    """
    start, end = boundary_ids(tokenizer)
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
        raise GendistError("no texts to evaluate: all are empty")
    return nats / characters


def evaluate_files(models: Path, files: Sequence[Path], rows: int) -> dict[str, dict[str, Any]]:
    """Evaluate the packed generator on the first ``rows`` texts of each Parquet file, grouped by folder.

    Args:
        models: output folder of the recipe, or the packaged models.
        files: Parquet files with a column ``text``.
        rows: texts to read per file.

    Returns:
        ``{folder name: {"rows": texts read, "nats_per_character": score}}``.
    """
    texts: dict[str, list[str]] = {}
    for file in files:
        texts.setdefault(file.resolve().parent.name, []).extend(articles([file], limit=rows))
    with TemporaryDirectory(prefix="gendist-") as folder:
        unpack_generator(Path(folder) / "generator", models)
        model = load_causal_lm(str(Path(folder) / "generator")).eval()
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = Tokenizer.from_file(str(models / TOKENIZER))
    return {
        name: {"rows": len(read), "nats_per_character": round(nats_per_character(model, tokenizer, read), 4)}
        for name, read in texts.items()
    }
