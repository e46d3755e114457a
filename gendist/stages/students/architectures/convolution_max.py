"""Convolution and max over time without redundant computation, for training on CPUs."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional

from gendist.stages.students.architectures.position_buckets import position_buckets


def convolution_max(
    vectors: torch.Tensor,
    ids: torch.Tensor,
    mask: torch.Tensor,
    filters: Sequence[torch.Tensor],
    *,
    biases: torch.Tensor | None = None,
) -> torch.Tensor:
    """Return the maximum response of each filter in each row, (rows, widths x filters), differentiable.

    Windows start inside the row and may extend into zero padding. Two differences from convolutions save time.
    The product of a filter's weights at one offset with a piece does not depend on the position: it is computed
    once per distinct piece of the batch, and a response is a sum of table rows. In the backward pass only the
    maximal window of each row and filter has a gradient. The table has autocast precision; gradients are float32.

    Args:
        vectors: embeddings (vocabulary, width).
        ids: piece ids (rows, pieces).
        mask: 1 for pieces, 0 for padding, (rows, pieces).
        filters: one tensor (filters, width, window) per window size, with equal numbers of filters.
        biases: biases of windows by the bucket of their first piece, (buckets, widths x filters); None is zero.
    """
    maxima: torch.Tensor = _ConvolutionMax.apply(vectors, ids, mask.sum(1).long(), biases, *filters)
    return maxima


class _ConvolutionMax(torch.autograd.Function):
    """Offsets of all windows are concatenated: for windows 3 and 4, offsets 0, 1, 2, 0, 1, 2, 3."""

    @staticmethod
    def forward(
        ctx: Any,
        vectors: torch.Tensor,
        ids: torch.Tensor,
        lengths: torch.Tensor,
        biases: torch.Tensor | None,
        *filters: torch.Tensor,
    ) -> torch.Tensor:
        spans = [f.shape[2] for f in filters]
        count, (rows, longest) = filters[0].shape[0], ids.shape
        pieces, indices = ids.unique(return_inverse=True)
        table = functional.pad(vectors.index_select(0, pieces), (0, 0, 0, 1))  # last row: padding
        starts = _window_starts(lengths, longest)
        windows = _window_pieces(indices, lengths, max(spans), len(pieces))[torch.arange(rows)[:, None], starts]
        weights = torch.cat([f.permute(2, 0, 1).flatten(0, 1) for f in filters])  # (offsets x filters, width)
        responses = (table @ weights.T).view(-1, count)  # (pieces x offsets, filters)
        offsets = torch.cat([torch.arange(span) for span in spans])
        summands = windows.index_select(2, offsets) * len(offsets) + torch.arange(len(offsets))
        firsts = torch.tensor([0, *spans[:-1]]).cumsum(0) + torch.arange(0, summands.numel(), len(offsets))[:, None]
        sums = functional.embedding_bag(summands.flatten(), responses, firsts.flatten(), mode="sum")
        sums = sums.view(rows, longest, -1)
        buckets = None
        if biases is not None:
            buckets = position_buckets(longest, ids.device)[starts]
            sums += biases.to(sums.dtype).index_select(0, buckets.flatten()).view_as(sums)
        # As a one-column image: only max_pool2d is vectorised over the last dimension in memory.
        image = sums.transpose(1, 2).unsqueeze(2)
        maxima, winners = functional.max_pool2d_with_indices(image, (1, longest))
        ctx.spans, ctx.vocabulary, ctx.buckets = spans, len(vectors), buckets
        ctx.bias_shape = None if biases is None else biases.shape
        ctx.save_for_backward(pieces, table, windows, weights, offsets, winners.view(rows, len(spans), count))
        return maxima.view(rows, -1).float()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        pieces, table, windows, weights, offsets, winners = ctx.saved_tensors
        rows, longest, _ = windows.shape
        count = winners.shape[2]
        numbers = winners + torch.arange(0, rows * longest, longest)[:, None, None]
        won = functional.embedding(numbers, windows.flatten(0, 1))  # (rows, widths, filters, longest window)
        scale = gradients[0].view(rows, -1, count)
        to_biases = None
        if ctx.buckets is not None:
            won_buckets = ctx.buckets.flatten()[numbers].view(rows, -1)
            to_biases = gradients[0].new_zeros(ctx.bias_shape).scatter_add_(0, won_buckets, gradients[0])
        # From here on: (offsets x filters x rows).
        won = torch.cat([won[:, i, :, :span].permute(2, 1, 0).flatten() for i, span in enumerate(ctx.spans)])
        scale = torch.cat([scale[:, i].T.repeat(span, 1).flatten() for i, span in enumerate(ctx.spans)])

        firsts = torch.arange(0, len(won), rows)
        to_weights = functional.embedding_bag(won, table, firsts, mode="sum", per_sample_weights=scale)
        parts = to_weights.view(len(offsets), count, -1).split(ctx.spans)
        to_filters = [part.permute(1, 2, 0) for part in parts]

        narrow = torch.int16 if len(table) < 2**15 else torch.int32  # sorts three times as fast as int64
        order = won.to(narrow).argsort(stable=True)
        ends = won.bincount(minlength=len(table)).cumsum(0)
        firsts = functional.pad(ends[:-1], (1, 0))
        of_order = torch.arange(len(weights)).repeat_interleave(rows).index_select(0, order)
        scale = scale.index_select(0, order)
        to_table = functional.embedding_bag(of_order, weights, firsts, mode="sum", per_sample_weights=scale)
        to_vectors = table.new_zeros(ctx.vocabulary, table.shape[1])
        to_vectors.index_copy_(0, pieces, to_table[:-1])
        return to_vectors, None, None, to_biases, *to_filters


def _window_starts(lengths: torch.Tensor, longest: int) -> torch.Tensor:
    """Return the first position of each window, (rows, longest).

    After the row, the last window is repeated, which does not change the maximum.
    """
    return torch.arange(longest).minimum((lengths[:, None] - 1).clamp(min=0))


def _window_pieces(indices: torch.Tensor, lengths: torch.Tensor, span: int, padding: int) -> torch.Tensor:
    """Return the table indices in the window at each position, (rows, pieces, span), from those of the pieces.

    Positions after the row are ``padding``.
    """
    inside = indices.masked_fill(torch.arange(indices.shape[1]) >= lengths[:, None], padding)
    return functional.pad(inside, (0, span - 1), value=padding).unfold(1, span, 1)
