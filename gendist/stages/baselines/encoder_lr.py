"""A frozen sentence encoder and logistic regression over its embeddings: the usual first thing to try."""

import time
from pathlib import Path

from gendist.io.provenance import Provenance, hash_file
from gendist.nn import devices
from gendist.nn.pretrained import MINILM, describe
from gendist.stages.baselines.encoder import MAX_TOKENS, Encoder, encoder_predictor
from gendist.stages.baselines.head import HEAD, REGRESSION, fit_head, load_head
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.runs import RunMetadata, write_run
from gendist.stages.texts.tables import read_texts


def fit_encoder_lr(train: Path, test: Path, folder: Path, dataset: str, model: str = MINILM, threads: int = 1) -> None:
    """Fit on the training rows, predict the test rows and write the run and its classifier.

    The run has no seed: nothing in it is random. Its parameters are the encoder's and the classifier's.

    Args:
        train: texts file to learn from.
        test: texts file to predict.
        folder: run folder to write.
        dataset: the dataset's name in the tables.
        model: the encoder: embedded, or a transformers folder.
        threads: CPU threads.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows are of one class only.
    """
    devices.prepare(threads, 0)
    rows, unseen = read_texts(train), read_texts(test)
    began = time.perf_counter()
    encoder = Encoder(model)
    head = fit_head(encoder.embed(rows.texts), rows.labels, len(rows.label_names), train)
    seconds = time.perf_counter() - began
    logits = head.logits(encoder.embed(unseen.texts))
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test)},
        settings={"max_tokens": MAX_TOKENS, "regression": dict(REGRESSION)},
        source_models=describe(model, None),
    )
    head.save(folder / HEAD, provenance)
    n_parameters = encoder.n_parameters + head.n_parameters
    row = RunMetadata(dataset=dataset, system="encoder-lr", n_real=len(rows.texts), n_parameters=n_parameters)
    write_run(folder, row, unseen.ids, unseen.labels, logits.argmax(1), logits, provenance, seconds)


def load_encoder_lr(folder: Path, model: str = MINILM) -> Predictor:
    """Load the classifier of a run folder onto its encoder, on one thread."""
    devices.prepare(1, 0)
    return encoder_predictor(Encoder(model), load_head(folder / HEAD), folder / HEAD)
