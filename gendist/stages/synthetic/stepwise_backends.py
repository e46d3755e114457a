"""Sampling back ends that run one decode step per call and draw its tokens on the CPU.

Tokens that rounding could change are redrawn from float64 logits, so that rows are the same for any batch.
"""

import copy
import inspect
from abc import abstractmethod
from typing import Any

import torch
from transformers import DynamicCache

from gendist.nn import devices
from gendist.nn.bf16_weights import float64_copy
from gendist.nn.int8_decoder import Int8Decoder
from gendist.nn.packed_linear import pack_linear_layers
from gendist.stages.synthetic.batch_slots import Slots
from gendist.stages.synthetic.gumbel_sampler import GumbelSampler
from gendist.stages.synthetic.sampling_backend import SamplingBackend


class StepwiseBackend(SamplingBackend):
    """Computes running rows only, so that the cost of a step follows the number of rows."""

    device = devices.CPU
    fixed_batch_size = False

    def __init__(self, sampler: GumbelSampler) -> None:
        """Draw tokens with ``sampler``."""
        self.sampler = sampler

    @abstractmethod
    def next_logits(self, slots: Slots, running: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a decode step for the rows in some slots, ``running`` (rows,).

        Returns:
            The slots that need a token, whose prompt has been read, and their logits (slots, vocabulary) float32.
        """

    @abstractmethod
    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the float64 logits (1, vocabulary) of one row's next token.

        Args:
            tokens: the row so far, prompt included, (1, tokens).
            logits: float32 logits of the same token, (1, vocabulary).
        """

    def advance(self, slots: Slots) -> int:
        """Run one decode step; return how many tokens were redrawn in float64."""
        running = torch.nonzero(slots.running)[:, 0]
        sampled, logits = self.next_logits(slots, running)
        tokens, is_running = torch.zeros_like(slots.positions), torch.zeros_like(slots.running)
        redrawn = 0
        if len(sampled):
            rows, steps = slots.numbers[sampled].numpy(), slots.generated[sampled].numpy()
            drawn, safe = (part.cpu() for part in self.sampler.draw(logits, rows, steps))
            for i in torch.nonzero(~safe)[:, 0].tolist():
                row_tokens = slots.tokens[sampled[i] : sampled[i] + 1, : slots.positions[sampled[i]] + 1]
                exact = self.exact_logits(row_tokens, logits[i : i + 1])
                drawn[i] = int(self.sampler.draw(exact, rows[i : i + 1], steps[i : i + 1])[0])
                redrawn += 1
            tokens[sampled] = drawn
        is_running[running] = True
        slots.append(tokens, is_running)
        slots.sync()
        return redrawn


class TransformersBackend(StepwiseBackend):
    """Any transformers causal language model, in float32; its weights may be in bf16.

    The rows of a batch start together. Shorter prompts are padded on the left where the architecture takes the
    positions of tokens as an input.
    """

    continuous_batching = False

    def __init__(self, model: Any, sampler: GumbelSampler) -> None:
        """Wrap a model in evaluation mode, which stays unchanged."""
        super().__init__(sampler)
        self.model = model
        self.fast_model = pack_linear_layers(copy.deepcopy(model)) if model.device.type == "cpu" else model
        self.mixed_prompts = "position_ids" in inspect.signature(model.base_model.forward).parameters
        self._cache: DynamicCache
        self._cached_slots: torch.Tensor
        self._mask: torch.Tensor | None = None
        """1 for cached tokens and 0 for padding, (cached slots, tokens); None without padding."""
        self._float64_model: Any = None

    def allocate(self, slots: Slots) -> None:
        """Do nothing: the KV cache grows with its rows."""

    def next_logits(self, slots: Slots, running: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Prefill on the first call, then decode one token per call."""
        if slots.positions[running[0]] == 0:
            self._prefill(slots, running)
        if len(running) < len(self._cached_slots):
            kept = torch.searchsorted(self._cached_slots, running)
            self._cache.batch_select_indices(kept.to(self.model.device))
            self._cached_slots = running
            self._mask = None if self._mask is None else self._mask[kept]
        positions = slots.positions[running][:, None]
        if self._mask is not None:
            self._mask = torch.cat([self._mask, torch.ones_like(positions)], 1)
        inputs = self._inputs(slots.tokens[running].gather(1, positions), positions)
        output = self.fast_model(**inputs)
        return running, output.logits[:, -1].float()

    def _prefill(self, slots: Slots, running: torch.Tensor) -> None:
        """Read all tokens of the prompts but the last."""
        self._cache, self._cached_slots = DynamicCache(config=self.model.config), running
        lengths = slots.prompt_lengths[running] - 1
        slots.positions[running] = lengths
        longest = int(lengths.max())
        columns = torch.arange(longest)[None, :] - (longest - lengths)[:, None]
        self._mask = (columns >= 0).long() if int(lengths.min()) < longest else None
        columns = columns.clamp(min=0)
        if longest:  # base_model: the prompt's logits are not needed
            self.fast_model.base_model(**self._inputs(slots.tokens[running].gather(1, columns), columns))

    def _inputs(self, tokens: torch.Tensor, positions: torch.Tensor) -> dict[str, Any]:
        """Return the model's inputs for tokens (rows, n) at these positions."""
        device = self.model.device
        inputs: dict[str, Any] = {"input_ids": tokens.to(device), "past_key_values": self._cache, "use_cache": True}
        if self._mask is not None:
            inputs |= {"attention_mask": self._mask.to(device), "position_ids": positions.to(device)}
        return inputs

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Run the row alone through a float64 copy of the model."""
        if self._float64_model is None:
            self._float64_model = float64_copy(self.model)
        output = self._float64_model(input_ids=tokens.to(self.model.device), use_cache=False)
        exact: torch.Tensor = output.logits[:, -1].double()
        return exact


class Int8Backend(StepwiseBackend):
    """GPT-2 and BERT causal models in int8."""

    continuous_batching = True

    def __init__(self, decoder: Int8Decoder, sampler: GumbelSampler) -> None:
        """Decode with ``decoder``, on a CPU."""
        super().__init__(sampler)
        self.decoder = decoder
        self._cache: Any = None

    def allocate(self, slots: Slots) -> None:
        """Allocate the KV cache."""
        self._cache = None  # freed first: both may not fit in memory
        self._cache = self.decoder.empty_cache(len(slots), slots.tokens.shape[1])

    def next_logits(self, slots: Slots, running: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run a decode step; prompts are read one token per step, like generated tokens."""
        positions = slots.positions[running]
        states = self.decoder.step(slots.tokens[running, positions], positions, self._cache, running)
        is_sampled = ~slots.in_prompt[running]
        if not is_sampled.all():
            running, states = running[is_sampled], states[is_sampled]
        return running, self.decoder.logits(states) if len(running) else states

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Return the same logits in float64: int8 logits are exact, only the draw's arithmetic is not."""
        return logits.double()
