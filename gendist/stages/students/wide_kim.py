"""Kim with a wide embedding for training, folded into the small Kim afterwards.

Two linear maps reduce the wide vectors of the pieces: to the input of the filters, and to the pooled mean. As in
structural re-parameterisation (Ding et al. 2021, RepVGG), the trained maps are multiplied into the embedding, so
that the stored network has the size of a Kim with narrow vectors and computes the same logits.
"""

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.kim import WIDTHS, Kim, dense_max, scaled_mean, sparse_max

FILTER_INPUT, MEAN_WIDTH = 26, 14
"""Columns of the folded embedding that the filters and the mean read."""


class WideFeatures(nn.Module):
    """Pooled filter responses and mean of wide embeddings."""

    dense_training = False
    """Whether training uses ``dense_max``, as stacked networks do; ``sparse_max`` is optimised for CPUs."""

    def __init__(self, vectors: torch.Tensor, filters: int) -> None:
        """Build over wide vectors (pieces, width), which are finetuned; the other weights are random."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors, freeze=False)
        self.filter_projection = nn.Linear(vectors.shape[1], FILTER_INPUT, bias=False)
        self.convolutions = nn.ModuleList(nn.Conv1d(FILTER_INPUT, filters, width) for width in WIDTHS)
        self.n_pooled = len(WIDTHS) * filters
        self.width = self.n_pooled + vectors.shape[1]
        """Number of all features."""

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Map ids and mask (rows, pieces) to features (rows, widths x filters) and (rows, width)."""
        inside = mask[..., None]
        if self.training and not self.dense_training:
            pieces, ids = ids.unique(return_inverse=True)
            table = functional.embedding(pieces, self.embedding.weight)
            pooled = sparse_max(self.filter_projection(table).float(), ids, mask, self.convolutions)
            vectors = functional.embedding(ids, table) * inside
        else:
            vectors = self.embedding(ids) * inside
            pooled = dense_max(self.filter_projection(vectors).transpose(1, 2), mask, self.convolutions)
        return pooled, scaled_mean(vectors, mask)


class WideKim(nn.Module):
    """Kim over wide vectors, for training.

    Only pieces of the training rows have trainable vectors; ``folded`` adds those of the others.
    """

    def __init__(self, start: WideFeatures, used: Sequence[int], settings: Student, probe: nn.Linear) -> None:
        """Copy pretrained weights.

        Args:
            start: pretrained features of the whole vocabulary; not modified.
            used: ids of the pieces of the training rows.
            settings: settings of the student.
            probe: linear classifier of all features, in their order, to start from.
        """
        super().__init__()
        self._vectors = start.embedding.weight.detach()  # not a buffer: shared by all seeds
        self._settings = settings
        self._used = torch.tensor(sorted({0, *used}))
        positions = torch.zeros(len(self._vectors), dtype=torch.long)
        positions[self._used] = torch.arange(len(self._used))
        self.positions = nn.Buffer(positions)
        self.features = WideFeatures(self._vectors[self._used], settings.filters)
        self.features.load_state_dict(start.state_dict() | self.features.embedding.state_dict(prefix="embedding."))
        self.dropout = nn.Dropout(settings.dropout)
        n_pooled = self.features.n_pooled
        classes, rank = probe.out_features, min(probe.out_features, MEAN_WIDTH)
        self.mean_projection = nn.Linear(self._vectors.shape[1], rank, bias=False)
        self.classifier = nn.Linear(n_pooled + rank, classes)
        with torch.no_grad():
            left, scales, right = torch.linalg.svd(probe.weight[:, n_pooled:], full_matrices=False)
            self.mean_projection.weight.copy_(scales[:rank, None] * right[:rank])
            self.classifier.weight.copy_(torch.cat([probe.weight[:, :n_pooled], left[:, :rank]], 1))
            self.classifier.bias.copy_(probe.bias)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        pooled, mean = self.features(self.positions[ids], mask)
        mean = self.mean_projection(self.dropout(mean))
        return self.classifier(torch.cat([self.dropout(pooled), mean], 1))

    @torch.no_grad()
    def folded(self) -> Kim:
        """Return the Kim over vectors of width ``FILTER_INPUT + MEAN_WIDTH`` with the same logits."""
        vectors = self._vectors.clone()
        vectors[self._used] = self.features.embedding.weight.detach().cpu()
        of_filters = vectors @ self.features.filter_projection.weight.T
        of_mean = vectors @ self.mean_projection.weight.T
        # A piece has one int8 scale for both parts.
        scale = of_filters.square().mean().sqrt() / of_mean.square().mean().sqrt().clamp(min=1e-12)
        rank, classes = of_mean.shape[1], self.classifier.out_features
        table = functional.pad(torch.cat([of_filters, of_mean * scale], 1), (0, MEAN_WIDTH - rank))
        network = Kim(table, self._settings, classes)
        sources = self.features.convolutions.parameters()  # alternating filters and biases
        for target, source in zip(network.convolutions.parameters(), sources, strict=True):
            target.zero_()
            if target.ndim == 3:
                target[:, :FILTER_INPUT] = source
            else:
                target.copy_(source)
        n_pooled = self.features.n_pooled
        network.classifier.weight.zero_()
        network.classifier.weight[:, :n_pooled] = self.classifier.weight[:, :n_pooled]
        first = n_pooled + FILTER_INPUT
        network.classifier.weight[:, first : first + rank] = self.classifier.weight[:, n_pooled:] / scale
        network.classifier.bias.copy_(self.classifier.bias)
        return network
