"""Distil a student: assemble training rows, train, evaluate on the test rows, save."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
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
from gendist.stages.evaluation.run_folder import RunMetadata, write_run
from gendist.stages.students.architectures import build
from gendist.stages.students.initial_weights import initial_weight_files, network_builder
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.row_filters import variant_filter
from gendist.stages.students.subwords import Subwords, load_subwords
from gendist.stages.students.train_seeds import predict_seeds, train_seeds, training_device
from gendist.stages.students.training_rows import SyntheticFiles, UnlabelledFiles, assemble_training_rows
from gendist.stages.synthetic.pool_reader import POOL_BATCH_ROWS
from gendist.stages.texts.text_tables import read_texts, read_unlabelled

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
    *,
    train: Path,
    test: Path,
    embeddings: Path,
    student: Student,
    training: Training,
    train_logits: Path | None = None,
    synthetic: SyntheticFiles | None = None,
    threads: int = 1,
    device: Device = "cpu",
    unlabelled: UnlabelledFiles | None = None,
    general: UnlabelledFiles | None = None,
) -> None:
    """Train one student with several seeds and write the run folders: weights, metrics and predictions.

    Seeds train stacked on a GPU. On a CPU, and for networks that cannot be stacked, they train sequentially; the
    output of a seed then does not depend on the other seeds. Test rows are read only after the training.

    Args:
        folders: run folder of each seed.
        row: from ``student_metadata``; seed and the numbers of real rows and parameters are filled in.
        train: labelled rows.
        test: test rows.
        embeddings: folder with the subword tokenizer and vectors.
        student: architecture settings.
        training: training settings.
        train_logits: teacher logits of the labelled rows (dist, gendist, unlabelled, gendist-unlabelled).
        synthetic: shards and their logits (gendist, synthetic, hard, gendist-unlabelled).
        threads: CPU threads.
        device: device to train on.
        unlabelled: unlabelled real rows and their logits (unlabelled, gendist-unlabelled).
        general: general texts and their logits, for students with ``general_rows`` (gendist and the last two).

    Raises:
        GendistError: if an input is missing or damaged, label names differ, or training diverges.
    """
    start = time.monotonic()
    torch_device = devices.prepare(threads, 0, device)
    real = read_texts(train)
    subwords = load_subwords(embeddings)
    regime = row.regime or "scratch"
    row_filter = variant_filter(row.variant, training)
    rows = assemble_training_rows(
        regime,
        real,
        real_logits=train_logits,
        synthetic=synthetic,
        row_filter=row_filter,
        unlabelled=unlabelled,
        general=general,
        general_rows=student.general_rows,
    )
    encoded = encode_pieces(subwords, rows.texts, training.max_pieces)
    build_network = network_builder(
        subwords.vectors, student, len(real.label_names), encoded=encoded, rows=rows, training=training
    )
    torch_device = training_device(build_network, torch_device)
    networks = train_seeds(
        build_network, encoded, rows, student=student, training=training, seeds=list(folders), device=torch_device
    )
    seconds = (time.monotonic() - start) / len(folders)  # equal share of the common training time
    test_rows = read_texts(test)
    if test_rows.label_names != real.label_names:
        raise GendistError(f"{test}: label names differ from those of {train}")
    scores = predict_seeds(networks, encode_pieces(subwords, test_rows.texts, training.max_pieces), torch_device)
    files = {"train": train, "test": test, **initial_weight_files(student)}
    hashes = input_hashes(
        files, embeddings, train_logits=train_logits, synthetic=synthetic, unlabelled=unlabelled, general=general
    )
    settings = {"student": student.model_dump(mode="json"), "training": training.model_dump(mode="json")}
    counts = {"real": rows.n_real, "synthetic": len(rows.texts) - rows.n_real}
    if regime in WITH_UNLABELLED and unlabelled is not None:
        count = len(read_unlabelled(unlabelled.texts)[0]) if unlabelled.count is None else unlabelled.count
        counts = {**counts, "synthetic": counts["synthetic"] - count, "unlabelled": count}
        row = replace(row, n_unlabelled=count)
    if rows.n_general:
        counts = {**counts, "synthetic": counts["synthetic"] - rows.n_general, "general": rows.n_general}
    n_parameters = sum(p.numel() for p in networks[0].parameters())
    row = replace(row, n_real=len(real.texts) if row.regime != "synthetic" else 0, n_parameters=n_parameters)
    for (seed, folder), network, logits in zip(folders.items(), networks, scores, strict=True):
        provenance = Provenance("students", hashes, settings, seed)
        save_student(
            folder,
            network,
            student=student,
            label_names=real.label_names,
            max_pieces=training.max_pieces,
            trained_on=counts,
            provenance=provenance,
        )
        seed_row = replace(row, seed=seed)
        metrics = write_run(
            folder,
            seed_row,
            ids=test_rows.ids,
            labels=test_rows.labels,
            predicted=logits.argmax(1),
            logits=logits,
            provenance=provenance,
            train_seconds=seconds,
        )
        suffix = f" of seed {seed}" if len(folders) > 1 else ""
        log.info("%s: accuracy %.4f%s on %d test rows", row.system, metrics["accuracy"], suffix, len(test_rows.texts))


def encode_pieces(subwords: Subwords, texts: Sequence[str], max_pieces: int) -> PieceIds:
    """Tokenise and truncate; a text without known pieces becomes one padding piece."""
    parts = []
    for first in range(0, len(texts), POOL_BATCH_ROWS):
        encoded = subwords.encode(texts[first : first + POOL_BATCH_ROWS])
        parts.append(PieceIds.of([ids[:max_pieces] or [0] for ids in encoded]))
    return PieceIds.joined(parts)


def save_student(
    folder: Path,
    network: torch.nn.Module,
    *,
    student: Student,
    label_names: list[str],
    max_pieces: int,
    trained_on: Mapping[str, int],
    provenance: Provenance,
) -> None:
    """Write ``model.safetensors`` and ``student.json`` (settings, label names, truncation length, row counts)."""
    write_tensors(folder / "model.safetensors", network.state_dict(), (PROVENANCE_KEY, provenance.to_json()))
    description = {
        "student": student.model_dump(mode="json"),
        "label_names": label_names,
        "max_pieces": max_pieces,
        "trained_on": dict(trained_on),
    }
    write_json(folder / "student.json", description)


def load_student(folder: Path, subwords: Subwords) -> tuple[torch.nn.Module, dict[str, Any]]:
    """Load a run folder; returns the network (evaluation mode) and the content of ``student.json``.

    Raises:
        GendistError: if a file is missing or damaged, or the embeddings differ from those of the run.
    """
    description_file = folder / "student.json"
    description = read_json(description_file)
    try:
        student, classes = Student(**description["student"]), len(description["label_names"])
    except (KeyError, TypeError, ValueError) as error:
        reason = (str(error).splitlines() or [""])[0]
        raise GendistError(
            f"{description_file}: damaged ({type(error).__name__}: {reason}); delete it and rerun"
        ) from None
    network = build(subwords.vectors, student, classes)
    file = folder / "model.safetensors"
    verify_tensors(file)
    try:
        network.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())  # of weights that are missing or of other shapes: several lines
        raise GendistError(
            f"{file}: damaged, or trained with other embeddings or another version of gendist; delete it and rerun "
            f"({reason})"
        ) from None
    return network.eval(), description


def input_hashes(
    files: Mapping[str, Path],
    embeddings: Path,
    *,
    train_logits: Path | None,
    synthetic: SyntheticFiles | None,
    unlabelled: UnlabelledFiles | None = None,
    general: UnlabelledFiles | None = None,
) -> dict[str, str]:
    """Return the content hash of each input of a student, by role and number."""
    # Keyed by number, because a shard and its logits have the same file name.
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
    if general:
        hashes |= {"general": hash_file(general.texts), "general_logits": hash_file(general.logits)}
    return hashes
