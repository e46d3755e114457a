"""Static embeddings of an encoder (Tulkens and van Dongen 2024, Model2Vec) and logistic regression over them.

The encoder is run over each piece of its vocabulary once; what a text costs afterwards is a look-up and a mean.
The library's own classifier needs its ``train`` extra, and with it lightning; a linear one is enough here.
"""

import io
import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder, write_tensors
from gendist.io.json_files import read_json, write_json
from gendist.io.provenance import Provenance, hash_file, hash_folder
from gendist.nn import devices
from gendist.stages.baselines.head import HEAD, REGRESSION, fit_head, load_head
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.runs import RunMetadata, write_run
from gendist.stages.texts.tables import read_texts

WIDTH = 256
"""The library's default: principal components that are kept."""
STATIC_FILES = ("config.json", "model.safetensors", "tokenizer.json")
MISSING = "system 'model2vec' needs an extra: pip install 'gendist[model2vec]'"


def distil_static(target: Path, model: str = "minilm", width: int | None = WIDTH, threads: int = 1) -> None:
    """Write the static embeddings of an encoder: the same for every dataset.

    Args:
        target: folder to write.
        model: the encoder: embedded, or a transformers folder.
        width: principal components to keep; None keeps the encoder's own width.
        threads: CPU threads.

    Raises:
        GendistError: if the library is missing or the encoder cannot be loaded.
    """
    from gendist.nn.pretrained import describe, load_encoder, load_tokenizer  # transformers, for this step alone

    try:
        from model2vec.distill import distill_from_model
    except ImportError:
        raise GendistError(MISSING) from None
    devices.prepare(threads, 0)
    encoder = load_encoder(model).encoder
    with redirect_stderr(io.StringIO()):  # its progress bar
        static = distill_from_model(encoder, load_tokenizer(model), device="cpu", pca_dims=width)
    source = describe(model, None)
    provenance = Provenance("baselines", settings={"width": width}, source_models=source)
    # Not written and read by the library's own functions, which leave files open. What is written is its format.
    # The encoder's path, of this machine, is left out.
    config = static.config | {"tokenizer_name": next(iter(source)), "embedding_dtype": static.embedding_dtype}
    tensors = {"embeddings": torch.from_numpy(static.embedding), "weights": torch.from_numpy(static.weights)}
    with model_folder(target, provenance) as folder:
        write_tensors(folder / "model.safetensors", tensors)
        static.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write_json(folder / "config.json", config)


def fit_model2vec(train: Path, test: Path, static: Path, folder: Path, dataset: str) -> None:
    """Fit on the training rows, predict the test rows and write the run and its classifier.

    The run has no seed: nothing in it is random. Its parameters are the embeddings' and the classifier's.

    Args:
        train: texts file to learn from.
        test: texts file to predict.
        static: folder from ``distil_static``.
        folder: run folder to write.
        dataset: the dataset's name in the tables.

    Raises:
        GendistError: if the library or a file is missing, or the training rows are of one class only.
    """
    rows, unseen = read_texts(train), read_texts(test)
    embeddings = load_static(static)
    began = time.perf_counter()
    head = fit_head(embed(embeddings, rows.texts), rows.labels, len(rows.label_names), train)
    seconds = time.perf_counter() - began
    logits = head.logits(embed(embeddings, unseen.texts))
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test), "static": hash_folder(static)},
        settings={"regression": dict(REGRESSION)},
    )
    head.save(folder / HEAD, provenance)
    n_parameters = int(embeddings.embedding.size) + head.n_parameters
    row = RunMetadata(dataset=dataset, system="model2vec", n_real=len(rows.texts), n_parameters=n_parameters)
    write_run(folder, row, unseen.ids, unseen.labels, logits.argmax(1), logits, provenance, seconds)


def load_model2vec(folder: Path, static: Path) -> Predictor:
    """Load the classifier of a run folder onto its static embeddings."""
    embeddings, head = load_static(static), load_head(folder / HEAD)
    files = [folder / HEAD, *(static / name for name in STATIC_FILES)]
    return Predictor(lambda texts: head.logits(embed(embeddings, texts)).argmax(1), files, "model2vec")


def load_static(folder: Path) -> Any:
    """Read the static embeddings that ``distil_static`` wrote: the library's ``StaticModel``.

    Raises:
        GendistError: if the library is missing, or the folder holds no embeddings or damaged ones.
    """
    try:
        from model2vec import StaticModel
    except ImportError:
        raise GendistError(MISSING) from None
    if not (folder / "model.safetensors").is_file():
        raise GendistError(f"{folder}: no static embeddings there")
    config = read_json(folder / "config.json")
    try:
        tensors = load_file(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return StaticModel(tensors["embeddings"], tokenizer, config, weights=tensors["weights"])
    except Exception as error:  # the tokenizer's library raises nothing narrower
        reason = str(error).splitlines()[0]
        raise GendistError(f"{folder}: static embeddings are damaged ({reason}); delete it and run again") from None


def embed(embeddings: Any, texts: Sequence[str]) -> np.ndarray:
    """Return the mean of each text's pieces, made a unit vector: float32 (texts, width).

    Args:
        embeddings: from ``load_static``.
        texts: any; one without a known piece becomes zeros.
    """
    vectors: np.ndarray = embeddings.encode(list(texts), use_multiprocessing=False).astype(np.float32)
    return vectors
