"""Logistic regression over the embeddings of a frozen sentence encoder."""

import time
from pathlib import Path

from gendist.io.provenance import Provenance, hash_file
from gendist.nn import devices
from gendist.nn.pretrained import MINILM, describe
from gendist.stages.baselines.linear_head import HEAD_FILE, LOGISTIC_REGRESSION, fit_head, load_head
from gendist.stages.baselines.sentence_encoder import MAX_TOKENS, SentenceEncoder, encoder_predictor
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.run_folder import RunMetadata, write_run
from gendist.stages.texts.text_tables import read_texts


def fit_encoder_lr(
    train: Path, test: Path, folder: Path, dataset: str, *, model: str = MINILM, threads: int = 1
) -> None:
    """Fit on the training rows, predict the test rows and write the run folder with the classifier.

    Training is deterministic, so the run has no seed. The parameter count includes the encoder.

    Args:
        train: Parquet file of training rows.
        test: Parquet file of test rows.
        folder: run folder to write.
        dataset: name of the dataset.
        model: encoder, embedded name or transformers folder.
        threads: CPU threads.

    Raises:
        GendistError: if a file is missing or damaged, or the training rows have only one class.
    """
    devices.prepare(threads, 0)
    rows, test_rows = read_texts(train), read_texts(test)
    start = time.perf_counter()
    encoder = SentenceEncoder(model)
    head = fit_head(encoder.embed(rows.texts), rows.labels, len(rows.label_names), train)
    seconds = time.perf_counter() - start
    logits = head.logits(encoder.embed(test_rows.texts))
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test)},
        settings={"max_tokens": MAX_TOKENS, "regression": dict(LOGISTIC_REGRESSION)},
        source_models=describe(model, None),
    )
    head.save(folder / HEAD_FILE, provenance)
    n_parameters = encoder.n_parameters + head.n_parameters
    row = RunMetadata(dataset=dataset, system="encoder-lr", n_real=len(rows.texts), n_parameters=n_parameters)
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


def load_encoder_lr(folder: Path, model: str = MINILM) -> Predictor:
    """Load the encoder and the classifier of a run folder, on one thread."""
    devices.prepare(1, 0)
    return encoder_predictor(SentenceEncoder(model), load_head(folder / HEAD_FILE), folder / HEAD_FILE)
