"""Res-style CNN: the paper's second student (section 4.3), after ResNet (He et al. 2016)."""

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.registry import embed, register

LAYERS = 3


@register("res")
class Res(nn.Module):
    """Three residual convolutions of width 3, mean over time, dropout, linear.

    With a 10,000 x 100 embedding: 1,091,714 parameters at 14 classes; there are no normalisation layers.
    The paper does not specify the pooling; on held-out training rows of AG News, mean pooling was one point
    better than max pooling.
    """

    def __init__(self, vectors: torch.Tensor, settings: Student, classes: int) -> None:
        """Build over pretrained vectors (vocabulary, width), which are copied and finetuned."""
        super().__init__()
        width = vectors.shape[1]
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(LAYERS))
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(width, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        inside = mask[:, None]
        x = embed(self.embedding, ids, mask)
        for convolution in self.convolutions:
            x = x + functional.relu(convolution(x)) * inside
        return self.classifier(self.dropout(x.sum(2) / inside.sum(2)))  # x is zero at padding
