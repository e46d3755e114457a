"""SetFit (Tunstall et al. 2022): a sentence encoder finetuned on pairs of texts, and logistic regression over it."""

import io
import tempfile
import time
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from gendist.config.base_settings import Device
from gendist.errors import GendistError
from gendist.io.provenance import Provenance, hash_file
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.nn.pretrained import MINILM, describe, load_tokenizer, locate
from gendist.stages.baselines.encoder import MAX_TOKENS, Encoder, encoder_predictor
from gendist.stages.baselines.head import HEAD, REGRESSION, expanded, load_head
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.runs import RunMetadata, write_run
from gendist.stages.texts.tables import Texts, read_texts

BATCH = 16
"""Pairs in a step: the library's default, as are learning rate, loss and warm-up."""
STEPS = 200
"""The library's own default, every pair once, is 19,000 steps at 600 rows. The embedded teacher takes 200 as well."""


def fit_setfit(
    train: Path,
    test: Path,
    folder: Path,
    dataset: str,
    seed: int,
    model: str = MINILM,
    steps: int = STEPS,
    threads: int = 1,
    device: Device = "auto",
) -> None:
    """Finetune on the training rows, predict the test rows and write the run and its model.

    The folder is one of transformers (the encoder) with the classifier beside it; it is read without SetFit.

    Args:
        train: texts file to learn from.
        test: texts file to predict.
        folder: run folder to write.
        dataset: the dataset's name in the tables.
        seed: of the order of the pairs and of dropout; the library draws the pairs with a seed of its own.
        model: the encoder: embedded, or a transformers folder.
        steps: optimiser steps.
        threads: CPU threads.
        device: where to compute; a GPU is claimed until this process ends.

    Raises:
        GendistError: if the library or a file is missing, or the training rows are of one class only.
    """
    if device == "cpu":
        devices.hide_gpus()  # the library's trainer would take one by itself
    place = devices.prepare(threads, seed, device)
    rows, unseen = read_texts(train), read_texts(test)
    if len(set(rows.labels.tolist())) < 2:
        raise GendistError(f"{train}: system 'setfit' needs rows of two classes or more")
    began = time.perf_counter()
    trained = _train(rows, model, steps, seed, str(place))
    seconds = time.perf_counter() - began
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test)},
        settings={"batch": BATCH, "steps": steps, "max_tokens": MAX_TOKENS, "regression": dict(REGRESSION)},
        seed=seed,
        source_models=describe(model, None),
    )
    folder.mkdir(parents=True, exist_ok=True)
    trained.model_body[0].auto_model.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    head = expanded(trained.model_head, len(rows.label_names))
    head.save(folder / HEAD, provenance)
    provenance.to_file(folder)
    encoder = Encoder(str(folder))  # what is evaluated is what was saved
    logits = head.logits(encoder.embed(unseen.texts))
    n_parameters = encoder.n_parameters + head.n_parameters
    row = RunMetadata(dataset=dataset, system="setfit", n_real=len(rows.texts), seed=seed, n_parameters=n_parameters)
    write_run(folder, row, unseen.ids, unseen.labels, logits.argmax(1), logits, provenance, seconds)


def load_setfit(folder: Path) -> Predictor:
    """Load the model of a run folder, on one thread."""
    devices.prepare(1, 0)
    return encoder_predictor(Encoder(str(folder)), load_head(folder / HEAD), folder / HEAD)


def _train(rows: Texts, model: str, steps: int, seed: int, place: str) -> Any:
    try:
        from datasets import Dataset
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer
        from setfit import SetFitModel, Trainer, TrainingArguments
        from sklearn.linear_model import LogisticRegression
        from transformers import TrainerCallback
    except ImportError as error:
        raise GendistError(f"system 'setfit' needs an extra: pip install 'gendist[setfit]' ({error.name})") from None
    progress = Progress("finetuning SetFit", steps, "steps")

    class Report(TrainerCallback):
        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            progress.update(1)

    transformer = Transformer(locate(model), max_seq_length=MAX_TOKENS)
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    with tempfile.TemporaryDirectory() as scratch:
        arguments = TrainingArguments(
            output_dir=scratch,
            batch_size=BATCH,
            max_steps=steps,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            show_progress_bar=False,
        )
        setfit = SetFitModel(
            model_body=SentenceTransformer(modules=[transformer, pooling, Normalize()], device=place),
            model_head=LogisticRegression(**REGRESSION),
        )
        data = Dataset.from_dict({"text": rows.texts, "label": rows.labels.tolist()})
        # Its own progress bars and lines would drown ours.
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'pin_memory'")
            Trainer(model=setfit, args=arguments, train_dataset=data, callbacks=[Report()]).train()
    return setfit
