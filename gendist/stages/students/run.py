"""One student run: assemble the rows, train, evaluate on the test rows, save."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gendist.config.base_settings import Device
from gendist.config.student_settings import Student, Training
from gendist.errors import GendistError
from gendist.io.atomic_files import write_tensors
from gendist.io.checksums import verify_tensors
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import PROVENANCE_KEY, Provenance, hash_file, hash_folder
from gendist.naming import WITH_UNLABELLED, RunKey
from gendist.nn import devices
from gendist.stages.evaluation.runs import RunMetadata, write_run
from gendist.stages.students.architectures import build
from gendist.stages.students.data import Synthetic, Unlabelled, training_rows
from gendist.stages.students.filters import selection_of
from gendist.stages.students.general import build_untrained, general_start
from gendist.stages.students.pieces import Pieces
from gendist.stages.students.seeds import device_for, fitted_seeds, logits_of_seeds
from gendist.stages.students.subwords import Subwords, load_subwords
from gendist.stages.synthetic.pool import BATCH
from gendist.stages.texts.tables import read_texts, read_unlabelled

log = logging.getLogger(__name__)


def student_metadata(key: RunKey) -> RunMetadata:
    """Return the tidy row of a run from the names in its path."""
    names, count = key.names, key.n_synthetic
    return RunMetadata(
        dataset=key.dataset,
        system=key.system,
        n_real=0,
        student=key.student,
        regime=key.regime,
        generator=names.generator,
        sampling=names.sampling,
        teacher=names.teacher,
        n_synthetic=0 if key.regime == "unlabelled" else count,
        n_unlabelled=count if key.regime == "unlabelled" else None,
        seed=key.seed,
        variant=key.variant,
    )


def distil_seeds(
    folders: Mapping[int, Path],
    row: RunMetadata,
    train: Path,
    test: Path,
    embeddings: Path,
    student: Student,
    training: Training,
    train_logits: Path | None = None,
    synthetic: Synthetic | None = None,
    threads: int = 1,
    device: Device = "cpu",
    unlabelled: Unlabelled | None = None,
) -> None:
    """Train one student with several seeds and write their folders: weights, metrics and predictions.

    On a GPU they are trained side by side. On a CPU, where that is slower, one after the other, as are networks
    that cannot be stacked; each then has the bytes that it would have alone. The test rows are read only
    after the training has ended.

    Args:
        folders: run folder to fill, by seed.
        row: from ``student_metadata``; seed and the numbers of real rows and parameters are filled in.
        train: real rows.
        test: test rows.
        embeddings: folder with the subword tokenizer and vectors.
        student: network.
        training: schedule.
        train_logits: teacher logits of the labelled rows (dist, gendist, unlabelled, gendist-unlabelled).
        synthetic: shards and their logits (gendist, synthetic, hard, gendist-unlabelled).
        threads: CPU threads.
        device: where to compute.
        unlabelled: real rows without labels, and their logits (unlabelled, gendist-unlabelled).
    """
    began = time.monotonic()
    place = devices.prepare(threads, 0, device)
    real = read_texts(train)
    subwords = load_subwords(embeddings)
    regime = row.regime or "scratch"
    selection = selection_of(row.variant, training)
    rows = training_rows(regime, real, train_logits, synthetic, selection, unlabelled)
    build_one = partial(build_untrained, subwords.vectors, student, len(real.label_names))
    place = device_for(build_one, place)
    encoded = encode(subwords, rows.texts, training.max_pieces)
    networks = fitted_seeds(build_one, encoded, rows, student, training, list(folders), place)
    seconds = (time.monotonic() - began) / len(folders)  # of seeds that were trained together, each its share
    tested = read_texts(test)
    if tested.label_names != real.label_names:
        raise GendistError(f"{test}: label names differ from those of {train}")
    scores = logits_of_seeds(networks, encode(subwords, tested.texts, training.max_pieces), place)
    files = {"train": train, "test": test, **general_start(student)}
    hashes = input_hashes(files, embeddings, train_logits, synthetic, unlabelled)
    described = {"student": student.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    counts = {"real": rows.n_real, "synthetic": len(rows.texts) - rows.n_real}
    if regime in WITH_UNLABELLED and unlabelled is not None:
        count = len(read_unlabelled(unlabelled.texts)[0]) if unlabelled.count is None else unlabelled.count
        counts = {**counts, "synthetic": counts["synthetic"] - count, "unlabelled": count}
        row = replace(row, n_unlabelled=count)
    n_parameters = sum(p.numel() for p in networks[0].parameters())
    row = replace(row, n_real=len(real.texts) if row.regime != "synthetic" else 0, n_parameters=n_parameters)
    for (seed, folder), network, logits in zip(folders.items(), networks, scores, strict=True):
        provenance = Provenance("students", hashes, described, seed)
        save_student(folder, network, student, real.label_names, training.max_pieces, counts, provenance)
        of_seed = replace(row, seed=seed)
        metrics = write_run(folder, of_seed, tested.ids, tested.labels, logits.argmax(1), logits, provenance, seconds)
        told = f" of seed {seed}" if len(folders) > 1 else ""
        log.info("%s: accuracy %.4f%s on %d test rows", row.system, metrics["accuracy"], told, len(tested.texts))


def encode(subwords: Subwords, texts: Sequence[str], max_pieces: int) -> Pieces:
    """Tokenise and cut; a text without any known piece keeps one padding piece."""
    parts = []
    for first in range(0, len(texts), BATCH):
        encoded = subwords.encode(texts[first : first + BATCH])
        parts.append(Pieces.of([ids[:max_pieces] or [0] for ids in encoded]))
    return Pieces.joined(parts)


def save_student(
    folder: Path,
    network: torch.nn.Module,
    student: Student,
    label_names: list[str],
    max_pieces: int,
    trained_on: Mapping[str, int],
    provenance: Provenance,
) -> None:
    """Write ``model.safetensors`` and ``student.json`` (architecture, label names, cut, rows of each kind)."""
    write_tensors(folder / "model.safetensors", network.state_dict(), (PROVENANCE_KEY, provenance.to_json()))
    description = {
        "student": student.model_dump(mode="json"),
        "label_names": label_names,
        "max_pieces": max_pieces,
        "trained_on": dict(trained_on),
    }
    write_json(folder / "student.json", description)


def load_student(folder: Path, subwords: Subwords) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Read a run folder back: the network, and what ``student.json`` says of it.

    Raises:
        GendistError: if a file is missing or damaged, or the embeddings are not those of the run.
    """
    described = folder / "student.json"
    description = read_json(described)
    try:
        student, classes = Student(**description["student"]), len(description["label_names"])
    except (KeyError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise GendistError(
            f"{described}: damaged ({type(error).__name__}: {reason}); delete it and run again"
        ) from None
    network = build(subwords.vectors, student, classes)
    file = folder / "model.safetensors"
    verify_tensors(file)
    try:
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise GendistError(f"{file}: damaged, or trained with other embeddings ({reason})") from None
    return network.eval(), description


def input_hashes(
    files: Mapping[str, Path],
    embeddings: Path,
    train_logits: Path | None,
    synthetic: Synthetic | None,
    unlabelled: Unlabelled | None = None,
) -> dict[str, str]:
    """Return the hash of each file that a student was made from, by its role and number."""
    # By number: a shard and its logits bear the same file name.
    hashes = {name: hash_file(file) for name, file in files.items()} | {"embeddings": hash_folder(embeddings)}
    if train_logits:
        hashes["train_logits"] = hash_file(train_logits)
    if synthetic:
        hashes |= {f"shards/{i:05d}": hash_file(file) for i, file in enumerate(synthetic.shards)}
        hashes |= {f"shard_logits/{i:05d}": hash_file(file) for i, file in enumerate(synthetic.logits)}
        if synthetic.repeats:
            hashes["repeats"] = hash_file(synthetic.repeats)
    if unlabelled:
        hashes |= {"unlabelled": hash_file(unlabelled.texts), "unlabelled_logits": hash_file(unlabelled.logits)}
    return hashes
