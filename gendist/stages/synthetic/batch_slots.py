"""Where rows are written side by side: a slot holds a row, at a place of its own, until that ends and another comes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Row:
    """A generated row: its number in the pool, its tokens without the prompt, and whether it ended by itself."""

    number: int
    tokens: list[int]
    stopped: bool


@dataclass(frozen=True)
class Task:
    """A row to generate."""

    number: int
    prompt: list[int]
    """The start token, and the tokens that the row continues."""
    most: int
    """Tokens of the row, the prompt not counted, after which it is cut; at least one."""


class Slots:
    """Rows under way. All tensors have an entry for each slot, and are changed in place while their number stays.

    What is here is the same for rows that are read one token after the other on a CPU, and for whole steps on a GPU,
    which cannot wait for anything: ``accept`` works on all slots alike, and ``look`` is the one place that waits.
    """

    def __init__(self, count: int, longest: int, end: int, device: torch.device) -> None:
        """Make free slots for rows of up to ``longest`` tokens with their prompts, which the token ``end`` ends."""
        self.end, self.device = end, device

        def zeros(*shape: int, dtype: torch.dtype = torch.int64) -> torch.Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.texts = zeros(count, longest + 1)  # one more, for rows that have ended to point at
        self.places = zeros(count)
        """The token to be read next; all up to it are known."""
        self.numbers, self.prompts, self.limits = zeros(count), zeros(count), zeros(count)
        """Number in the pool, tokens of the prompt, and of the prompt and the longest text."""
        self.running, self.ended = (zeros(count, dtype=torch.bool) for _ in range(2))
        """Still being written; ended by the end token."""
        self.taken = np.zeros(count, bool)
        self.seen = np.zeros((3, count), np.int64)
        """Of each slot when last looked at: running, ended, place."""

    def __len__(self) -> int:
        """Return how many slots there are."""
        return len(self.places)

    @property
    def free(self) -> np.ndarray:
        """Return the numbers of the slots that hold no row."""
        return np.flatnonzero(~self.taken)

    def put(self, tasks: Iterable[Task]) -> None:
        """Let rows begin in free slots."""
        pairs = list(zip(self.free.tolist(), tasks, strict=False))
        if not pairs:
            return
        slots, texts = [slot for slot, _ in pairs], np.zeros((len(pairs), self.texts.shape[1]), np.int64)
        numbers = np.zeros((3, len(pairs)), np.int64)
        for i, (_, task) in enumerate(pairs):
            texts[i, : len(task.prompt)] = task.prompt
            numbers[:, i] = task.number, len(task.prompt), len(task.prompt) + task.most
        where = torch.tensor(slots, device=self.device)
        self.texts[where] = torch.from_numpy(texts).to(self.device)
        self.numbers[where], self.prompts[where], self.limits[where] = torch.from_numpy(numbers).to(self.device)
        self.places[where], self.ended[where] = 0, False
        self.running[where] = True
        self.taken[slots] = True
        self.seen[:, slots] = np.array([1, 0, 0])[:, None]

    @property
    def steps(self) -> torch.Tensor:
        """Return how many tokens each row has so far."""
        return self.places + 1 - self.prompts

    @property
    def given(self) -> torch.Tensor:
        """Return for which rows the prompt says what comes next."""
        return self.places + 1 < self.prompts

    def accept(self, tokens: torch.Tensor, going: torch.Tensor) -> None:
        """Let some rows go on by a token: that of their prompt, or the one that is given.

        Args:
            tokens: one for each slot, (slots,).
            going: which rows go on, (slots,).
        """
        after, given = (self.places + 1)[:, None], self.given
        before = self.texts.gather(1, after)[:, 0]
        self.texts.scatter_(1, after, torch.where(going & ~given, tokens, before)[:, None])
        self.places += going
        last = going & ~given & (tokens == self.end)
        self.ended |= last
        self.running &= ~last & (self.places + 1 < self.limits)

    def look(self) -> None:
        """See how far the rows have come."""
        states = torch.stack([self.running.long(), self.ended.long(), self.places])
        self.seen = states.cpu().numpy()

    def take(self) -> Iterator[Row]:
        """Yield the rows that had ended when last looked at; their slots are free then."""
        done = np.flatnonzero(self.taken & (self.seen[0] == 0))
        if not len(done):
            return
        where = torch.from_numpy(done).to(self.device)
        texts, numbers = self.texts[where].tolist(), self.numbers[where].tolist()
        prompts = self.prompts[where].tolist()
        self.taken[done] = False
        for i, slot in enumerate(done.tolist()):
            ended, place = bool(self.seen[1, slot]), int(self.seen[2, slot])
            yield Row(numbers[i], texts[i][prompts[i] : place + (not ended)], ended)
