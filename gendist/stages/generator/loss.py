"""Cross-entropy of a causal language model without the logits of a whole batch."""

from typing import Any

import torch

CHUNK_TOKENS, CHUNK_TOKENS_ON_GPU = 256, 2048
"""Tokens whose logits exist at once: 31 MB of float32 for 30,522 tokens, about what a processor's cache holds; a GPU
takes as many as its memory need not notice."""


class ChunkedCrossEntropy(torch.autograd.Function):
    """Summed cross-entropy of a linear output layer, its gradient computed with the loss, a chunk of tokens at a time.

    Logits of a batch (tokens x vocabulary) take more memory than everything else in a step, and fit no cache.
    The same idea on GPUs: Wijmans et al. 2024, Cut Your Losses.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, targets: torch.Tensor
    ) -> torch.Tensor:
        """Return the sum over tokens, in nats, float32.

        Args:
            ctx: of autograd.
            hidden: inputs of the output layer, (tokens, width).
            weight: (vocabulary, width).
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
                # The gradient of a token's logits is its probabilities, less one at its target.
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
        """Scale the gradients that ``forward`` computed."""
        return (*(None if kept is None else kept * gradients[0] for kept in ctx.saved_tensors), None)


def summed_loss(model: Any, ids: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """Return the summed negative log-likelihood, in nats, of each row's tokens given those before them.

    GPT-2 and BERT take ``ChunkedCrossEntropy``; other architectures compute their own loss.

    Args:
        model: causal language model.
        ids: token ids, (rows, tokens), padded on the right.
        mask: 1 for tokens and 0 for padding, (rows, tokens); None where nothing is padded, for which a GPU need not
            wait to know which tokens count.
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
