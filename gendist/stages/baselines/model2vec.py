"""Static embeddings of an encoder (Tulkens and van Dongen 2024, Model2Vec) and logistic regression over them.

The encoder embeds each token of its vocabulary once; a text embedding is then a mean of table rows. The library's
own classifier would need its ``train`` extra with lightning.
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
from gendist.stages.baselines.linear_head import HEAD_FILE, LOGISTIC_REGRESSION, fit_head, load_head
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.run_folder import RunMetadata, write_run
from gendist.stages.texts.text_tables import read_texts

PCA_DIMENSIONS = 256
"""Number of principal components; the library's default."""
STATIC_FILES = ("config.json", "model.safetensors", "tokenizer.json")
MISSING_EXTRA = "system 'model2vec' needs an extra: pip install 'gendist[model2vec]'"


def distil_static(target: Path, model: str = "minilm", width: int | None = PCA_DIMENSIONS, threads: int = 1) -> None:
    """Distil an encoder into static embeddings, independent of the dataset.

    Args:
        target: folder to write.
        model: encoder, embedded name or transformers folder.
        width: principal components to keep; None skips the projection.
        threads: CPU threads.

    Raises:
        GendistError: if the library is missing or the encoder cannot be loaded.
    """
    from gendist.nn.pretrained import (
        describe,
        load_encoder,
        load_tokenizer,
    )  # slow import of transformers, needed only here

    try:
        from model2vec.distill import distill_from_model
    except ImportError:
        raise GendistError(MISSING_EXTRA) from None
    devices.prepare(threads, 0)
    encoder = load_encoder(model).encoder
    with redirect_stderr(io.StringIO()):  # hides the progress bar
        static = distill_from_model(encoder, load_tokenizer(model), device="cpu", pca_dims=width)
    source = describe(model, None)
    provenance = Provenance("baselines", settings={"width": width}, source_models=source)
    # Written in the library's format, but not by its own functions, which leave files open. Omits the
    # machine-specific path of the encoder.
    config = static.config | {"tokenizer_name": next(iter(source)), "embedding_dtype": static.embedding_dtype}
    tensors = {"embeddings": torch.from_numpy(static.embedding), "weights": torch.from_numpy(static.weights)}
    with model_folder(target, provenance) as folder:
        write_tensors(folder / "model.safetensors", tensors)
        static.tokenizer.save(str(folder / "tokenizer.json"), pretty=False)
        write_json(folder / "config.json", config)


def fit_model2vec(train: Path, test: Path, *, static: Path, folder: Path, dataset: str) -> None:
    """Fit on the training rows, predict the test rows and write the run folder with the classifier.

    Training is deterministic, so the run has no seed. The parameter count includes the embeddings.

    Args:
        train: Parquet file of training rows.
        test: Parquet file of test rows.
        static: folder from ``distil_static``.
        folder: run folder to write.
        dataset: name of the dataset.

    Raises:
        GendistError: if the library or a file is missing, or the training rows have only one class.
    """
    rows, test_rows = read_texts(train), read_texts(test)
    embeddings = load_static(static)
    start = time.perf_counter()
    head = fit_head(embed(embeddings, rows.texts), rows.labels, len(rows.label_names), train)
    seconds = time.perf_counter() - start
    logits = head.logits(embed(embeddings, test_rows.texts))
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test), "static": hash_folder(static)},
        settings={"regression": dict(LOGISTIC_REGRESSION)},
    )
    head.save(folder / HEAD_FILE, provenance)
    n_parameters = int(embeddings.embedding.size) + head.n_parameters
    row = RunMetadata(dataset=dataset, system="model2vec", n_real=len(rows.texts), n_parameters=n_parameters)
    write_run(
        folder,
        row,
        ids=test_rows.ids,
        labels=test_rows.labels,
        predicted=logits.argmax(1),
        logits=logits,
        provenance=provenance,
        train_seconds=seconds,
    )


def load_model2vec(folder: Path, static: Path) -> Predictor:
    """Load the classifier of a run folder and its static embeddings."""
    embeddings, head = load_static(static), load_head(folder / HEAD_FILE)
    files = [folder / HEAD_FILE, *(static / name for name in STATIC_FILES)]
    return Predictor(lambda texts: head.logits(embed(embeddings, texts)).argmax(1), files, "model2vec")


def load_static(folder: Path) -> Any:
    """Load the output of ``distil_static`` as a ``StaticModel``.

    Raises:
        GendistError: if the library is missing, or the embeddings are missing or damaged.
    """
    try:
        from model2vec import StaticModel
    except ImportError:
        raise GendistError(MISSING_EXTRA) from None
    if not (folder / "model.safetensors").is_file():
        raise GendistError(f"{folder}: no static embeddings")
    config = read_json(folder / "config.json")
    try:
        tensors = load_file(folder / "model.safetensors")
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        return StaticModel(tensors["embeddings"], tokenizer, config, weights=tensors["weights"])
    except Exception as error:  # tokenizers raises plain Exception
        reason = str(error).splitlines()[0]
        raise GendistError(f"{folder}: static embeddings are damaged ({reason}); delete it and rerun") from None


def embed(embeddings: Any, texts: Sequence[str]) -> np.ndarray:
    """Return the normalised mean embedding of each text, float32 (texts, width).

    Args:
        embeddings: from ``load_static``.
        texts: texts to embed; those without known tokens become zeros.
    """
    vectors: np.ndarray = embeddings.encode(list(texts), use_multiprocessing=False).astype(np.float32)
    return vectors
