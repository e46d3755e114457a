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
from gendist.nn.int8.divergence import LIMIT, layers_in_two_passes
from gendist.nn.pretrained import content_of, describe, load_causal_lm, load_tokenizer
from gendist.stages.generator import sequences
from gendist.stages.generator.activations import recomputes
from gendist.stages.generator.folder import Record, label_prompt, member_folder, record_in, write_record
from gendist.stages.generator.training import Course, train_model
from gendist.stages.texts.tables import Texts, read_texts

log = logging.getLogger(__name__)


def finetune_generator(
    train: Path,
    target: Path,
    settings: Generator,
    threads: int = 1,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Finetune ``settings.model`` on the texts of ``train`` and save it as a transformers folder.

    With ``settings.held_out`` a share of the rows is kept out; training stops when their
    likelihood no longer improves, and the best epoch's weights are saved. Labels are seen only
    if ``settings.conditional``: a text then follows its label's name. Of several
    ``settings.finetunes``, those after the first go to sub-folders (``member_folder``).

    Args:
        train: ``texts/train.parquet``.
        target: folder to write: weights as safetensors, config and tokenizer.
        settings: model and schedule.
        threads: CPU threads.
        work: folder of all work folders, where checkpoints are kept; None keeps none.
        device: where to compute; a GPU is claimed until this process ends.

    Raises:
        GendistError: if the model cannot be loaded or never ends a text, a label's name is longer than
            the window, or training diverges.
    """
    place = devices.prepare(threads, settings.seed, device)
    texts = read_texts(train)
    provenance = Provenance(
        "generator",
        {"train": hash_file(train)},
        settings.model_dump(mode="json", exclude={"model"}),
        settings.seed,
        describe(settings.model, settings.revision),
    )
    model = content_of(settings.model, settings.revision)
    stamp = make_stamp(provenance, __file__, model=model, threads=threads, device=place.type)
    kept = WorkFolder(work, target, stamp)
    with model_folder(target, provenance) as folder, stop_signals.defer_stop():
        for member in range(settings.finetunes):
            if settings.finetunes > 1:
                log.info("model %d of %d", member + 1, settings.finetunes)
            stop_signals.raise_if_stopped()
            name, own = f"member-{member}", member_folder(folder, member)
            if kept.restore_folder(name, own):
                log.info("going on after its finetuning, which was finished")
                continue
            seeded = settings.model_copy(update={"seed": settings.seed + member})
            checkpoints = Checkpoints(kept, Course(), name)
            _finetune(texts, own, seeded, threads, device, checkpoints, member)
            kept.save_folder(name, own)
            checkpoints.delete()
        names = tuple(texts.label_names) if settings.conditional else ()
        members = [member_folder(folder, member) / "config.json" for member in range(settings.finetunes)]
        records = [record_in(config) for config in members]
        two_pass = tuple(sorted({kind for record in records for kind in record.two_pass}))
        int8 = all(record.int8 for record in records)
        write_record(folder, Record(label_names=names, members=settings.finetunes, int8=int8, two_pass=two_pass))
    kept.mark_finished()


def _finetune(
    texts: Texts,
    folder: Path,
    settings: Generator,
    threads: int,
    device: Device,
    checkpoints: Checkpoints[Course],
    member: int,
) -> None:
    """Finetune one model and save it, its tokenizer and the course of its training in ``folder``."""
    place = devices.prepare(threads, settings.seed, device)
    tokenizer = load_tokenizer(settings.model, settings.revision)
    model = load_causal_lm(settings.model, settings.revision).to(place)
    start, end = boundary_tokens(model.config, tokenizer, settings.model)
    limit = min(settings.window, getattr(model.config, "max_position_embeddings", settings.window))
    prompts = [label_prompt(texts.label_names[label]) for label in texts.labels] if settings.conditional else None
    rows = sequences.tokenize(tokenizer, texts.texts, limit, start, end, prompts)
    rng = np.random.default_rng(settings.seed)
    order = rng.permutation(len(rows))
    n_held_out = math.ceil(settings.held_out * len(rows))
    held_out = [rows[i] for i in order[:n_held_out]]
    kept = [rows[i] for i in np.sort(order[n_held_out:])]
    freeze(model, settings)
    if settings.dropout is not None:
        for module in model.modules():
            if isinstance(module, torch.nn.Dropout):
                module.p = settings.dropout
    train_model(model, kept, held_out, limit, start, rng, settings, checkpoints, member)
    two_pass, nats = layers_in_two_passes(model.eval(), held_out or kept)
    if two_pass is not None:
        more = f" with 16-bit inputs of {', '.join(two_pass)}" if two_pass else ""
        log.info("in int8%s the generator is %.4f nats per token from float32", more, nats)
    elif math.isfinite(nats):
        log.warning("in int8 the generator is %.4f nats per token from float32, over %g: using float32", nats, LIMIT)
    model.config.bos_token_id, model.config.eos_token_id = start, end
    model.generation_config.bos_token_id, model.generation_config.eos_token_id = start, end
    model.save_pretrained(folder, max_shard_size="100GB")
    tokenizer.save_pretrained(folder)
    write_record(folder, Record(int8=two_pass is not None, two_pass=two_pass or ()))
    lines = ["epoch,train_nats_per_token,held_out_nats_per_token\n"]
    lines += [f"{epoch},{train_loss:.5f},{held:.5f}\n" for epoch, train_loss, held in checkpoints.state.history]
    write_text(folder / "history.csv", "".join(lines))


def boundary_tokens(config: Any, tokenizer: Any, name: str) -> tuple[int, int]:
    """Return the ids that stand before and after every text.

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
    """Leave trainable what the settings say, and recompute activations if they or the memory say so."""
    if settings.trainable == "blocks":
        # Transformers keeps the blocks, and nothing else, in a numbered list: transformer.h.0.attn...
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(re.search(r"\.\d+\.", name) is not None)
    if recomputes(model, settings):
        # The newer name of the two; the older warns since transformers 5.23.
        enable = getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
        enable({"use_reentrant": False})
        model.config.use_cache = False
