"""The chosen student as a folder that predicts without PyTorch."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gendist import __version__
from gendist.io.files import read_json, write_bytes, write_json
from gendist.io.folders import model_folder
from gendist.io.provenance import Provenance, hash_file
from gendist.nn import devices
from gendist.predict.cached_tokenizer import CachedTokenizer
from gendist.predict.exported_model import DESCRIPTION, FLOAT32, FORMAT, INT8, LOOKUP_WEIGHTS, TOKENIZER
from gendist.stages.export.look_up import look_up_weights
from gendist.stages.export.network import serialised, to_int8, to_onnx
from gendist.stages.export.parity import parity
from gendist.stages.export.tokenizer import require_tokenizer
from gendist.stages.students.run import encode, load_student
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train import student_logits
from gendist.stages.texts.tables import read_texts

log = logging.getLogger(__name__)

RANKED = ("rows", "accuracy", "standard_error", "nll", "nll_calibrated", "ece", "ece_calibrated")
NAMES = ("dataset", "system", "student", "regime", "variant", "n_synthetic", "seed")


def chosen_place(choice: Path, runs: Sequence[Mapping[str, Any]]) -> int:
    """Return which of ``runs``, given by the names in their paths, was chosen."""
    chosen = read_json(choice)["chosen"]
    return next(i for i, run in enumerate(runs) if all(chosen[name] == value for name, value in run.items()))


def export_student(
    target: Path,
    choice: Path,
    run: Path,
    test: Path,
    embeddings: Path,
    text: Mapping[str, Any],
    threads: int = 1,
) -> None:
    """Write the chosen run as ``model.onnx``, ``model.int8.onnx``, ``tokenizer.json`` and ``gendist-model.json``.

    Kim's weights come as ``look-up.safetensors`` as well, for faster predictions.

    Args:
        target: folder to write.
        choice: from ``choose_student``.
        run: folder of the chosen run.
        test: test rows, on which the files are compared with the network in PyTorch.
        embeddings: folder of the run's subword tokenizer and vectors.
        text: ``columns`` of which the texts were made, and the ``separator`` between them.
        threads: CPU threads.

    Raises:
        GendistError: if the network or its tokenizer cannot be exported, or predicts otherwise afterwards.
    """
    chosen = read_json(choice)["chosen"]
    devices.prepare(threads, 0)
    tokenizer = require_tokenizer(embeddings)
    subwords = load_subwords(embeddings)
    network, described = load_student(run, subwords)
    model = to_onnx(network)
    contents = {FLOAT32: serialised(model), INT8: serialised(to_int8(model)), TOKENIZER: tokenizer}
    if (look_up := look_up_weights(network)) is not None:
        contents[LOOKUP_WEIGHTS] = look_up
    inputs = {"choice": hash_file(choice), "test": hash_file(test)}
    inputs |= {name: hash_file(run / name) for name in ("model.safetensors", "student.json")}
    with model_folder(target, Provenance("export", inputs, described["student"], chosen["seed"])) as folder:
        for name, content in contents.items():
            write_bytes(folder / name, content)
        description: dict[str, Any] = {
            "format": FORMAT,
            "gendist": __version__,
            "labels": described["label_names"],
            "max_pieces": described["max_pieces"],
            "temperature": chosen["temperature"],
            "text": dict(text),
            "architecture": described["student"]["architecture"],
            "chosen": {name: chosen[name] for name in NAMES},
            "held_out": {name: chosen[name] for name in RANKED},
            "bytes": {name: len(content) for name, content in contents.items()},
            "files": {name: hash_file(folder / name) for name in contents},
        }
        write_json(folder / DESCRIPTION, description)
        tested = read_texts(test)
        # A prediction takes a text without any known piece for the empty one; so does what it is compared with.
        longest, encoder = described["max_pieces"], CachedTokenizer(tokenizer.decode())
        known = [
            encoder.has_known_piece(ids[:longest]) for ids in encoder.encode([text.strip() for text in tested.texts])
        ]
        texts = [text if is_known else "" for text, is_known in zip(tested.texts, known, strict=True)]
        logits = student_logits(network, encode(subwords, texts, longest))
        figures = parity(folder, tested, logits, look_up is not None)
        write_json(folder / DESCRIPTION, {**description, "test": figures})
    shown = ", ".join(f"{name} {figures[name]['accuracy']:.4f}" for name in ("pytorch", "float32", "int8"))
    log.info("%s: %s; accuracy on the test rows: %s", target, chosen["system"], shown)
