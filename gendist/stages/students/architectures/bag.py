"""Bag of embeddings: the deep averaging network of Iyyer et al. (2015) with one hidden layer."""

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.registry import embed, register


@register("bag")
class Bag(nn.Module):
    """Mean of the embeddings, a dense ReLU layer, dropout, linear; word order is ignored.

    With a 10,000 x 100 embedding and 300 filters (hidden units), as its paper has: 1,034,514 parameters
    at 14 classes.
    """

    def __init__(self, vectors: torch.Tensor, settings: Student, classes: int) -> None:
        """Build over pretrained vectors (vocabulary, width), which are copied and finetuned."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.hidden = nn.Linear(vectors.shape[1], settings.filters)
        # He initialisation: the default would halve the small variance of a mean of many vectors.
        nn.init.kaiming_normal_(self.hidden.weight, nonlinearity="relu")
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(settings.filters, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        mean = embed(self.embedding, ids, mask).sum(2) / mask.sum(1, keepdim=True)
        return self.classifier(self.dropout(functional.relu(self.hidden(mean))))
