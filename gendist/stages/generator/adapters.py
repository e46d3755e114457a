"""Low-rank adapters of a generator (LoRA; Hu et al. 2022), by peft."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from gendist.config.prompting_settings import Lora
from gendist.errors import GendistError, first_line
from gendist.io.atomic_files import write_tensors
from gendist.io.checksums import verify_folder
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import PROVENANCE_FILE
from gendist.nn.pretrained import describe, load_causal_lm

WEIGHTS, SETTINGS = "adapter_model.safetensors", "adapter_config.json"
"""Files of adapters, as peft names them."""
MISSING_EXTRA = "'lora' needs an extra: pip install 'gendist[lora]'"
LISTED = 12
"""Most layers that an error lists."""


def add_adapters(model: Any, settings: Lora, name: str, revision: str | None) -> Any:
    """Add trainable adapters to a model in place and freeze all other weights.

    Args:
        model: causal language model.
        settings: rank, scale, dropout and targets.
        name: folder or hub id of the model, recorded with the adapters.
        revision: of a hub model.

    Returns:
        peft's model, for ``save_adapters`` and ``merge_and_unload``.

    Raises:
        GendistError: if peft is not installed, or a target is not a linear layer below the output layer.
    """
    peft = _import_peft()
    from peft.utils import TRANSFORMERS_MODELS_TO_LORA_TARGET_MODULES_MAPPING as KNOWN

    layers = dict(_linear_layers(model))
    targets: list[str] | str | None = settings.targets
    for target in settings.targets or ():
        if not any(f".{layer}".endswith(f".{target}") for layer in layers):
            names = list(dict.fromkeys(layer.rpartition(".")[2] for layer in layers))
            shown = ", ".join(names[:LISTED])
            raise GendistError(f"lora.targets: model {name} has no linear layer '{target}'; it has {shown}")
    if targets is None and model.config.model_type not in KNOWN:
        targets = "all-linear"
    chosen = list(KNOWN[model.config.model_type]) if targets is None else targets
    conv1d = any(isinstance(layer, Conv1D) and _is_chosen(layer_name, chosen) for layer_name, layer in layers.items())
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=settings.rank,
        lora_alpha=settings.scale_numerator,
        lora_dropout=settings.dropout,
        target_modules=targets,
        fan_in_fan_out=conv1d,
        base_model_name_or_path=name,
        revision=revision,
    )
    with _quiet():
        return peft.get_peft_model(model, config)


def save_adapters(peft_model: Any, folder: Path) -> None:
    """Write the adapters' weights and settings, in peft's format: equal adapters give equal bytes."""
    peft = _import_peft()
    tensors = peft.get_peft_model_state_dict(peft_model, save_embedding_layers=False)
    write_tensors(folder / WEIGHTS, {key: tensors[key].detach().cpu() for key in sorted(tensors)})
    values = peft_model.peft_config["default"].to_dict()
    plain = {key: sorted(value) if isinstance(value, set) else value for key, value in values.items()}
    write_json(folder / SETTINGS, plain | {"inference_mode": True})


def peft_version() -> str:
    """Return the version of peft.

    Raises:
        GendistError: if it is not installed.
    """
    return str(_import_peft().__version__)


def has_adapters(folder: Path) -> bool:
    """Return whether a generator's folder holds adapters and not a whole model."""
    return (folder / SETTINGS).is_file()


def load_generator(folder: Path, generator: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load a finetuned model, with its adapters merged if it has any; arguments and errors as ``load_merged``."""
    return load_merged(folder, generator, dtype) if has_adapters(folder) else load_causal_lm(str(folder), dtype=dtype)


def load_merged(folder: Path, generator: Path, dtype: torch.dtype = torch.float32) -> Any:
    """Load a model and merge its adapters into its weights.

    Args:
        folder: folder with adapters: the generator's, or a further model's in it.
        generator: the generator's folder, whose record names the model that the adapters belong to.
        dtype: type of the model; in bf16, the merged weights are rounded.

    Raises:
        GendistError: if peft is not installed, a file is missing or damaged, or the model has changed.
    """
    peft = _import_peft()
    verify_folder(generator)
    if not (folder / WEIGHTS).is_file():  # peft would look for it on the hub
        raise GendistError(f"{folder / WEIGHTS}: no such file; delete the folder and rerun")
    settings = read_json(folder / SETTINGS)
    name, revision = str(settings.get("base_model_name_or_path")), settings.get("revision")
    expected = read_json(generator / PROVENANCE_FILE).get("source_models")
    if expected != describe(name, revision):
        raise GendistError(f"model {name}: changed since the adapters in {folder} were trained; delete them and rerun")
    model = load_causal_lm(name, revision, dtype)
    try:
        with _quiet():
            return peft.PeftModel.from_pretrained(model, str(folder)).merge_and_unload()
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:  # damaged files raise errors of many types
        raise GendistError(
            f"{folder}: adapters cannot be loaded ({first_line(error)}); delete them and rerun"
        ) from None


def _is_chosen(layer: str, targets: list[str] | str) -> bool:
    return targets == "all-linear" or any(f".{layer}".endswith(f".{target}") for target in targets)


def _linear_layers(model: Any) -> Iterator[tuple[str, nn.Module]]:
    """Yield the linear layers that can have adapters: all but the output layer, whose loss is computed in chunks."""
    output = model.get_output_embeddings()
    for name, layer in model.named_modules():
        if isinstance(layer, nn.Linear | Conv1D) and layer is not output:
            yield name, layer


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop a warning meant for peft: it asks transformers by a name that is deprecated since 5.23."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
        yield


def _import_peft() -> Any:
    try:
        import peft
    except ModuleNotFoundError as error:
        raise GendistError(f"{MISSING_EXTRA} ({error.name})") from None
    return peft
