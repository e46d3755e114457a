"""Kim with a wide embedding for training, folded into the small Kim afterwards.

Two linear maps reduce the wide vectors of the pieces: to the input of the filters, and to the pooled mean. As in
structural re-parameterisation (Ding et al. 2021, RepVGG), the trained maps are multiplied into the embedding, so
that the stored network has the size of a Kim with narrow vectors and computes the same logits. Training on a task
changes the maps, and adds an offset to what they make of each piece; the wide vectors themselves stay fixed, as
matrices do in low-rank adaptation (Hu et al. 2022, LoRA).
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.kim import (
    WIDTHS,
    Kim,
    dense_max,
    position_biases,
    scaled_mean,
    sparse_max,
)
from gendist.stages.students.architectures.position_buckets import BUCKET_STARTS

FILTER_INPUT, MEAN_WIDTH = 26, 14
"""Columns of the folded embedding that the filters and the mean read."""
OFFSET_SCALE = 3.0
"""Factor of trained offsets, which start at zero: how far a step of Adam moves them; chosen in docs/notes/tuning.md."""


class WideFeatures(nn.Module):
    """Pooled filter responses and mean of wide embeddings."""

    def __init__(self, vectors: torch.Tensor, filters: int) -> None:
        """Build over wide vectors (pieces, width), which are trained; the other weights are random."""
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
        if self.training:
            pieces, ids = ids.unique(return_inverse=True)
            table = functional.embedding(pieces, self.embedding.weight)
            pooled = sparse_max(self.filter_projection(table).float(), ids, mask, self.convolutions)
            vectors = functional.embedding(ids, table) * inside
        else:
            vectors = self.embedding(ids) * inside
            pooled = dense_max(self.filter_projection(vectors).transpose(1, 2), mask, self.convolutions)
        return pooled, scaled_mean(vectors, mask)


class WideKim(nn.Module):
    """Kim over fixed wide vectors, with trained maps and offsets.

    Only pieces of the training rows have offsets; ``folded`` adds the vectors of the others.
    """

    dense_training = False
    """Whether training uses ``dense_max``, as stacked networks do; ``sparse_max`` is optimised for CPUs."""

    def __init__(self, start: WideFeatures, used: Sequence[int], settings: Student, probe: nn.Linear) -> None:
        """Copy pretrained weights.

        Args:
            start: pretrained features of the whole vocabulary; not modified.
            used: ids of the pieces of the training rows.
            settings: settings of the student.
            probe: linear classifier of all features, in their order, to start from.
        """
        super().__init__()
        self._all_vectors = start.embedding.weight.detach()  # not a buffer: shared by all seeds
        self._settings = settings
        self._used = torch.tensor(sorted({0, *used}))
        positions = torch.zeros(len(self._all_vectors), dtype=torch.long)
        positions[self._used] = torch.arange(len(self._used))
        self.positions = nn.Buffer(positions)
        self.vectors = nn.Buffer(self._all_vectors[self._used])
        self.filter_projection = copy.deepcopy(start.filter_projection)
        self.convolutions = copy.deepcopy(start.convolutions)
        self.dropout = nn.Dropout(settings.dropout)
        n_pooled = start.n_pooled
        classes, rank = probe.out_features, min(probe.out_features, MEAN_WIDTH)
        self.offsets = nn.Parameter(torch.zeros(len(self._used), FILTER_INPUT + rank))
        self.position_embedding = nn.Parameter(torch.zeros(len(BUCKET_STARTS), FILTER_INPUT))
        self.mean_projection = nn.Linear(self.vectors.shape[1], rank, bias=False)
        self.classifier = nn.Linear(n_pooled + rank, classes)
        with torch.no_grad():
            left, scales, right = torch.linalg.svd(probe.weight[:, n_pooled:], full_matrices=False)
            self.mean_projection.weight.copy_(scales[:rank, None] * right[:rank])
            self.classifier.weight.copy_(torch.cat([probe.weight[:, :n_pooled], left[:, :rank]], 1))
            self.classifier.bias.copy_(probe.bias)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        inside = mask[..., None]
        sparse = self.training and not self.dense_training
        pieces = self.positions[ids]
        if sparse:
            pieces, ids = pieces.unique(return_inverse=True)
        vectors = functional.embedding(pieces, self.vectors)
        offsets = OFFSET_SCALE * functional.embedding(pieces, self.offsets)
        inputs = self.filter_projection(vectors) + offsets[..., :FILTER_INPUT]
        of_mean = offsets[..., FILTER_INPUT:]
        biases = position_biases(OFFSET_SCALE * self.position_embedding, self.convolutions)
        if sparse:
            pooled = sparse_max(inputs.float(), ids, mask, self.convolutions, biases=biases)
            vectors, of_mean = functional.embedding(ids, vectors), functional.embedding(ids, of_mean)
        else:
            pooled = dense_max((inputs * inside).transpose(1, 2), mask, self.convolutions, biases=biases)
        mean = self.mean_projection(self.dropout(scaled_mean(vectors * inside, mask)))
        mean = mean + scaled_mean(of_mean * inside, mask)
        return self.classifier(torch.cat([self.dropout(pooled), mean], 1))

    @torch.no_grad()
    def folded(self) -> Kim:
        """Return the Kim over vectors of width ``FILTER_INPUT + MEAN_WIDTH`` with the same logits."""
        of_filters = self._all_vectors @ self.filter_projection.weight.T
        of_mean = self._all_vectors @ self.mean_projection.weight.T
        of_filters[self._used] += OFFSET_SCALE * self.offsets[:, :FILTER_INPUT]
        of_mean[self._used] += OFFSET_SCALE * self.offsets[:, FILTER_INPUT:]
        # A piece has one int8 scale for both parts.
        scale = of_filters.square().mean().sqrt() / of_mean.square().mean().sqrt().clamp(min=1e-12)
        rank, classes = of_mean.shape[1], self.classifier.out_features
        table = functional.pad(torch.cat([of_filters, of_mean * scale], 1), (0, MEAN_WIDTH - rank))
        network = Kim(table, self._settings, classes)
        sources = self.convolutions.parameters()  # alternating filters and biases
        for target, source in zip(network.convolutions.parameters(), sources, strict=True):
            target.zero_()
            if target.ndim == 3:
                target[:, :FILTER_INPUT] = source
            else:
                target.copy_(source)
        network.position_embedding[:, :FILTER_INPUT] = OFFSET_SCALE * self.position_embedding
        n_pooled = self.classifier.in_features - rank
        network.classifier.weight.zero_()
        network.classifier.weight[:, :n_pooled] = self.classifier.weight[:, :n_pooled]
        first = n_pooled + FILTER_INPUT
        network.classifier.weight[:, first : first + rank] = self.classifier.weight[:, n_pooled:] / scale
        network.classifier.bias.copy_(self.classifier.bias)
        return network
