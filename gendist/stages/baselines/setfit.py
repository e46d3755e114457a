"""SetFit (Tunstall et al. 2022): contrastive finetuning of a sentence encoder, then logistic regression."""

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
from gendist.nn.pretrained import MINILM, describe, load_tokenizer, resolve_model_path
from gendist.stages.baselines.linear_head import HEAD_FILE, LOGISTIC_REGRESSION, head_from_regression, load_head
from gendist.stages.baselines.sentence_encoder import MAX_TOKENS, SentenceEncoder, encoder_predictor
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.evaluation.run_folder import RunMetadata, write_run
from gendist.stages.texts.text_tables import Texts, read_texts

BATCH_SIZE = 16
"""Pairs per step; the library's default, like learning rate, loss and warm-up."""
STEPS = 200
"""The library's default, one epoch over all pairs, takes 19,000 steps for 600 rows; the embedded teacher takes 200."""


def fit_setfit(
    train: Path,
    test: Path,
    folder: Path,
    dataset: str,
    *,
    seed: int,
    model: str = MINILM,
    steps: int = STEPS,
    threads: int = 1,
    device: Device = "auto",
) -> None:
    """Finetune on the training rows, predict the test rows and write the run folder with the model.

    The run folder is a transformers folder of the encoder plus the classifier; loading does not need SetFit.

    Args:
        train: Parquet file of training rows.
        test: Parquet file of test rows.
        folder: run folder to write.
        dataset: name of the dataset.
        seed: seed of the pair order and dropout; the library samples the pairs with its own seed.
        model: encoder, embedded name or transformers folder.
        steps: optimizer steps.
        threads: CPU threads.
        device: device to train on; the process claims a GPU until it exits.

    Raises:
        GendistError: if the library or a file is missing, or the training rows have only one class.
    """
    if device == "cpu":
        devices.hide_gpus()  # the trainer of the library uses GPUs by default
    torch_device = devices.prepare(threads, seed, device)
    rows, test_rows = read_texts(train), read_texts(test)
    if len(set(rows.labels.tolist())) < 2:
        raise GendistError(f"{train}: system 'setfit' needs rows of two classes or more")
    start = time.perf_counter()
    trained = _train(rows, model=model, steps=steps, seed=seed, device=str(torch_device))
    seconds = time.perf_counter() - start
    provenance = Provenance(
        "baselines",
        inputs={"train": hash_file(train), "test": hash_file(test)},
        settings={
            "batch": BATCH_SIZE,
            "steps": steps,
            "max_tokens": MAX_TOKENS,
            "regression": dict(LOGISTIC_REGRESSION),
        },
        seed=seed,
        source_models=describe(model, None),
    )
    folder.mkdir(parents=True, exist_ok=True)
    trained.model_body[0].auto_model.save_pretrained(folder)
    load_tokenizer(model).save_pretrained(folder)
    head = head_from_regression(trained.model_head, len(rows.label_names))
    head.save(folder / HEAD_FILE, provenance)
    provenance.to_file(folder)
    encoder = SentenceEncoder(str(folder))  # evaluate the saved model
    logits = head.logits(encoder.embed(test_rows.texts))
    n_parameters = encoder.n_parameters + head.n_parameters
    row = RunMetadata(dataset=dataset, system="setfit", n_real=len(rows.texts), seed=seed, n_parameters=n_parameters)
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


def load_setfit(folder: Path) -> Predictor:
    """Load the model of a run folder, on one thread."""
    devices.prepare(1, 0)
    return encoder_predictor(SentenceEncoder(str(folder)), load_head(folder / HEAD_FILE), folder / HEAD_FILE)


def _train(rows: Texts, *, model: str, steps: int, seed: int, device: str) -> Any:
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

    class ReportProgress(TrainerCallback):
        def on_step_end(self, *arguments: Any, **named: Any) -> None:
            progress.update(1)

    transformer = Transformer(resolve_model_path(model), max_seq_length=MAX_TOKENS)
    pooling = Pooling(transformer.get_embedding_dimension(), "mean")
    with tempfile.TemporaryDirectory() as temporary:
        arguments = TrainingArguments(
            output_dir=temporary,
            batch_size=BATCH_SIZE,
            max_steps=steps,
            seed=seed,
            save_strategy="no",
            logging_strategy="no",
            report_to="none",
            show_progress_bar=False,
        )
        setfit = SetFitModel(
            model_body=SentenceTransformer(modules=[transformer, pooling, Normalize()], device=device),
            model_head=LogisticRegression(**LOGISTIC_REGRESSION),
        )
        data = Dataset.from_dict({"text": rows.texts, "label": rows.labels.tolist()})
        # Hide the output of the library.
        with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="'pin_memory'")
            Trainer(model=setfit, args=arguments, train_dataset=data, callbacks=[ReportProgress()]).train()
    return setfit
