"""Load a finished baseline as a predictor."""

from pathlib import Path

from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.texts.text_tables import read_texts


def load_baseline(name: str, folder: Path, test: Path, static: Path | None = None) -> Predictor:
    """Load a finished baseline; imports only its own dependencies.

    Args:
        name: one of ``gendist.naming.BASELINES``.
        folder: run folder.
        test: texts file, for the number of classes.
        static: folder of model2vec's static embeddings.

    Raises:
        GendistError: if a file or a library is missing, or a file is damaged.
        ValueError: if the name is unknown.
    """
    if name == "tfidf-svm":
        from gendist.stages.baselines.tfidf_svm import load_tfidf_svm

        return load_tfidf_svm(folder)
    if name == "fasttext":
        from gendist.stages.baselines.fasttext import load_fasttext

        return load_fasttext(folder, len(read_texts(test).label_names))
    if name == "encoder-lr":
        from gendist.stages.baselines.encoder_lr import load_encoder_lr

        return load_encoder_lr(folder)
    if name == "setfit":
        from gendist.stages.baselines.setfit import load_setfit

        return load_setfit(folder)
    if name == "model2vec" and static is not None:
        from gendist.stages.baselines.model2vec import load_model2vec

        return load_model2vec(folder, static)
    raise ValueError(f"unknown baseline {name}")
