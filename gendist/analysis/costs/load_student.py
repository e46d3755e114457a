"""Load a finished student as a predictor."""

from pathlib import Path

from safetensors.torch import load_file

from gendist.config.student_settings import Student
from gendist.io.checksums import verify_tensors
from gendist.io.json_files import read_json
from gendist.nn import devices
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.students.architectures import build
from gendist.stages.students.distil_student import encode_pieces
from gendist.stages.students.subwords import SENTENCEPIECE, TOKENIZER, load_subwords
from gendist.stages.students.train_student import predict_student


def load_student(folder: Path, embeddings: Path) -> Predictor:
    """Load a finished student in PyTorch, float32.

    Args:
        folder: run folder with ``model.safetensors`` and ``student.json``.
        embeddings: folder of the subword tokenizer; the vectors are in the model.

    Raises:
        GendistError: if a file is missing or damaged.
    """
    devices.prepare(1, 0)
    description = read_json(folder / "student.json")
    verify_tensors(folder / "model.safetensors")
    weights = load_file(folder / "model.safetensors")
    subwords = load_subwords(embeddings)
    network = build(weights["embedding.weight"], Student(**description["student"]), len(description["label_names"]))
    network.load_state_dict(weights)
    tokenizer = TOKENIZER if (embeddings / TOKENIZER).is_file() else SENTENCEPIECE
    return Predictor(
        lambda texts: predict_student(network, encode_pieces(subwords, list(texts), description["max_pieces"])).argmax(
            1
        ),
        [folder / "model.safetensors", folder / "student.json", embeddings / tokenizer],
        "torch",
    )
