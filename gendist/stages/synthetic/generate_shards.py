"""Generate shards of a pool as Parquet files."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from gendist.config.base_settings import Device
from gendist.config.sampling_settings import Sampling
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file, hash_folder
from gendist.jobs.progress_log import Progress
from gendist.jobs.work_folder import WorkFolder
from gendist.jobs.work_stamp import make_stamp
from gendist.nn import devices
from gendist.nn.bf16_weights import load_for_sampling, weight_dtype
from gendist.nn.pretrained import load_config, load_tokenizer
from gendist.stages.generator.adapters import load_generator
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.stages.generator.generator_folder import member_folder, read_record
from gendist.stages.synthetic.backend_selection import resolve_precision
from gendist.stages.synthetic.batch_slots import GeneratedRow
from gendist.stages.synthetic.row_prompts import PromptBuilder
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.synthetic.saved_rows import SavedRows

log = logging.getLogger(__name__)


def generate_shards(
    generator: Path,
    targets: Sequence[Path],
    settings: Sampling,
    *,
    first_shard: int,
    shard_rows: int,
    threads: int = 1,
    train: Path | None = None,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Generate consecutive shards of a pool; shard n has the rows from ``n * shard_rows``.

    Shards generated together or one at a time are the same files on one kind of device. A GPU computes in another
    precision than a CPU (``resolve_precision``); the shard's provenance names it.

    Columns: row, text, n_tokens and finish, which is ``stop`` (end token), ``length`` (cut at ``max_tokens``) or
    ``empty`` (no letter or digit; the text is then empty). Empty rows stay in the pool, so that row numbers are
    consecutive; distillation skips them. A label's prompt is not part of the text, words of a real row are.

    Args:
        generator: finetuned transformers folder, or one with adapters (LoRA).
        targets: Parquet file to write for each shard.
        settings: sampling strategy and pool seed.
        first_shard: number of the first shard, from 0.
        shard_rows: rows per shard.
        threads: number of CPU threads.
        train: ``texts/train.parquet``, required if ``settings.prompt_words`` is not 0.
        work: root of all work folders, where rows are saved until the shards are complete; None to save none.
        device: device choice; a GPU is claimed for the life of this process.

    Raises:
        GendistError: if the generator is incomplete, or the training texts are missing or have other labels.
    """
    torch_device = devices.prepare(threads, settings.seed, device)
    record = read_record(generator)
    tokenizer = load_tokenizer(str(generator))
    config = load_config(str(generator))
    precision = resolve_precision(settings, config, torch_device, int8=record.int8)
    dtype = weight_dtype(record.dtype, config, torch_device)
    prompt_builder = PromptBuilder(tokenizer, record, settings, train)
    inputs = {"generator": hash_folder(generator)}
    if train is not None and settings.prompt_words:
        inputs["train"] = hash_file(train)
    recorded = {**settings.model_dump(mode="json"), "precision": precision, "shard_rows": shard_rows}
    if dtype == torch.bfloat16:
        recorded["weights"] = "bf16"
    if torch_device.type == "cuda":
        recorded["device"] = torch.cuda.get_device_name(torch_device)
    else:
        del recorded["batch_size"]  # on a CPU, rows do not depend on it

    def provenance(shard: int) -> Provenance:
        return Provenance("synthetic", inputs, {**recorded, "shard": shard}, settings.seed)

    total = len(targets) * shard_rows
    saved = SavedRows(
        WorkFolder(work, targets[0], make_stamp(provenance(first_shard), __file__, shards=len(targets))),
        range(first_shard * shard_rows, first_shard * shard_rows + total),
    )
    if saved.rows:
        log.info("resuming from row %d of %d", len(saved.rows), total)
    last_shard = first_shard + len(targets) - 1
    name = f"shard {first_shard}" if len(targets) == 1 else f"shards {first_shard} to {last_shard}"
    progress = Progress(f"generating {name}", total, initial=len(saved.rows))
    tokens, redrawn = 0, 0
    for member in range(record.members):
        numbers = [n for n in sorted(saved.numbers - saved.rows.keys()) if record.member_of(n) == member]
        if not numbers:
            continue
        folder = member_folder(generator, member)
        model = load_for_sampling(partial(load_generator, folder, generator), dtype, torch_device)
        start, end = boundary_tokens(load_config(str(folder)), tokenizer, str(folder))
        sampler = Sampler(
            model,
            settings,
            start=start,
            end=end,
            forbidden=tokenizer.all_special_ids,
            precision=precision,
            int8=record.int8_options,
        )
        prompts = prompt_builder.prompts(numbers, sampler.context)
        with saved.save_on_exit():
            for row in sampler.sample(numbers, [prompts[number].tokens for number in numbers]):
                saved.add(replace(row, tokens=prompts[row.number].words + row.tokens))
                tokens += len(row.tokens)
                progress.update(1, f"{tokens:,} tokens")
        redrawn += sampler.redrawn
    for shard, target in enumerate(targets, first_shard):
        shard_numbers = range(shard * shard_rows, (shard + 1) * shard_rows)
        table, counts = shard_table([saved.rows[number] for number in shard_numbers], tokenizer)
        write_parquet(target, table, provenance(shard), {"finish_counts": counts})
        log.info("%s: %s", target, counts)
    saved.work.mark_finished()
    hardware = recorded.get("device", "CPU")
    log.info("%d tokens in %s on %s, %d redrawn in float64", tokens, precision, hardware, redrawn)


def shard_table(rows: Sequence[GeneratedRow], tokenizer: Any) -> tuple[pa.Table, dict[str, int]]:
    """Return the shard's columns, and the number of rows by ``finish``."""
    # An incomplete UTF-8 character decodes to U+FFFD.
    texts = [tokenizer.decode(row.tokens, skip_special_tokens=True).replace("\ufffd", "").strip() for row in rows]
    finish = ["stop" if row.stopped else "length" for row in rows]
    for i, text in enumerate(texts):
        if not any(map(str.isalnum, text)):
            texts[i], finish[i] = "", "empty"
    table = pa.table(
        {
            "row": pa.array([row.number for row in rows], pa.int64()),
            "text": pa.array(texts, pa.string()),
            "n_tokens": pa.array([len(row.tokens) for row in rows], pa.int32()),
            "finish": pa.array(finish, pa.string()),
        }
    )
    counts = Counter(finish)
    return table, {kind: counts[kind] for kind in ("stop", "length", "empty")}
