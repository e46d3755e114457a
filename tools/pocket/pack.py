"""Write a trained generator in the layout that the package carries; ``unpack`` is the inverse."""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertConfig

from gendist.io.atomic_files import write_tensors, write_text
from gendist.io.json_files import write_json
from gendist.io.provenance import PROVENANCE_KEY, Provenance
from gendist.nn.pocket.packaged import CONFIG, TOKENIZER, WEIGHTS
from gendist.nn.pocket.quantisation import quantise


def pack_generator(
    models: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    config: BertConfig,
    tokenizer: Tokenizer,
    provenance: Provenance,
) -> None:
    """Write int8 weights, configuration and tokenizer; the weights come last and mark a finished run.

    Args:
        models: folder that gets ``generator/``.
        weights: float weights under transformers' names, without what is tied to the word embeddings.
        config: architecture of the model.
        tokenizer: what its texts are encoded with.
        provenance: what made the weights; kept in their file's metadata.
    """
    (models / WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
    # Equal models give equal bytes, whichever release wrote them and from wherever the encoder was loaded.
    left_out = {"transformers_version", "_name_or_path"}
    write_json(models / CONFIG, {k: v for k, v in config.to_diff_dict().items() if k not in left_out})
    write_text(models / TOKENIZER, tokenizer.to_str())
    write_tensors(models / WEIGHTS, quantise(weights), (PROVENANCE_KEY, provenance.to_json()))
