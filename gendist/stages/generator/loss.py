"""Cross-entropy loss of a causal language model, without storing the logits of a batch."""

from typing import Any

import torch

CHUNK_TOKENS, CHUNK_TOKENS_ON_GPU = 256, 2048
"""Tokens per chunk of logits: 31 MB of float32 for a vocabulary of 30,522, about the size of a CPU's cache; on a GPU, a
negligible part of its memory."""


class ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of a linear output layer; loss and gradient are computed together, in chunks of tokens.

    The logits of a batch (tokens x vocabulary) would take more memory than the rest of a training step. The same idea
    for GPUs: Wijmans et al. 2024, Cut Your Losses.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return the loss summed over tokens, in nats, float32.

        Args:
            ctx: autograd context.
            hidden: hidden states, (tokens, width).
            weight: of the output layer, (vocabulary, width).
            bias: (vocabulary,), or None.
            targets: token ids, (tokens,).
        """
        needs_hidden, needs_weight, needs_bias, _ = ctx.needs_input_grad
        device, dtype = hidden.device.type, hidden.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        with torch.autocast(device, enabled=False):
            matrix, offset = weight.to(dtype), None if bias is None else bias.to(dtype)
            hidden_gradient = torch.empty_like(hidden) if needs_hidden else None
            weight_gradient = torch.zeros_like(weight) if needs_weight else None
            bias_gradient = torch.zeros_like(bias) if needs_bias and bias is not None else None
            loss = torch.zeros((), device=hidden.device)
            size = CHUNK_TOKENS_ON_GPU if hidden.is_cuda else CHUNK_TOKENS
            for first in range(0, len(hidden), size):
                inputs = hidden[first : first + size].to(dtype)
                gold = targets[first : first + size, None]
                scores = torch.nn.functional.linear(inputs, matrix, offset).float()
                scores -= scores.amax(1, keepdim=True)
                loss -= scores.gather(1, gold).sum()
                total = scores.exp_().sum(1, keepdim=True)
                loss += total.log().sum()
                # The gradient with respect to a token's logits is softmax(logits) - one_hot(target).
                if hidden_gradient is not None:
                    expected = (scores.to(dtype) @ matrix).float() / total
                    hidden_gradient[first : first + size] = expected - weight[gold[:, 0]]
                if weight_gradient is not None or bias_gradient is not None:
                    error = scores.div_(total).scatter_add_(1, gold, -torch.ones_like(total))
                    if weight_gradient is not None:
                        weight_gradient += error.to(dtype).t() @ inputs
                    if bias_gradient is not None:
                        bias_gradient += error.sum(0)
        ctx.save_for_backward(hidden_gradient, weight_gradient, bias_gradient)
        return loss

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of ``forward``, scaled by that of the loss."""
        return (*(None if kept is None else kept * gradients[0] for kept in ctx.saved_tensors), None)


def summed_loss(model: Any, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the negative log-likelihood of next tokens, in nats, summed over all rows.

    GPT-2 and BERT use ``ChunkedCrossEntropy``, other architectures their own loss.

    Args:
        model: causal language model.
        ids: token ids, (rows, tokens), padded on the right.
        mask: 1 for tokens and 0 for padding, (rows, tokens); None without padding, which avoids a synchronisation of
            the GPU.
    """
    if model.config.model_type not in ("gpt2", "bert"):
        labels = ids if mask is None else ids.masked_fill(mask == 0, -100)
        loss: torch.Tensor = model(input_ids=ids, attention_mask=mask, labels=labels).loss
        return loss * (labels[:, 1:] != -100).sum()
    hidden, targets = model.base_model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1], ids[:, 1:]
    if mask is None:
        hidden, targets = hidden.flatten(0, 1), targets.flatten()
    else:
        predicted = mask[:, 1:].bool()
        hidden, targets = hidden[predicted], targets[predicted]
    if model.config.model_type == "bert":
        hidden = model.cls.predictions.transform(hidden)
    output = model.get_output_embeddings()
    summed: torch.Tensor = ChunkedCrossEntropy.apply(hidden, output.weight, output.bias, targets)
    return summed
