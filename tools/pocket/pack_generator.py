"""Write a trained generator in the packaged layout; inverse of ``unpack``."""

from collections.abc import Mapping
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import BertConfig

from gendist.io.atomic_files import write_tensors, write_text
from gendist.io.json_files import write_json
from gendist.io.provenance import PROVENANCE_KEY, Provenance
from gendist.nn.pocket.packaged_files import CONFIG, TOKENIZER, WEIGHTS
from gendist.nn.pocket.weight_quantization import quantize


def pack_generator(
    models: Path,
    *,
    weights: Mapping[str, torch.Tensor],
    config: BertConfig,
    tokenizer: Tokenizer,
    provenance: Provenance,
) -> None:
    """Write int8 weights, configuration and tokenizer; weights are written last, as the marker of a finished run.

    Args:
        models: parent folder of ``generator/``.
        weights: float weights by transformers name, without tied copies of the word embeddings.
        config: configuration of the model.
        tokenizer: tokenizer of the model.
        provenance: provenance for the metadata of the weights file.
    """
    (models / WEIGHTS).parent.mkdir(parents=True, exist_ok=True)
    # Reproducible bytes: independent of the transformers version and the path of the encoder.
    excluded = {"transformers_version", "_name_or_path"}
    write_json(models / CONFIG, {k: v for k, v in config.to_diff_dict().items() if k not in excluded})
    write_text(models / TOKENIZER, tokenizer.to_str())
    write_tensors(models / WEIGHTS, quantize(weights), (PROVENANCE_KEY, provenance.to_json()))
