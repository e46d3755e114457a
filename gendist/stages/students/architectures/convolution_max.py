"""Convolutions followed by their maximum over time, without what dense convolutions compute in vain."""

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional


def convolution_max(
    vectors: torch.Tensor, ids: torch.Tensor, mask: torch.Tensor, filters: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Return the greatest response of each filter within each row, (rows, widths x filters), with a gradient.

    A window begins at a piece of the row and may reach past its end, into zeros. Two things make this faster than
    convolutions. What a filter's weights at one offset give for a piece is the same wherever the piece stands, so
    it is computed once for each different piece of the batch, and a window's response is a sum of rows of that
    table. And in the backward pass only the window that won has a gradient, one for each row and filter.
    Under autocast the table is made in its precision; gradients are float32 always.

    Args:
        vectors: embeddings (vocabulary, width).
        ids: pieces (rows, pieces).
        mask: 1 where a piece stands, 0 after the end of a row; (rows, pieces).
        filters: one tensor (filters, width, window) for each window, all with the same number of filters.
    """
    maxima: torch.Tensor = _ConvolutionMax.apply(vectors, ids, mask.sum(1).long(), *filters)
    return maxima


class _ConvolutionMax(torch.autograd.Function):
    """Offsets of all windows stand one after the other: for windows of 3 and 4, offsets 0, 1, 2, 0, 1, 2, 3."""

    @staticmethod
    def forward(
        ctx: Any, vectors: torch.Tensor, ids: torch.Tensor, lengths: torch.Tensor, *filters: torch.Tensor
    ) -> torch.Tensor:
        spans = [f.shape[2] for f in filters]
        count, (rows, longest) = filters[0].shape[0], ids.shape
        pieces, places = ids.unique(return_inverse=True)
        table = functional.pad(vectors.index_select(0, pieces), (0, 0, 0, 1))  # the last one: past the end
        windows = _window_pieces(places, lengths, max(spans), len(pieces))
        weights = torch.cat([f.permute(2, 0, 1).flatten(0, 1) for f in filters])  # (offsets x filters, width)
        responses = (table @ weights.T).view(-1, count)  # (pieces x offsets, filters)
        offsets = torch.cat([torch.arange(span) for span in spans])
        summands = windows.index_select(2, offsets) * len(offsets) + torch.arange(len(offsets))
        firsts = torch.tensor([0, *spans[:-1]]).cumsum(0) + torch.arange(0, summands.numel(), len(offsets))[:, None]
        sums = functional.embedding_bag(summands.flatten(), responses, firsts.flatten(), mode="sum")
        # As an image of one column, because only max_pool2d is vectorised over the last dimension in memory.
        image = sums.view(rows, longest, -1).transpose(1, 2).unsqueeze(2)
        maxima, winners = functional.max_pool2d_with_indices(image, (1, longest))
        ctx.spans, ctx.vocabulary = spans, len(vectors)
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
        # What follows is (offsets x filters x rows).
        won = torch.cat([won[:, i, :, :span].permute(2, 1, 0).flatten() for i, span in enumerate(ctx.spans)])
        scale = torch.cat([scale[:, i].T.repeat(span, 1).flatten() for i, span in enumerate(ctx.spans)])

        firsts = torch.arange(0, len(won), rows)
        to_weights = functional.embedding_bag(won, table, firsts, mode="sum", per_sample_weights=scale)
        parts = to_weights.view(len(offsets), count, -1).split(ctx.spans)
        to_filters = [part.permute(1, 2, 0) for part in parts]

        narrow = torch.int16 if len(table) < 2**15 else torch.int32  # sorted three times as fast as int64
        order = won.to(narrow).argsort(stable=True)
        ends = won.bincount(minlength=len(table)).cumsum(0)
        firsts = functional.pad(ends[:-1], (1, 0))
        of_order = torch.arange(len(weights)).repeat_interleave(rows).index_select(0, order)
        scale = scale.index_select(0, order)
        to_table = functional.embedding_bag(of_order, weights, firsts, mode="sum", per_sample_weights=scale)
        to_vectors = table.new_zeros(ctx.vocabulary, table.shape[1])
        to_vectors.index_copy_(0, pieces, to_table[:-1])
        return to_vectors, None, None, *to_filters


def _window_pieces(places: torch.Tensor, lengths: torch.Tensor, span: int, beyond: int) -> torch.Tensor:
    """Return what stands under each window, (rows, pieces, span), from places (rows, pieces).

    Past the end of a row stands ``beyond``. Windows that would begin there are those of the row's last piece
    instead, which changes no maximum.
    """
    steps = torch.arange(places.shape[1])
    inside = places.masked_fill(steps >= lengths[:, None], beyond)
    windows = functional.pad(inside, (0, span - 1), value=beyond).unfold(1, span, 1)
    begins = steps.minimum((lengths[:, None] - 1).clamp(min=0))
    return windows[torch.arange(len(places))[:, None], begins]
