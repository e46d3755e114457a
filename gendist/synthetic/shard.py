"""Generate one shard of a pool and write it as Parquet."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from gendist import devices
from gendist.artifacts import Provenance, hash_file, hash_folder, write_parquet
from gendist.generator.finetune import boundary_tokens
from gendist.generator.folder import member_folder, read_record
from gendist.models import load_causal_lm, load_tokenizer
from gendist.progress import Progress
from gendist.resume.stamp import stamp_of
from gendist.resume.work import WorkFolder
from gendist.settings import Device
from gendist.synthetic.kept import KeptRows
from gendist.synthetic.prompts import Prompter
from gendist.synthetic.sampler import Sampler
from gendist.synthetic.settings import Sampling
from gendist.synthetic.slots import Row

log = logging.getLogger(__name__)


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
    """Generate rows ``shard * shard_rows`` to ``(shard + 1) * shard_rows - 1`` of the pool.

    Writes row, text, n_tokens and finish: ``stop`` (the model ended the text), ``length`` (cut at
    ``max_tokens``) or ``empty`` (no letter or digit in it; text is then empty). An empty row keeps
    its place in the pool, so that no other row shifts; distillation leaves it out. The label that
    a row was prompted with is no part of its text; real words that it starts from are.

    Args:
        generator: finetuned transformers folder.
        target: Parquet file to write.
        settings: sampling strategy and pool seed.
        shard: number of the shard, from 0.
        shard_rows: rows in a shard.
        threads: CPU threads.
        train: ``texts/train.parquet``, read only if ``settings.prompt_words``.
        work: folder of all work folders, where rows are kept until the shard is whole; None keeps none.
        device: where to compute; a GPU is claimed until this process ends.

    Raises:
        GendistError: if the generator is incomplete, or the training texts are missing or of other labels.
    """
    place = devices.prepare(threads, settings.seed, device)
    record = read_record(generator)
    tokenizer = load_tokenizer(str(generator))
    if settings.precision == "auto":
        settings = settings.model_copy(update={"precision": "int8" if record.int8 else "float32"})
    prompter = Prompter(tokenizer, record, settings, train)
    inputs = {"generator": hash_folder(generator)}
    if train is not None and settings.prompt_words:
        inputs["train"] = hash_file(train)
    provenance = Provenance(
        "synthetic",
        inputs,
        # The batch size is left out: it has no influence on the rows.
        {**settings.model_dump(mode="json", exclude={"batch_size"}), "shard": shard, "shard_rows": shard_rows},
        settings.seed,
    )
    kept = KeptRows(
        WorkFolder(work, target, stamp_of(provenance, __file__)), range(shard * shard_rows, (shard + 1) * shard_rows)
    )
    if kept.rows:
        log.info("going on from row %d of %d", len(kept.rows), shard_rows)
    progress = Progress(f"generating shard {shard}", shard_rows, before=len(kept.rows))
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
                progress.add(1, f"{tokens:,} tokens")
        settled += sampler.settled
    table, counts = shard_table([kept.rows[number] for number in sorted(kept.rows)], tokenizer)
    write_parquet(target, table, provenance, {"finish_counts": counts})
    kept.work.finish()
    log.info("%s: %s; %d of %d tokens settled in float64", target, counts, settled, tokens)


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
