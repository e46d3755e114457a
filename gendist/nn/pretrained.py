"""Pretrained models by name: embedded ones, local folders and hub ids."""

import logging
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from gendist.errors import GendistError
from gendist.io.checksums import verify_folder
from gendist.io.provenance import hash_file, hash_folder
from gendist.nn.pocket.encoder import encoder_folder
from gendist.nn.pooled_classifier import HEAD, PooledClassifier

log = logging.getLogger(__name__)

disable_progress_bar()  # loading takes a second; its bars would drown the progress of the jobs

MINILM = "minilm"
PLAIN_ATTENTION_TOKENS = 256
"""Longest texts for which training on a CPU takes plain attention. The backward pass of PyTorch's fused attention is
several times slower there; the matrices that it avoids are small."""


def locate(model: str) -> str:
    """Return the folder of an embedded or local model; a hub id is returned as it is.

    Raises:
        GendistError: if ``model`` looks like a path but no transformers folder is there.
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
    """Name a source model for provenance: the hash of local weights, or id and revision."""
    weights = Path(locate(model)) / "model.safetensors"
    if weights.is_file():
        # The embedded generator's folder moves with `results`, its content does not.
        return {Path(model).name: hash_file(weights)}
    return {model: revision or "main"}


def content_of(model: str, revision: str | None) -> str:
    """Return one hash over a local model's files, its configuration and tokenizer included; of a hub model its name."""
    place = Path(locate(model))
    return hash_folder(place) if place.is_dir() else f"{model}@{revision or 'main'}"


def load_tokenizer(model: str, revision: str | None = None) -> Any:
    """Load a fast tokenizer; texts are cut by the caller, never silently padded."""
    tokenizer = _load(AutoTokenizer, model, revision)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise GendistError(f"model {model}: has no tokenizer.json (a fast tokenizer)")
    backend.no_truncation()
    backend.no_padding()
    # Saved with the tokenizer; true only where HF_HUB_OFFLINE is set, which must not change any bytes.
    tokenizer.init_kwargs["local_files_only"] = False
    return tokenizer


def load_config(model: str, revision: str | None = None) -> Any:
    """Load a model's configuration."""
    return _load(AutoConfig, model, revision)


def load_causal_lm(model: str, revision: str | None = None) -> Any:
    """Load a causal language model in float32 (the checkpoint's own dtype would be trained in otherwise)."""
    return _load(AutoModelForCausalLM, model, revision, dtype=torch.float32)


def load_classifier(model: str, names: list[str], revision: str | None = None, pooling: str = "first") -> Any:
    """Load a sequence classifier in float32; an encoder without a head of that size gets a fresh one.

    Args:
        model: embedded name, folder or hub id.
        names: names of the classes.
        revision: of a hub model.
        pooling: what a fresh head reads: the model's own choice (``first`` token, mostly), or the ``mean`` of
            the states. A folder that holds a head over the mean is loaded as what it is.

    Raises:
        GendistError: if the model cannot be loaded.
    """
    head = Path(locate(model)) / HEAD
    options: dict[str, Any] = {
        "dtype": torch.float32,
        "num_labels": len(names),
        "id2label": dict(enumerate(names)),
        "label2id": {name: i for i, name in enumerate(names)},
    }
    if pooling == "mean" or head.is_file():
        classifier = PooledClassifier(_load(AutoModel, model, revision, **options))
        # A folder that is trained on (pooling "mean") may hold a head of other classes, which is left behind.
        if head.is_file() and not classifier.load_head(head) and pooling != "mean":
            raise GendistError(f"{head}: does not hold {len(names)} classes")
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
    """Choose the attention that trains fastest where the model is, for texts of up to ``longest`` tokens."""
    if next(model.parameters()).device.type == "cpu" and longest <= PLAIN_ATTENTION_TOKENS:
        model.set_attn_implementation("eager")


def load_encoder(model: str, revision: str | None = None) -> PooledClassifier:
    """Load an encoder in float32 with a fresh classifier over the mean of its states; ``embed`` is what it is for."""
    return PooledClassifier(_load(AutoModel, model, revision, dtype=torch.float32))


def _load(auto: Any, model: str, revision: str | None, **options: Any) -> Any:
    place = locate(model)
    if Path(place).is_dir():
        verify_folder(Path(place))
    if auto not in (AutoConfig, AutoTokenizer):
        options["use_safetensors"] = True  # never unpickle weights
    try:
        return auto.from_pretrained(place, revision=revision or "main", trust_remote_code=False, **options)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # what a damaged file raises depends on where the damage is
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise GendistError(f"model {model}: cannot be loaded ({reason})") from None


def class_names(folder: Path) -> list[str]:
    """Return the class names that a finetuned classifier folder carries, in label order.

    Raises:
        GendistError: if it carries none.
    """
    names = getattr(_load(AutoConfig, str(folder), None), "id2label", None)
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        raise GendistError(f"{folder / 'config.json'}: id2label does not name classes 0, 1, …; delete it and run again")
    return [str(names[i]) for i in range(len(names))]
