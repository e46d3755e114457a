"""Sampling back ends that run one decode step per call and draw its tokens on the CPU.

Tokens that rounding could change are redrawn from float64 logits, so that rows are the same for any batch.
"""

import copy
from abc import abstractmethod
from typing import Any

import torch
from transformers import DynamicCache

from gendist.nn import devices
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
    """Any transformers causal language model in float32.

    All rows are at the same position, because architectures differ in how they number positions.
    """

    continuous_batching = False

    def __init__(self, model: Any, sampler: GumbelSampler) -> None:
        """Wrap a model in evaluation mode, which stays unchanged."""
        super().__init__(sampler)
        self.model = model
        self.fast_model = pack_linear_layers(copy.deepcopy(model)) if model.device.type == "cpu" else model
        self._cache: DynamicCache
        self._cached_slots: torch.Tensor
        self._float64_model: Any = None

    def allocate(self, slots: Slots) -> None:
        """Do nothing: the KV cache grows with its rows."""

    def next_logits(self, slots: Slots, running: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Prefill on the first call, then decode one token per call."""
        if slots.positions[running[0]] == 0:
            self._cache, self._cached_slots = DynamicCache(config=self.model.config), running
            slots.positions[running] = slots.prompt_lengths[running] - 1
            prompts = slots.tokens[running, : int(slots.positions[running[0]])].to(self.model.device)
            if prompts.shape[1]:  # base_model: the prompt's logits are not needed
                self.fast_model.base_model(input_ids=prompts, past_key_values=self._cache, use_cache=True)
        if len(running) < len(self._cached_slots):
            self._cache.batch_select_indices(torch.searchsorted(self._cached_slots, running).to(self.model.device))
            self._cached_slots = running
        tokens = slots.tokens[running, slots.positions[running]][:, None].to(self.model.device)
        output = self.fast_model(input_ids=tokens, past_key_values=self._cache, use_cache=True)
        return running, output.logits[:, -1].float()

    def exact_logits(self, tokens: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """Run the row alone through a float64 copy of the model."""
        if self._float64_model is None:
            self._float64_model = copy.deepcopy(self.model).double()
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
