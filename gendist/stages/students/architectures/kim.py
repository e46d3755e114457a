"""Kim-style CNN (Kim 2014, Convolutional Neural Networks for Sentence Classification)."""

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.convolution_max import convolution_max
from gendist.stages.students.architectures.position_buckets import BUCKET_STARTS, position_buckets
from gendist.stages.students.architectures.registry import embed, register

WIDTHS = (3, 4, 5)


@register("kim")
class Kim(nn.Module):
    """Convolutions of widths 3, 4 and 5, ReLU, max over time, dropout, linear.

    With a 10,000 x 100 embedding and 100 filters: 1,124,514 parameters at 14 classes. With ``init: general``:

    - the features also contain the embeddings' sum over the square root of their number;
    - an embedding of the position of a window's first piece is added to all vectors of the window (as ConvS2S,
      Gehring et al. 2017, adds one to each vector), so that filters can respond to the start of a text alone;
    - with its 26,880 x 40 embedding, there are 1,128,514 parameters.
    """

    dense_training = False
    """Whether training uses ``dense_max``, as stacked networks do; ``sparse_max`` is optimised for CPUs."""

    def __init__(self, vectors: torch.Tensor, settings: Student, classes: int) -> None:
        """Build over pretrained vectors (vocabulary, width), which are copied and finetuned."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        self.convolutions = nn.ModuleList(nn.Conv1d(vectors.shape[1], settings.filters, width) for width in WIDTHS)
        self.dropout = nn.Dropout(settings.dropout)
        self.is_general = settings.init == "general"
        features = len(WIDTHS) * settings.filters
        if self.is_general:
            features += vectors.shape[1]
            self.position_embedding = nn.Parameter(torch.zeros(len(BUCKET_STARTS), vectors.shape[1]))
        self.classifier = nn.Linear(features, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        biases = position_biases(self.position_embedding, self.convolutions) if self.is_general else None
        if self.training and not self.dense_training:
            pooled = sparse_max(self.embedding.weight, ids, mask, self.convolutions, biases=biases)
        else:
            pooled = dense_max(embed(self.embedding, ids, mask), mask, self.convolutions, biases=biases)
        if self.is_general:
            pooled = torch.cat([pooled, scaled_mean(self.embedding(ids) * mask[..., None], mask)], 1)
        return self.classifier(self.dropout(pooled))


def position_biases(embedding: torch.Tensor, convolutions: nn.ModuleList) -> torch.Tensor:
    """Return each filter's response to a window of one position embedding, (buckets, widths x filters).

    Args:
        embedding: position embeddings (buckets, width).
        convolutions: filters of each window width.
    """
    parameters: list[torch.Tensor] = list(convolutions.parameters())  # alternating filters and biases
    return embedding @ torch.cat([filters.sum(2) for filters in parameters[::2]]).T


def scaled_mean(vectors: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Map vectors (rows, pieces, width), zero at padding, to their sum over the square root of their number."""
    return vectors.sum(1) / mask.sum(1, keepdim=True).sqrt()


def dense_max(
    x: torch.Tensor, mask: torch.Tensor, convolutions: nn.ModuleList, *, biases: torch.Tensor | None = None
) -> torch.Tensor:
    """Map vectors to pooled responses of the filters, (rows, widths x filters).

    Args:
        x: vectors (rows, width, pieces), zero at padding.
        mask: 1 for pieces, 0 for padding, (rows, pieces).
        convolutions: filters of each window width.
        biases: biases of windows by the bucket of their first piece, (buckets, widths x filters); None is zero.
    """
    pooled, first = [], 0
    if biases is not None:
        biases = biases[position_buckets(mask.shape[1], mask.device)].T  # (widths x filters, pieces)
    for width, convolution in zip(WIDTHS, convolutions, strict=True):
        # Windows start inside the text and may extend into the zero padding, so that
        # logits do not depend on the padding of the batch.
        windows = convolution(functional.pad(x, (0, width - 1)))
        if biases is not None:
            windows = windows + biases[first : first + windows.shape[1]]
        pooled.append((functional.relu(windows) * mask[:, None]).amax(2))
        first += windows.shape[1]
    return torch.cat(pooled, 1)


def sparse_max(
    vectors: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
    convolutions: nn.ModuleList,
    *,
    biases: torch.Tensor | None = None,
) -> torch.Tensor:
    """Compute the same as ``dense_max`` from vectors (pieces, width), in a third of the training time on CPUs."""
    parameters: list[torch.Tensor] = list(convolutions.parameters())  # alternating filters and biases
    maxima = convolution_max(vectors, ids, mask, parameters[::2], biases=biases)
    return functional.relu(maxima + torch.cat(parameters[1::2]))
