"""Sequence classifier: an encoder, mean pooling and a linear layer."""

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional
from transformers.modeling_outputs import SequenceClassifierOutput

from gendist.errors import GendistError

HEAD_FILE = "classifier.safetensors"
"""File of the linear layer, in the encoder's transformers folder."""


class PooledClassifier(nn.Module):
    """Sequence classifier over mean-pooled hidden states, as sentence encoders are trained.

    ``BertForSequenceClassification`` uses the first token, which sentence encoders do not train. The class has the part
    of a transformers model's interface that this package uses: ``forward`` with ``labels``, ``config``, ``device``,
    ``save_pretrained``.
    """

    base_model_prefix = "encoder"

    def __init__(self, encoder: Any) -> None:
        """Wrap an encoder; the linear layer is initialised to zero, so that all classes start equal."""
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.classifier = nn.Linear(encoder.config.hidden_size, encoder.config.num_labels)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        device: torch.device = self.encoder.device
        return device

    def set_attn_implementation(self, name: str) -> None:
        """Set the encoder's attention implementation, as on a transformers model."""
        self.encoder.set_attn_implementation(name)

    def embed(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, tokens) to mean-pooled hidden states (rows, width) float32."""
        states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state.float()
        mask = attention_mask[..., None]
        return (states * mask).sum(1) / mask.sum(1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, labels: torch.Tensor | None = None
    ) -> SequenceClassifierOutput:
        """Return logits (rows, classes), the embeddings, and, given labels (rows,), the mean cross-entropy."""
        embedded = self.embed(input_ids, attention_mask)
        logits = self.classifier(embedded).float()
        loss = None if labels is None else functional.cross_entropy(logits, labels)
        return SequenceClassifierOutput(loss=loss, logits=logits, hidden_states=(embedded,))

    def save_pretrained(self, folder: Path, **options: Any) -> None:
        """Save the encoder as a transformers folder, with the linear layer in ``HEAD_FILE``."""
        self.encoder.save_pretrained(folder, **options)
        save_file(
            {name: value.contiguous() for name, value in self.classifier.state_dict().items()}, folder / HEAD_FILE
        )

    def load_head(self, file: Path) -> bool:
        """Load the linear layer, unless its shape differs; return whether it was loaded.

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
    """Return the supervised contrastive loss (Khosla et al. 2020, equation 2).

    Args:
        embedded: embeddings, (rows, width).
        labels: (rows,). A row that is the only one of its class in the batch is no anchor.
        temperature: divides the cosine similarities.
    """
    unit = functional.normalize(embedded, dim=1)
    is_self = torch.eye(len(unit), dtype=torch.bool, device=unit.device)
    log_probability = (unit @ unit.T / temperature).masked_fill(is_self, -1e9).log_softmax(1)  # (anchors, others)
    positives = ((labels[:, None] == labels) & ~is_self).float()
    anchors = positives.sum(1) > 0
    if not anchors.any():
        return embedded.sum() * 0.0
    return -((log_probability * positives).sum(1)[anchors] / positives.sum(1)[anchors]).mean()
