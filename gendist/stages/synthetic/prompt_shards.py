"""Generate shards of a pool by prompting a chat model, on this machine or behind a server, without finetuning."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from gendist.config.base_settings import Device
from gendist.config.generator_settings import Generator
from gendist.config.prompting_settings import Endpoint
from gendist.config.sampling_settings import Sampling
from gendist.io.json_files import write_json
from gendist.io.parquet import write_parquet
from gendist.io.provenance import Provenance, hash_file
from gendist.jobs import stop_signals
from gendist.jobs.progress_log import Progress
from gendist.jobs.work_folder import WorkFolder
from gendist.jobs.work_stamp import make_stamp
from gendist.nn import devices
from gendist.nn.pretrained import content_hash, describe
from gendist.stages.generator.generator_folder import KEY, GeneratorRecord
from gendist.stages.synthetic.answer_store import FOLDER, AnswerStore, hash_request
from gendist.stages.synthetic.chat_answers import FINISH, Answer, judge_answer
from gendist.stages.synthetic.chat_model import ChatModel
from gendist.stages.synthetic.chat_prompts import ChatPrompt, ChatPrompts
from gendist.stages.synthetic.endpoint_client import EndpointClient
from gendist.stages.synthetic.endpoint_pool import Request, ask_all
from gendist.stages.synthetic.saved_rows import SavedRows
from gendist.stages.texts.text_tables import read_texts

log = logging.getLogger(__name__)

BEHIND_ENDPOINT = "behind an endpoint"
"""Origin of a model whose weights are not known."""


@dataclass(frozen=True)
class PromptedShards:
    """The shards that one job writes."""

    targets: Sequence[Path]
    """Parquet file of each shard."""
    first_shard: int
    shard_rows: int

    @property
    def numbers(self) -> range:
        """Numbers of their rows in the pool."""
        first = self.first_shard * self.shard_rows
        return range(first, first + len(self.targets) * self.shard_rows)


@dataclass(frozen=True)
class _Answers:
    """Answers of all rows, with the prompts that they answer."""

    by_row: Mapping[int, Answer]
    prompts: Mapping[int, ChatPrompt]
    instructions: Sequence[str]
    """The prompt of each class without examples."""
    work: WorkFolder | None = None
    """Folder for the rows of an interrupted job."""


def prepare_prompts(train: Path, target: Path, settings: Generator) -> None:
    """Write the record of a prompted generator: the classes in whose order rows are requested, and its settings.

    Args:
        train: ``texts/train.parquet``.
        target: ``config.json`` of the generator's folder; ``gendist.json`` is written next to it.
        settings: the generator.
    """
    record = GeneratorRecord(label_names=tuple(read_texts(train).label_names))
    write_json(target, {KEY: record.model_dump(mode="json")})
    provenance = Provenance(
        "generator", {"train": hash_file(train)}, _recorded(settings), None, _source_models(settings)
    )
    provenance.to_file(target.parent)


def generate_prompted_shards(
    shards: PromptedShards,
    settings: Generator,
    sampling: Sampling,
    *,
    train: Path,
    threads: int = 1,
    work: Path | None = None,
    device: Device = "auto",
) -> None:
    """Generate shards with the columns of ``generate_shards``; ``finish`` is one of ``answers.FINISH``.

    The prompt of row i depends on (pool seed, i) alone. A model on this machine then gives row i the same tokens for
    any shards and batches. A server gets a seed for each row, which it may ignore; its answers are kept beside the
    shards (``AnswerStore``).

    Args:
        shards: files to write.
        settings: a generator with ``instruct`` or ``endpoint``.
        sampling: sampling strategy and pool seed.
        train: ``texts/train.parquet``.
        threads: number of CPU threads.
        work: root of all work folders, for a model on this machine; None to save nothing.
        device: device choice of a model on this machine.

    Raises:
        GendistError: if the model cannot be used, or the server does not answer.
    """
    prompts = ChatPrompts(train, settings.prompting, sampling.seed)
    inputs, sources = {"train": hash_file(train)}, _source_models(settings)
    recorded = {"sampling": sampling.model_dump(mode="json"), **_recorded(settings)}
    if settings.endpoint is not None:
        for key in ("precision", "batch_size", "prompt_words"):
            del recorded["sampling"][key]
        answers = _ask_endpoint(settings.endpoint, prompts, sampling, shards)
    else:
        torch_device = devices.prepare(threads, sampling.seed, device)
        model = ChatModel(settings, sampling, torch_device)
        recorded["sampling"]["precision"] = model.precision
        recorded["weights"] = "bf16" if model.dtype == torch.bfloat16 else "float32"
        if torch_device.type == "cuda":
            recorded["device"] = torch.cuda.get_device_name(torch_device)
        else:
            del recorded["sampling"]["batch_size"]  # on a CPU, rows do not depend on it
        answers = _sample_model(model, prompts, shards, recorded, inputs=inputs, work=work)
    for shard, target in enumerate(shards.targets, shards.first_shard):
        numbers = range(shard * shards.shard_rows, (shard + 1) * shards.shard_rows)
        table, counts = _table(answers, numbers)
        values = {**recorded, "shard_rows": shards.shard_rows, "shard": shard}
        provenance = Provenance("synthetic", inputs, values, sampling.seed, sources)
        write_parquet(
            target, table, provenance, {"finish_counts": counts, "usage": _count_tokens(answers.by_row, numbers)}
        )
        log.info("%s: %s", target, counts)
    if answers.work is not None:
        answers.work.mark_finished()


def _recorded(settings: Generator) -> dict[str, Any]:
    return {key: value for key, value in settings.requested.items() if key != "model"}  # in the source models


def _source_models(settings: Generator) -> dict[str, str]:
    """Return the model's provenance."""
    if settings.endpoint is not None:
        return {settings.endpoint.model: BEHIND_ENDPOINT}
    return describe(settings.model, settings.revision)


def _count_tokens(answers: Mapping[int, Answer], numbers: Sequence[int]) -> dict[str, int]:
    """Return the tokens of prompts and answers of some rows, as far as they are known, and the rows without a count."""
    rows = [answers[number] for number in numbers]
    return {
        "prompt_tokens": sum(row.prompt_tokens or 0 for row in rows),
        "completion_tokens": sum(row.completion_tokens or 0 for row in rows),
        "rows_without_count": sum(row.completion_tokens is None or row.prompt_tokens is None for row in rows),
    }


def _sample_model(
    model: ChatModel,
    prompts: ChatPrompts,
    shards: PromptedShards,
    recorded: Mapping[str, Any],
    *,
    inputs: Mapping[str, str],
    work: Path | None,
) -> _Answers:
    """Generate the rows on this machine, continuing what an interrupted job has saved."""
    settings, numbers = model.settings, shards.numbers
    provenance = Provenance("synthetic", inputs, recorded, model.sampling.seed)
    weights = content_hash(settings.model, settings.revision)
    stamp = make_stamp(provenance, __file__, shards=len(shards.targets), model=weights)
    saved = SavedRows(WorkFolder(work, shards.targets[0], stamp), numbers)
    if saved.rows:
        log.info("resuming from row %d of %d", len(saved.rows), len(numbers))
    built = {number: model.prompt(prompts, number) for number in numbers}
    missing = [number for number in numbers if number not in saved.rows]
    progress = Progress(f"generating shard {shards.first_shard}", len(numbers), initial=len(saved.rows))
    with saved.save_on_exit():
        for row in model.sample(missing, [built[number][1] for number in missing]):
            saved.add(row)
            progress.update(1)
    answers = {number: model.answer(saved.rows[number], len(built[number][1])) for number in numbers}
    shown = {number: prompt for number, (prompt, _) in built.items()}
    return _Answers(answers, shown, _instructions(prompts), saved.work)


def _ask_endpoint(settings: Endpoint, prompts: ChatPrompts, sampling: Sampling, shards: PromptedShards) -> _Answers:
    """Ask the server for the rows that it has not answered yet."""
    numbers, built = shards.numbers, {number: prompts.prompt(number) for number in shards.numbers}
    requests = []
    for number in numbers:
        body = request_body(settings, sampling, built[number].text, prompts.row_seed(number))
        requests.append(Request(number, body, hash_request(settings.url, body)))
    store = AnswerStore(shards.targets[0].parent / FOLDER, shards.targets[0].stem)
    missing = [request for request in requests if store.get(request.key) is None]
    if len(missing) < len(requests):
        log.info("%d of %d rows are answered already", len(requests) - len(missing), len(requests))
    if missing:
        client = EndpointClient(settings)
        progress = Progress(f"asking {settings.model}", len(requests), initial=len(requests) - len(missing))
        with stop_signals.defer_stop():
            for request, answer in ask_all(client, missing):
                store.add(request.key, answer)
                progress.update(1)
    answers = {request.number: found for request in requests if (found := store.get(request.key)) is not None}
    return _Answers(answers, built, _instructions(prompts))


def request_body(settings: Endpoint, sampling: Sampling, text: str, seed: int) -> dict[str, Any]:
    """Return the body of a request."""
    body: dict[str, Any] = {
        "model": settings.model,
        "messages": [{"role": "user", "content": text}],
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        settings.token_limit: sampling.max_tokens,
        "seed": seed,
    }
    if sampling.top_k:  # not OpenAI's, but vLLM's, llama.cpp's and Ollama's
        body["top_k"] = sampling.top_k
    return body | settings.body


def _instructions(prompts: ChatPrompts) -> list[str]:
    return [prompts.prompt(label, 0).text for label in range(len(prompts.label_names))]


def _table(answers: _Answers, numbers: Sequence[int]) -> tuple[pa.Table, dict[str, int]]:
    """Return the shard's columns, and the number of rows by ``finish``."""
    judged = []
    for number in numbers:
        prompt = answers.prompts[number]
        judged.append(judge_answer(answers.by_row[number], prompt, answers.instructions[prompt.label]))
    texts, finish = [text for text, _ in judged], [kind for _, kind in judged]
    lengths = [answers.by_row[number].completion_tokens for number in numbers]
    known = [len(text.split()) if n is None else n for n, text in zip(lengths, texts, strict=True)]
    table = pa.table(
        {
            "row": pa.array(numbers, pa.int64()),
            "text": pa.array(texts, pa.string()),
            "n_tokens": pa.array(known, pa.int32()),
            "finish": pa.array(finish, pa.string()),
        }
    )
    counts = Counter(finish)
    return table, {kind: counts[kind] for kind in FINISH}
