"""Export the chosen student to a folder for prediction without PyTorch."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gendist import __version__
from gendist.io.atomic_files import model_folder, write_bytes
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import Provenance, hash_file
from gendist.nn import devices
from gendist.predict.cached_tokenizer import CachedTokenizer
from gendist.predict.exported_model import DESCRIPTION, FLOAT32, FORMAT, INT8, LOOKUP_WEIGHTS, TOKENIZER
from gendist.stages.export.check_parity import check_parity
from gendist.stages.export.lookup_weights import lookup_weights
from gendist.stages.export.onnx_network import quantize_weights, serialise, to_onnx
from gendist.stages.export.require_tokenizer import require_tokenizer
from gendist.stages.students.distil_student import encode_pieces, load_student
from gendist.stages.students.subwords import load_subwords
from gendist.stages.students.train_student import predict_student
from gendist.stages.texts.text_tables import read_texts

log = logging.getLogger(__name__)

HELD_OUT_KEYS = ("rows", "accuracy", "standard_error", "nll", "nll_calibrated", "ece", "ece_calibrated")
RUN_KEYS = ("dataset", "system", "student", "regime", "variant", "n_synthetic", "seed")


def chosen_index(choice: Path, runs: Sequence[Mapping[str, Any]]) -> int:
    """Return the index of the chosen run in ``runs``, which are the names in their paths."""
    chosen = read_json(choice)["chosen"]
    return next(i for i, run in enumerate(runs) if all(chosen[name] == value for name, value in run.items()))


def export_student(
    target: Path,
    *,
    choice: Path,
    run: Path,
    test: Path,
    embeddings: Path,
    text: Mapping[str, Any],
    threads: int = 1,
) -> None:
    """Write the chosen run as ``model.onnx``, ``model.int8.onnx``, ``tokenizer.json`` and ``gendist-model.json``.

    Kim students also get ``look-up.safetensors``, for faster prediction.

    Args:
        target: folder to write.
        choice: output of ``choose_student``.
        run: folder of the chosen run.
        test: test rows for ``check_parity``.
        embeddings: folder of the run's subword tokenizer and vectors.
        text: text ``columns`` and the ``separator`` that joins them.
        threads: CPU threads.

    Raises:
        GendistError: if the network or its tokenizer cannot be exported, or its predictions change.
    """
    chosen = read_json(choice)["chosen"]
    devices.prepare(threads, 0)
    tokenizer = require_tokenizer(embeddings)
    subwords = load_subwords(embeddings)
    network, run_description = load_student(run, subwords)
    model = to_onnx(network)
    contents = {FLOAT32: serialise(model), INT8: serialise(quantize_weights(model)), TOKENIZER: tokenizer}
    if (look_up := lookup_weights(network)) is not None:
        contents[LOOKUP_WEIGHTS] = look_up
    inputs = {"choice": hash_file(choice), "test": hash_file(test)}
    inputs |= {name: hash_file(run / name) for name in ("model.safetensors", "student.json")}
    with model_folder(target, Provenance("export", inputs, run_description["student"], chosen["seed"])) as folder:
        for name, content in contents.items():
            write_bytes(folder / name, content)
        description: dict[str, Any] = {
            "format": FORMAT,
            "gendist": __version__,
            "labels": run_description["label_names"],
            "max_pieces": run_description["max_pieces"],
            "temperature": chosen["temperature"],
            "text": dict(text),
            "architecture": run_description["student"]["architecture"],
            "chosen": {name: chosen[name] for name in RUN_KEYS},
            "held_out": {name: chosen[name] for name in HELD_OUT_KEYS},
            "bytes": {name: len(content) for name, content in contents.items()},
            "files": {name: hash_file(folder / name) for name in contents},
        }
        write_json(folder / DESCRIPTION, description)
        test_rows = read_texts(test)
        # Prediction treats texts without known pieces as empty: do the same here.
        max_pieces, encoder = run_description["max_pieces"], CachedTokenizer(tokenizer.decode())
        known = [
            encoder.has_known_piece(ids[:max_pieces])
            for ids in encoder.encode([text.strip() for text in test_rows.texts])
        ]
        texts = [text if is_known else "" for text, is_known in zip(test_rows.texts, known, strict=True)]
        logits = predict_student(network, encode_pieces(subwords, texts, max_pieces))
        figures = check_parity(folder, test_rows, logits, look_up is not None)
        write_json(folder / DESCRIPTION, {**description, "test": figures})
    accuracies = ", ".join(f"{name} {figures[name]['accuracy']:.4f}" for name in ("pytorch", "float32", "int8"))
    log.info("%s: %s; accuracy on the test rows: %s", target, chosen["system"], accuracies)
