"""Load pretrained models by name: packaged models, local folders and hub ids."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from gendist.errors import GendistError, first_line
from gendist.io.checksums import verify_folder
from gendist.io.provenance import hash_file, hash_folder
from gendist.nn.pocket.minilm import encoder_folder
from gendist.nn.pooled_classifier import HEAD_FILE, PooledClassifier

log = logging.getLogger(__name__)

disable_progress_bar()  # it would interleave with the progress of the jobs

MINILM = "minilm"
PLAIN_ATTENTION_TOKENS = 256
"""Maximum length for eager attention in training on a CPU, where the backward pass of PyTorch's fused attention is
several times slower and attention matrices are small."""


def resolve_model_path(model: str) -> str:
    """Return the folder of a packaged or local model; a hub id is returned unchanged.

    Raises:
        GendistError: if ``model`` looks like a path and is not a transformers folder.
    """
    if model == MINILM:
        return str(encoder_folder())
    path = Path(model)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise GendistError(f"model {model}: no config.json in that folder; expected a transformers folder")
        return model
    if path.is_absolute() or model.startswith(".") or model.count("/") > 1:
        raise GendistError(f"model {model}: no such folder")
    return model


def describe(model: str, revision: str | None) -> dict[str, str]:
    """Return a model's provenance: name and hash of local weights, or hub id and revision."""
    weights = Path(resolve_model_path(model)) / "model.safetensors"
    if weights.is_file():
        # Only the name: the packaged generator is unpacked below `results`, whose path may change.
        return {Path(model).name: hash_file(weights)}
    return {model: revision or "main"}


def content_hash(model: str, revision: str | None) -> str:
    """Return one hash of all files of a local model, or id and revision of a hub model."""
    folder = Path(resolve_model_path(model))
    return hash_folder(folder) if folder.is_dir() else f"{model}@{revision or 'main'}"


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """Load a fast tokenizer without truncation and padding."""
    tokenizer = _load(AutoTokenizer, model, revision)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise GendistError(f"model {model}: has no tokenizer.json (a fast tokenizer)")
    backend.no_truncation()
    backend.no_padding()
    # Saved with the tokenizer; it is True if HF_HUB_OFFLINE is set, which must not change the saved bytes.
    tokenizer.init_kwargs["local_files_only"] = False
    return tokenizer


def load_config(model: str, revision: str | None = None) -> Any:
    """Load a model's configuration."""
    return _load(AutoConfig, model, revision)


def load_causal_lm(model: str, revision: str | None = None, dtype: torch.dtype = torch.float32) -> Any:
    """Load a causal language model, by default in float32, whatever the dtype of its checkpoint."""
    return _load(AutoModelForCausalLM, model, revision, dtype=dtype)


def load_classifier(model: str, names: list[str], revision: str | None = None, pooling: str = "first") -> Any:
    """Load a sequence classifier in float32; the head is initialised if the model has none of that size.

    Args:
        model: name of a packaged model, folder or hub id.
        names: names of the classes.
        revision: of a hub model.
        pooling: input of a new head: ``first`` is the architecture's own choice (mostly the first token), ``mean``
            averages the hidden states. A folder with a ``HEAD_FILE`` always has mean pooling.

    Raises:
        GendistError: if the model cannot be loaded.
    """
    head = Path(resolve_model_path(model)) / HEAD_FILE
    options: dict[str, Any] = {
        "dtype": torch.float32,
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }
    if pooling == "mean" or head.is_file():
        classifier = PooledClassifier(_load(AutoModel, model, revision, **options))
        # A folder that is finetuned again (pooling "mean") may have a head for other classes, which is ignored.
        if head.is_file() and not classifier.load_head(head) and pooling != "mean":
            raise GendistError(f"{head}: is not for {len(names)} classes")
        return classifier
    return _load(
        AutoModelForSequenceClassification,
        model,
        revision,
        problem_type="single_label_classification",
        ignore_mismatched_sizes=True,
        **options,
    )


def choose_attention(model: Any, longest: int) -> None:
    """Set the attention implementation that trains fastest on the model's device, up to ``longest`` tokens."""
    if next(model.parameters()).device.type == "cpu" and longest <= PLAIN_ATTENTION_TOKENS:
        model.set_attn_implementation("eager")


def load_encoder(model: str, revision: str | None = None) -> PooledClassifier:
    """Load an encoder in float32, for ``PooledClassifier.embed``; the linear layer is untrained."""
    return PooledClassifier(_load(AutoModel, model, revision, dtype=torch.float32))


def _load(auto: Any, model: str, revision: str | None, **options: Any) -> Any:
    path = resolve_model_path(model)
    if Path(path).is_dir():
        verify_folder(Path(path))
    if auto not in (AutoConfig, AutoTokenizer):
        options["use_safetensors"] = True  # never unpickle weights
    try:
        return auto.from_pretrained(path, revision=revision or "main", trust_remote_code=False, **options)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # damaged files raise errors of many types
        raise GendistError(f"model {model}: cannot be loaded ({first_line(error)})") from None


def class_names(folder: Path) -> list[str]:
    """Return the class names in a finetuned classifier's config, in label order.

    Raises:
        GendistError: if it has none.
    """
    names = getattr(_load(AutoConfig, str(folder), None), "id2label", None)
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        raise GendistError(f"{folder / 'config.json'}: id2label does not name classes 0, 1, …; delete it and run again")
    return [str(names[i]) for i in range(len(names))]
