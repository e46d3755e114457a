"""Batch slots: each slot has one running row, with its own position, and is reused when the row finishes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class GeneratedRow:
    """A generated row: its number in the pool, its tokens without the prompt, and whether an end token stopped it."""

    number: int
    tokens: list[int]
    stopped: bool


@dataclass(frozen=True)
class RowRequest:
    """A row to generate."""

    number: int
    prompt: list[int]
    """The start token and the tokens that the row continues."""
    max_new_tokens: int
    """Tokens after the prompt at which the row is cut; at least one."""


class Slots:
    """State of the running rows. Tensors have one entry per slot and are updated in place.

    All updates are tensor operations without synchronisation, so that a CUDA graph can capture them; ``sync`` alone
    waits for the device and copies the state to the host.
    """

    def __init__(self, count: int, longest: int, end: int, device: torch.device) -> None:
        """Allocate free slots.

        Args:
            count: number of slots.
            longest: maximum length of a row, prompt included.
            end: id of the end token.
            device: device of the tensors.
        """
        self.end, self.longest, self.device = end, longest, device

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.tokens = zeros(count, longest + 1)  # one more column, written by rows that have finished
        self.positions = zeros(count)
        """Position of the next input token; all tokens up to it are known."""
        self.numbers, self.prompt_lengths, self.max_lengths = zeros(count), zeros(count), zeros(count)
        """Row number in the pool, length of the prompt, maximum length of prompt and row."""
        self.running, self.stopped = (zeros(count, dtype=torch.bool) for _ in range(2))
        """Not finished; finished by the end token."""
        self.occupied = np.zeros(count, bool)
        self.host_running, self.host_stopped, self.host_positions = np.zeros((3, count), np.int64)
        """Copies from the last ``sync``."""

    def __len__(self) -> int:
        """Return the number of slots."""
        return len(self.positions)

    @property
    def free(self) -> np.ndarray:
        """Return the indices of the free slots."""
        return np.flatnonzero(~self.occupied)

    def clear(self) -> None:
        """Free all slots."""
        self.running.zero_()
        self.occupied[:] = False

    def start(self, requests: Iterable[RowRequest]) -> None:
        """Start rows in free slots."""
        pairs = list(zip(self.free.tolist(), requests, strict=False))
        if not pairs:
            return
        slots, tokens = [slot for slot, _ in pairs], np.zeros((len(pairs), self.tokens.shape[1]), np.int64)
        numbers = np.zeros((3, len(pairs)), np.int64)
        for i, (_, request) in enumerate(pairs):
            length = len(request.prompt)
            tokens[i, :length] = request.prompt
            numbers[:, i] = request.number, length, length + request.max_new_tokens
        indices = torch.tensor(slots, device=self.device)
        self.tokens[indices] = torch.from_numpy(tokens).to(self.device)
        on_device = torch.from_numpy(numbers).to(self.device)
        self.numbers[indices], self.prompt_lengths[indices], self.max_lengths[indices] = on_device
        self.positions[indices], self.stopped[indices] = 0, False
        self.running[indices] = True
        self.occupied[slots] = True
        self.host_running[slots], self.host_stopped[slots], self.host_positions[slots] = 1, 0, 0

    @property
    def generated(self) -> torch.Tensor:
        """Return the number of tokens that each row has after its prompt; negative during prefill."""
        return self.positions + 1 - self.prompt_lengths

    @property
    def in_prompt(self) -> torch.Tensor:
        """Return for which rows the next token is in the prompt."""
        return self.positions + 1 < self.prompt_lengths

    def append(self, tokens: torch.Tensor, advancing: torch.Tensor) -> None:
        """Advance rows by one token, that of the prompt or the drawn one.

        Args:
            tokens: drawn tokens, (slots,).
            advancing: which rows advance, (slots,) bool.
        """
        after, in_prompt = (self.positions + 1)[:, None], self.in_prompt
        prompt_tokens = self.tokens.gather(1, after)[:, 0]
        self.tokens.scatter_(1, after, torch.where(advancing & ~in_prompt, tokens, prompt_tokens)[:, None])
        self.positions += advancing
        ends = advancing & ~in_prompt & (tokens == self.end)
        self.stopped |= ends
        self.running &= ~ends & (self.positions + 1 < self.max_lengths)

    def sync(self) -> None:
        """Wait for the device and copy the state of the rows to the host."""
        state = torch.stack([self.running.long(), self.stopped.long(), self.positions])
        self.host_running, self.host_stopped, self.host_positions = state.cpu().numpy()

    def pop_finished(self) -> Iterator[GeneratedRow]:
        """Yield the rows that were finished at the last ``sync``, and free their slots."""
        done = np.flatnonzero(self.occupied & (self.host_running == 0))
        if not len(done):
            return
        indices = torch.from_numpy(done).to(self.device)
        tokens, numbers = self.tokens[indices].tolist(), self.numbers[indices].tolist()
        prompts = self.prompt_lengths[indices].tolist()
        self.occupied[done] = False
        for i, slot in enumerate(done.tolist()):
            stopped, position = bool(self.host_stopped[slot]), int(self.host_positions[slot])
            yield GeneratedRow(numbers[i], tokens[i][prompts[i] : position + (not stopped)], stopped)
