"""Generate shards of a pool and write them as Parquet."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
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
from gendist.nn.pretrained import load_causal_lm, load_config, load_tokenizer
from gendist.stages.generator.finetune import boundary_tokens
from gendist.stages.generator.folder import member_folder, read_record
from gendist.stages.synthetic.kept import KeptRows
from gendist.stages.synthetic.prompts import Prompter
from gendist.stages.synthetic.sampler import Sampler, computed_in
from gendist.stages.synthetic.slots import Row

log = logging.getLogger(__name__)


def generate_shards(
    generator: Path,
    targets: Sequence[Path],
    settings: Sampling,
    first: int,
    shard_rows: int,
    threads: int = 1,
    train: Path | None = None,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Generate shards one after the other, in one go; shard n has rows ``n * shard_rows`` and following of the pool.

    Each is the file that it would be alone, on one kind of device: a GPU computes in another precision than a CPU
    (``computed_in``), and the provenance of a shard names the GPU that made it.

    Writes row, text, n_tokens and finish: ``stop`` (the model ended the text), ``length`` (cut at
    ``max_tokens``) or ``empty`` (no letter or digit in it; text is then empty). An empty row keeps
    its place in the pool, so that no other row shifts; distillation leaves it out. The label that
    a row was prompted with is no part of its text; real words that it starts from are.

    Args:
        generator: finetuned transformers folder.
        targets: Parquet files to write.
        settings: sampling strategy and pool seed.
        first: number of the first shard, from 0.
        shard_rows: rows in a shard.
        threads: CPU threads.
        train: ``texts/train.parquet``, read only if ``settings.prompt_words``.
        work: folder of all work folders, where rows are kept until the shards are whole; None keeps none.
        device: where to compute; a GPU is claimed until this process ends.

    Raises:
        GendistError: if the generator is incomplete, or the training texts are missing or of other labels.
    """
    place = devices.prepare(threads, settings.seed, device)
    record = read_record(generator)
    tokenizer = load_tokenizer(str(generator))
    precision = computed_in(settings, load_config(str(generator)), place, record.int8)
    if precision != "bf16":
        settings = settings.model_copy(update={"precision": precision})
    prompter = Prompter(tokenizer, record, settings, train)
    inputs = {"generator": hash_folder(generator)}
    if train is not None and settings.prompt_words:
        inputs["train"] = hash_file(train)
    made_by = {**settings.model_dump(mode="json"), "precision": precision, "shard_rows": shard_rows}
    if place.type == "cuda":
        made_by["device"] = torch.cuda.get_device_name(place)
    else:
        del made_by["batch_size"]  # it has no influence on the rows

    def provenance(shard: int) -> Provenance:
        return Provenance("synthetic", inputs, {**made_by, "shard": shard}, settings.seed)

    rows = len(targets) * shard_rows
    kept = KeptRows(
        WorkFolder(work, targets[0], make_stamp(provenance(first), __file__, shards=len(targets))),
        range(first * shard_rows, first * shard_rows + rows),
    )
    if kept.rows:
        log.info("going on from row %d of %d", len(kept.rows), rows)
    which = f"shard {first}" if len(targets) == 1 else f"shards {first} to {first + len(targets) - 1}"
    progress = Progress(f"generating {which}", rows, initial=len(kept.rows))
    tokens, settled = 0, 0
    for member in range(record.members):
        numbers = [n for n in sorted(kept.wanted - kept.rows.keys()) if record.member_of(n) == member]
        if not numbers:
            continue
        folder = str(member_folder(generator, member))
        model = load_causal_lm(folder).to(place).eval()
        start, end = boundary_tokens(model.config, tokenizer, folder)
        sampler = Sampler(model, start, end, tokenizer.all_special_ids, settings, record.two_pass)
        prompts = prompter.prompts(numbers, sampler.context)
        with kept.saved():
            for row in sampler.sample(numbers, [prompts[number].tokens for number in numbers]):
                kept.add(replace(row, tokens=prompts[row.number].words + row.tokens))
                tokens += len(row.tokens)
                progress.update(1, f"{tokens:,} tokens")
        settled += sampler.settled
    for shard, target in enumerate(targets, first):
        own = range(shard * shard_rows, (shard + 1) * shard_rows)
        table, counts = shard_table([kept.rows[number] for number in own], tokenizer)
        write_parquet(target, table, provenance(shard), {"finish_counts": counts})
        log.info("%s: %s", target, counts)
    kept.work.mark_finished()
    log.info("%d tokens in %s on %s, %d settled in float64", tokens, precision, made_by.get("device", "a CPU"), settled)


def generate_shard(
    generator: Path,
    target: Path,
    settings: Sampling,
    shard: int,
    shard_rows: int,
    threads: int = 1,
    train: Path | None = None,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Generate one shard, number ``shard``, as ``generate_shards``."""
    generate_shards(generator, [target], settings, shard, shard_rows, threads, train, work, device)


def shard_table(rows: Sequence[Row], tokenizer: Any) -> tuple[pa.Table, dict[str, int]]:
    """Decode rows into the shard's columns, and count how they finished."""
    # Bytes of a character that was cut in two decode to U+FFFD.
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
