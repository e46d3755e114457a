"""An encoder with a linear classifier over the mean of its token states."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput

from gendist.errors import GendistError

HEAD = "classifier.safetensors"
"""File of the classifier, beside the encoder's ordinary transformers folder."""


class PooledClassifier(nn.Module):
    """Sequence classifier over mean-pooled states, as sentence encoders are trained to be used.

    Transformers' own classifiers of BERT kind read the first token instead, which such an encoder
    never learnt to put the meaning into. Offers what this project uses of a transformers model:
    a call with ``labels``, ``config``, ``device``, ``save_pretrained``.
    """

    base_model_prefix = "encoder"

    def __init__(self, encoder: Any) -> None:
        """Wrap an encoder; the classifier starts at zero, so that it favours no class."""
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.classifier = nn.Linear(encoder.config.hidden_size, encoder.config.num_labels)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        device: torch.device = self.encoder.device
        return device

    def set_attn_implementation(self, name: str) -> None:
        """Choose the encoder's attention, as transformers models do."""
        self.encoder.set_attn_implementation(name)

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, tokens) to float32 means of the states, (rows, width)."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        inside = attention_mask[..., None]
        return (states * inside).sum(1) / inside.sum(1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Return logits (rows, classes), with labels (rows,) the mean cross-entropy, and the embeddings."""
        embedded = self.embed(input_ids, attention_mask)
        logits = self.classifier(embedded).float()
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=(embedded,))

    def save_pretrained(self, folder: Path, **options: Any) -> None:
        """Write the encoder as an ordinary transformers folder, and the classifier beside it."""
        self.encoder.save_pretrained(folder, **options)
        save_file({name: value.contiguous() for name, value in self.classifier.state_dict().items()}, folder / HEAD)

    def load_head(self, file: Path) -> bool:
        """Read the classifier's weights, unless they are of other classes; return whether they were read.

        Raises:
            GendistError: if the file is damaged.
        """
        try:
            stored = load_file(file)
            weight, bias = stored["weight"], stored["bias"]
        except (SafetensorError, KeyError) as error:
            raise GendistError(f"{file}: damaged ({str(error).splitlines()[0]})") from None
        if weight.shape != self.classifier.weight.shape or bias.shape != self.classifier.bias.shape:
            return False
        self.classifier.load_state_dict({"weight": weight, "bias": bias})
        return True


def contrastive_loss(embedded: torch.Tensor, labels: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Supervised contrastive loss (Khosla et al. 2020, equation 2) of embeddings (rows, width), labels (rows,).

    Rows whose class occurs once in the batch take no part as anchors.
    """
    unit = functional.normalize(embedded, dim=1)
    itself = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    log_share = (unit @ unit.T / temperature).masked_fill(itself, -1e9).log_softmax(1)  # (anchors, others)
    positives = ((labels[:, None] == labels) & ~itself).float()
    anchors = positives.sum(1) > 0
    if not anchors.any():
        return embedded.sum() * 0.0
    return -((log_share * positives).sum(1)[anchors] / positives.sum(1)[anchors]).mean()
