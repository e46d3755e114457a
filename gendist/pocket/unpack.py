"""Turn the packaged pocket models into ordinary folders that other code can load."""

import json
from pathlib import Path

from tokenizers import processors
from transformers import GenerationConfig

from gendist.artifacts import Provenance, hash_file, model_folder
from gendist.pocket.encoder import PACKAGE, encoder_folder
from gendist.pocket.model import END, PADDING, START, UNKNOWN, boundaries, encoder_tokenizer, load_body, warm_start
from gendist.pocket.packaged import BODY, MODELS, packaged


def unpack_generator(target: Path, models: Path = MODELS, base: Path | None = None) -> None:
    """Write the pocket generator as an ordinary transformers folder, in float32.

    The packaged body is put onto the word embeddings that the embedded encoder's package
    carries. The tokenizer prepends the start token to a prompt and neither cuts nor pads;
    what ends a text is the end token, as in training.

    Args:
        target: folder to write; what stood there is replaced.
        models: folder of the packaged models.
        base: folder of the encoder that the body was trained on; the embedded one by default.

    Raises:
        GendistError: if a packaged file is missing or damaged.
    """
    body = packaged(BODY, models)
    source = base or encoder_folder()
    model = warm_start(base=source)
    load_body(model, body)
    tokenizer = encoder_tokenizer(source)
    start, end = boundaries(tokenizer)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{START} $A", special_tokens=[(START, start)])
    # The full distribution, as the paper samples: left alone, transformers would cut it to 50 candidates.
    model.generation_config = GenerationConfig(
        bos_token_id=start, eos_token_id=end, pad_token_id=model.config.pad_token_id, do_sample=True, top_k=0
    )
    provenance = Provenance(
        "pocket-generator",
        inputs={BODY: hash_file(body)},
        source_models={PACKAGE if base is None else base.name: hash_file(source / "model.safetensors")},
    )
    with model_folder(Path(target), provenance) as folder:
        model.save_pretrained(folder)
        tokenizer.save(str(folder / "tokenizer.json"))
        settings = {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "bos_token": START,
            "eos_token": END,
            "pad_token": PADDING,
            "unk_token": UNKNOWN,
            "model_max_length": model.config.max_position_embeddings,
            "model_input_names": ["input_ids", "attention_mask"],
        }
        (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")
