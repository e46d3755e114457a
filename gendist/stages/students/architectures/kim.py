"""Kim-style CNN (Kim 2014, Convolutional Neural Networks for Sentence Classification)."""

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.maxima import window_maxima
from gendist.stages.students.architectures.registry import embed, register

WIDTHS = (3, 4, 5)


@register("kim")
class Kim(nn.Module):
    """Convolutions of widths 3, 4 and 5, ReLU, max over time, dropout, linear.

    With a 10,000 x 100 embedding and 100 filters: 1,124,514 parameters at 14 classes.
    """

    dense = False
    """Whether training, too, takes ``convolved``, as stacked networks do; ``pooled`` is made for CPUs."""

    def __init__(self, vectors: torch.Tensor, settings: Student, classes: int) -> None:
        """Build over pretrained vectors (vocabulary, width), which are copied and finetuned."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.convolutions = nn.ModuleList(nn.Conv1d(vectors.shape[1], settings.filters, width) for width in WIDTHS)
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(len(WIDTHS) * settings.filters, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        pooled = self.pooled(ids, mask) if self.training and not self.dense else self.convolved(ids, mask)
        return self.classifier(self.dropout(pooled))

    def convolved(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to pooled responses (rows, widths x filters)."""
        x = embed(self.embedding, ids, mask)
        pooled = []
        for width, convolution in zip(WIDTHS, self.convolutions, strict=True):
            # A window may reach past the end of the text, into zeros, but must start inside it:
            # so a row's logits do not depend on how far its batch is padded.
            windows = functional.relu(convolution(functional.pad(x, (0, width - 1))))
            pooled.append((windows * mask[:, None]).amax(2))
        return torch.cat(pooled, 1)

    def pooled(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Compute what ``convolved`` does, fast in training: a step takes a third of the time."""
        parameters: list[torch.Tensor] = list(self.convolutions.parameters())  # filters and bias of each width in turn
        maxima = window_maxima(self.embedding.weight, ids, mask, parameters[::2])
        return functional.relu(maxima + torch.cat(parameters[1::2]))
