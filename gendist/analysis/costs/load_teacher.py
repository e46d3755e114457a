"""Load a finetuned teacher as a predictor, as it scores synthetic rows."""

from pathlib import Path

from gendist.nn import devices
from gendist.nn.packed_linear import pack_linear_layers
from gendist.nn.pretrained import class_names, load_classifier, load_tokenizer
from gendist.stages.evaluation.predictor import Predictor
from gendist.stages.logits.batched_logits import predict_logits

NOT_SHIPPED = ("gendist.json", "history.json", "timing.json")


def load_teacher(folder: Path, max_tokens: int) -> Predictor:
    """Load a finetuned teacher onto the CPU.

    Args:
        folder: transformers folder.
        max_tokens: longer texts are truncated.

    Raises:
        GendistError: if the teacher cannot be loaded.
    """
    devices.prepare(1, 0)
    tokenizer = load_tokenizer(str(folder))
    model = pack_linear_layers(load_classifier(str(folder), class_names(folder)))
    files = [file for file in sorted(folder.iterdir()) if file.is_file() and file.name not in NOT_SHIPPED]
    return Predictor(lambda texts: predict_logits(model, tokenizer, texts, max_tokens).argmax(1), files, "torch")
