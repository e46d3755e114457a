"""Unpack the pocket generator to a transformers folder."""

import json
import shutil
from pathlib import Path

from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, GenerationConfig

from gendist.io.atomic_files import model_folder, write_tensors
from gendist.io.provenance import Provenance, hash_file
from gendist.nn.pocket.packaged_files import CONFIG, GENERATOR, MODELS, TOKENIZER, WEIGHTS, verified_file
from gendist.nn.pocket.pocket_tokenizer import END, PADDING, START, UNKNOWN, boundary_ids
from gendist.nn.pocket.weight_quantization import dequantize


def unpack_generator(target: Path, models: Path = MODELS) -> None:
    """Write the pocket generator as a transformers folder in float32.

    Its tokenizer prepends the start token to a prompt, without truncation and padding; the end token ends a text.

    Args:
        target: folder to write; an existing one is replaced.
        models: folder of the packaged models.

    Raises:
        GendistError: if a packaged file is missing or damaged.
    """
    files = {name: verified_file(name, models) for name in GENERATOR}
    config = BertConfig.from_json_file(files[CONFIG])
    start, end = boundary_ids(Tokenizer.from_file(str(files[TOKENIZER])))
    # Sample from the full distribution, as the paper does; the default of transformers is top_k=50.
    generation = GenerationConfig(
        bos_token_id=start, eos_token_id=end, pad_token_id=config.pad_token_id, do_sample=True, top_k=0
    )
    inputs = {name: hash_file(file) for name, file in files.items()}
    with model_folder(Path(target), Provenance("pocket-generator", inputs)) as folder:
        config.save_pretrained(folder)
        generation.save_pretrained(folder)
        write_tensors(folder / "model.safetensors", dequantize(load_file(files[WEIGHTS])))
        shutil.copyfile(files[TOKENIZER], folder / "tokenizer.json")
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": START,
            "eos_token": END,
            "pad_token": PADDING,
            "unk_token": UNKNOWN,
            "model_max_length": config.max_position_embeddings,
            "model_input_names": ["input_ids", "attention_mask"],
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
