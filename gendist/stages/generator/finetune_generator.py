"""Finetune a causal language model on the real texts (paper sections 3.1 and 4.2)."""

import logging
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gendist.config.base_settings import Device
from gendist.config.generator_settings import Generator
from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder, write_text
from gendist.io.provenance import Provenance, hash_file
from gendist.jobs import stop_signals
from gendist.jobs.checkpoints import Checkpoints
from gendist.jobs.work_folder import WorkFolder
from gendist.jobs.work_stamp import make_stamp
from gendist.nn import devices
from gendist.nn.bf16_weights import weight_dtype
from gendist.nn.int8_calibration import MAX_DIVERGENCE, calibrate_int8
from gendist.nn.pretrained import content_hash, describe, load_causal_lm, load_config, load_tokenizer
from gendist.stages.generator.activation_memory import uses_checkpointing
from gendist.stages.generator.adapters import add_adapters, peft_version, save_adapters
from gendist.stages.generator.generator_folder import (
    GeneratorRecord,
    label_prompt,
    member_folder,
    read_record_file,
    write_record,
)
from gendist.stages.generator.training_loop import TrainingState, train_model
from gendist.stages.generator.training_sequences import tokenize_rows
from gendist.stages.texts.text_tables import Texts, read_texts

log = logging.getLogger(__name__)


def finetune_generator(
    train: Path,
    target: Path,
    settings: Generator,
    *,
    threads: int = 1,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Finetune ``settings.model`` on the texts of ``train`` and save it as a transformers folder.

    With ``settings.held_out``, training stops early, when the likelihood of held-out rows no longer improves, and the
    best epoch's weights are saved. With ``settings.conditional``, each text is preceded by its label's name; otherwise
    labels are not used. With ``settings.lora``, adapters are trained, and saved in place of the weights. With several
    ``settings.finetunes``, further models are in sub-folders (``member_folder``).

    Args:
        train: ``texts/train.parquet``.
        target: folder to write: weights as safetensors, config and tokenizer.
        settings: model and schedule.
        threads: number of CPU threads.
        work: root of all work folders, where checkpoints are saved; None to save none.
        device: device choice; a GPU is claimed for the life of this process.

    Raises:
        GendistError: if the model cannot be loaded or has no end token, a label's name is longer than the window, or
            training diverges, or peft is missing.
    """
    torch_device = devices.prepare(threads, settings.seed, device)
    texts = read_texts(train)
    provenance = Provenance(
        "generator",
        {"train": hash_file(train)},
        settings.model_dump(mode="json", exclude={"model"}),
        settings.seed,
        describe(settings.model, settings.revision),
    )
    model = content_hash(settings.model, settings.revision)
    packages = {"peft": peft_version()} if settings.lora is not None else {}
    stamp = make_stamp(provenance, __file__, model=model, threads=threads, device=torch_device.type, **packages)
    work_folder = WorkFolder(work, target, stamp)
    with model_folder(target, provenance) as folder, stop_signals.defer_stop():
        for member in range(settings.finetunes):
            if settings.finetunes > 1:
                log.info("model %d of %d", member + 1, settings.finetunes)
            stop_signals.raise_if_stopped()
            name, model_target = f"member-{member}", member_folder(folder, member)
            if work_folder.restore_folder(name, model_target):
                log.info("resuming: finetuning already complete")
                continue
            seeded = settings.model_copy(update={"seed": settings.seed + member})
            checkpoints = Checkpoints(work_folder, TrainingState(), name)
            devices.prepare(threads, seeded.seed, device)
            _finetune(texts, model_target, seeded, torch_device, checkpoints=checkpoints, member=member)
            work_folder.save_folder(name, model_target)
            checkpoints.delete()
        names = tuple(texts.label_names) if settings.conditional else ()
        members = [member_folder(folder, member) / "config.json" for member in range(settings.finetunes)]
        records = [read_record_file(config) for config in members]
        two_pass = tuple(sorted({kind for record in records for kind in record.two_pass}))
        int8 = all(record.int8 for record in records)
        record = GeneratorRecord(
            label_names=names,
            members=settings.finetunes,
            int8=int8,
            two_pass=two_pass,
            stochastic=any(record.stochastic for record in records),
            dtype=settings.dtype if settings.lora else "float32",
        )
        write_record(folder, record)
    work_folder.mark_finished()


def _finetune(
    texts: Texts,
    folder: Path,
    settings: Generator,
    device: torch.device,
    *,
    checkpoints: Checkpoints[TrainingState],
    member: int,
) -> None:
    """Finetune one model and save it, its tokenizer and its training history in ``folder``."""
    tokenizer = load_tokenizer(settings.model, settings.revision)
    model, adapted = _load_trainable(settings, device), None
    start, end = boundary_tokens(model.config, tokenizer, settings.model)
    limit = min(settings.window, getattr(model.config, "max_position_embeddings", settings.window))
    prompts = [label_prompt(texts.label_names[label]) for label in texts.labels] if settings.conditional else None
    rows = tokenize_rows(tokenizer, texts.texts, limit=limit, start=start, end=end, prompts=prompts)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(rows))
    n_held_out = math.ceil(settings.held_out * len(rows))
    held_out = [rows[i] for i in order[:n_held_out]]
    train_rows = [rows[i] for i in np.sort(order[n_held_out:])]
    if settings.lora is not None:
        adapted = add_adapters(model, settings.lora, settings.model, settings.revision)
        enable_checkpointing(model, settings)
    else:
        freeze(model, settings)
    if settings.dropout is not None:
        for name, module in model.named_modules():
            if isinstance(module, torch.nn.Dropout) and ".lora_dropout." not in name:
                module.p = settings.dropout
    train_model(
        model,
        train_rows,
        held_out,
        limit=limit,
        start=start,
        rng=rng,
        settings=settings,
        checkpoints=checkpoints,
        member=member,
    )
    if adapted is not None:
        save_adapters(adapted, folder)
        model = adapted.merge_and_unload()
    int8, nats = calibrate_int8(model.eval(), held_out or train_rows)
    if int8 is not None:
        layers = f" with 16-bit inputs of {', '.join(int8.two_pass)}" if int8.two_pass else ""
        log.info("int8 calibration: KL divergence from float32%s: %.4f nats per token", layers, nats)
    elif math.isfinite(nats):
        log.warning(
            "int8 calibration: KL divergence from float32: %.4f nats per token, above %g; using float32",
            nats,
            MAX_DIVERGENCE,
        )
    model.config.bos_token_id, model.config.eos_token_id = start, end
    model.generation_config.bos_token_id, model.generation_config.eos_token_id = start, end
    if adapted is None:
        model.save_pretrained(folder, max_shard_size="100GB")
    else:
        model.config.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    record = GeneratorRecord()
    if int8 is not None:
        record = GeneratorRecord(int8=True, two_pass=int8.two_pass, stochastic=int8.stochastic)
    write_record(folder, record)
    lines = ["epoch,train_nats_per_token,held_out_nats_per_token\n"]
    lines += [f"{epoch},{train_loss:.5f},{held:.5f}\n" for epoch, train_loss, held in checkpoints.state.history]
    write_text(folder / "history.csv", "".join(lines))


def _load_trainable(settings: Generator, device: torch.device) -> Any:
    """Load the model to finetune; under adapters, its own weights may be in bf16."""
    if settings.lora is None:
        return load_causal_lm(settings.model, settings.revision).to(device)
    dtype = weight_dtype(settings.dtype, load_config(settings.model, settings.revision), device)
    return load_causal_lm(settings.model, settings.revision, dtype).to(device)


def boundary_tokens(config: Any, tokenizer: Any, name: str) -> tuple[int, int]:
    """Return the ids of the start and the end token of a text.

    Raises:
        GendistError: if the model has no end token.
    """
    end = config.eos_token_id if config.eos_token_id is not None else tokenizer.eos_token_id
    end = end[0] if isinstance(end, list) else end
    if end is None:
        raise GendistError(f"model {name}: has no end-of-text token (eos_token_id), so rows would never end")
    start = config.bos_token_id if config.bos_token_id is not None else tokenizer.bos_token_id
    return (end if start is None else start), end


def freeze(model: Any, settings: Generator) -> None:
    """Freeze all weights but ``settings.trainable``, and enable gradient checkpointing if it is chosen."""
    if settings.trainable == "blocks":
        # Parameters of the blocks, and no others, have a number in their name: transformer.h.0.attn...
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(re.search(r"\.\d+\.", name) is not None)
    enable_checkpointing(model, settings)


def enable_checkpointing(model: Any, settings: Generator) -> None:
    """Enable gradient checkpointing if it is chosen."""
    if uses_checkpointing(model, settings):
        # The new name; the old one is deprecated since transformers 5.23.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        model.config.use_cache = False
