"""BlendCNN (Chia et al. 2018, Transformer to CNN: Label-scarce distillation for efficient text classification)."""

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.registry import embed, register

LAYERS, WIDTH, HIDDEN = 8, 5, 100


@register("blend")
class Blend(nn.Module):
    """Eight stacked convolutions; a dense layer blends the pooled outputs of all of them.

    With a 10,000 x 100 embedding and 100 filters: 1,482,314 parameters at 14 classes. No known
    port explains the 3,617 thousand of its paper.
    """

    def __init__(self, vectors: torch.Tensor, settings: Student, classes: int) -> None:
        """Build over pretrained vectors (vocabulary, width), which are copied and finetuned."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        sizes = [vectors.shape[1]] + [settings.filters] * LAYERS
        convolutions = [nn.Conv1d(sizes[i], sizes[i + 1], WIDTH, padding=WIDTH // 2) for i in range(LAYERS)]
        self.convolutions = nn.ModuleList(convolutions)
        self.blend = nn.Linear(LAYERS * settings.filters, HIDDEN)
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(HIDDEN, classes)
        # PyTorch's default shrinks activations over eight layers; with He initialisation the maxima are too large.
        layers: list[nn.Conv1d | nn.Linear] = [*convolutions, self.blend, self.classifier]
        for layer in layers:
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # bias=True

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        x = embed(self.embedding, ids, mask)
        pooled = []
        for convolution in self.convolutions:
            x = functional.relu(convolution(x)) * mask[:, None]
            pooled.append(x.amax(2))
        return self.classifier(self.dropout(functional.relu(self.blend(torch.cat(pooled, 1)))))
