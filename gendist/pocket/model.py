"""The pocket generator's network: the embedded encoder as a causal language model.

A sentence encoder already knows what words mean; given a causal mask and a
language-model head tied to its word embeddings, it becomes a generator that a
GPT-2 from scratch overtakes only after far more text. The word embeddings
(half of the weights) stay frozen, so that only the trained body has to ship.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from tokenizers import Tokenizer
from transformers import BertConfig, BertLMHeadModel

from gendist.errors import GendistError
from gendist.pocket.encoder import encoder_folder

WORD_EMBEDDINGS = "bert.embeddings.word_embeddings.weight"
START, END, PADDING, UNKNOWN = "[CLS]", "[SEP]", "[PAD]", "[UNK]"
"""An encoder has no begin- and end-of-text tokens; these frame every text that it was trained on."""


def encoder_tokenizer(base: Path | None = None) -> Tokenizer:
    """The encoder's WordPiece without the truncation and padding to 128 that its file asks for.

    Args:
        base: folder of the encoder; the embedded one by default.
    """
    tokenizer = Tokenizer.from_file(str((base or encoder_folder()) / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def boundaries(tokenizer: Tokenizer) -> tuple[int, int]:
    """Return the ids of the start and end token.

    Raises:
        GendistError: if the tokenizer has none.
    """
    start, end = tokenizer.token_to_id(START), tokenizer.token_to_id(END)
    if start is None or end is None:
        raise GendistError(f"the base encoder's tokenizer has no {START} and {END} tokens to frame texts with")
    return start, end


def causal_config(base: Path) -> BertConfig:
    """The encoder's configuration with a causal mask, boundary tokens and no dropout."""
    config = BertConfig.from_pretrained(base)
    config.is_decoder = config.use_cache = True
    config.hidden_dropout_prob = config.attention_probs_dropout_prob = 0.0
    config.bos_token_id, config.eos_token_id = boundaries(encoder_tokenizer(base))
    config.architectures = ["BertLMHeadModel"]
    return config


def warm_start(unigram_counts: np.ndarray | None = None, base: Path | None = None) -> BertLMHeadModel:
    """Build the causal model from an encoder's weights.

    The head's bias starts at the log unigram frequencies (and stays there: the loss takes no
    gradient of it) and its transform at the identity, so that the first step is already better
    than chance.

    Args:
        unigram_counts: occurrences of each token id, shape (vocabulary,).
        base: folder of the encoder; the embedded one by default.
    """
    base = base or encoder_folder()
    model = BertLMHeadModel(causal_config(base))
    model.loss_type = "ForCausalLM"  # what transformers falls back to for this class, with a warning
    stored = load_file(base / "model.safetensors")
    names = [n for n in stored if n.startswith(("embeddings.", "encoder.")) and "position_ids" not in n]
    missing, unexpected = model.load_state_dict({f"bert.{n}": stored[n] for n in names}, strict=False)
    if unexpected or any(not name.startswith("cls.") for name in missing):
        raise RuntimeError(f"encoder weights do not fit: missing {missing}, unexpected {unexpected}")
    head = model.cls.predictions
    with torch.no_grad():
        torch.nn.init.eye_(head.transform.dense.weight)
        head.transform.dense.bias.zero_()
        if unigram_counts is not None:
            frequency = (unigram_counts + 0.1) / (unigram_counts + 0.1).sum()
            head.bias.copy_(torch.from_numpy(np.log(frequency)).float())
    model.tie_weights()
    model.get_parameter(WORD_EMBEDDINGS).requires_grad_(False)
    return model


def trained_parameters(model: torch.nn.Module) -> list[tuple[str, torch.nn.Parameter]]:
    """The body: every parameter but the frozen word embeddings and what is tied to them."""
    return [(name, p) for name, p in model.named_parameters() if p.requires_grad]


def load_body(model: torch.nn.Module, file: Path) -> None:
    """Copy a trained body (float16) into a warm-started model, in the model's own precision.

    Raises:
        GendistError: if the file is damaged or holds other tensors than the model trains.
    """
    try:
        body = load_file(file)
    except (OSError, SafetensorError) as error:
        raise GendistError(f"{file}: not a readable safetensors file ({error})") from None
    parameters = dict(trained_parameters(model))
    if {n: t.shape for n, t in body.items()} != {n: p.shape for n, p in parameters.items()}:
        raise GendistError(f"{file}: its tensors are not those of this encoder's body")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(body[name])


class TiedCrossEntropy(torch.autograd.Function):
    """Mean cross-entropy of a frozen, tied output layer, computed in chunks.

    Logits of a whole batch (tokens x vocabulary) would not fit any cache; each
    chunk's gradient is taken at once and the logits are dropped.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """Hidden is (tokens, width), weight (vocabulary, width), bias (vocabulary,), target (tokens,)."""
        grad = torch.empty_like(hidden)
        loss = hidden.new_zeros((), dtype=torch.float32)
        chunk = 512  # 31 MB of bf16 logits for 30,522 pieces
        for i in range(0, len(hidden), chunk):
            probs = torch.softmax(torch.addmm(bias, hidden[i : i + chunk], weight.t()), 1)
            rows, gold = torch.arange(len(probs), device=probs.device), target[i : i + chunk]
            loss -= probs[rows, gold].float().clamp_min(1e-9).log().sum()
            probs[rows, gold] -= 1
            grad[i : i + chunk] = probs @ weight
        ctx.save_for_backward(grad)
        return loss / len(hidden)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None, None, None]:
        """Scale the gradient that ``forward`` kept."""
        (grad,) = ctx.saved_tensors
        return grad * (grads[0] / len(grad)), None, None, None
