"""Rows go on by a token at a time, each of which is chosen on the spot: the way of a CPU."""

import torch

from gendist.nn import devices
from gendist.stages.synthetic.gumbel_sampler import TokenChooser
from gendist.stages.synthetic.stepwise_backends import Reader
from gendist.stages.synthetic.batch_slots import Slots


class Stepwise:
    """Reads the rows that are under way and no others: a step costs a CPU as much as there are rows in it."""

    device = devices.CPU
    """Where the slots are."""
    fixed_slots = False

    def __init__(self, reader: Reader, chooser: TokenChooser) -> None:
        """Take what reads, and what chooses."""
        self.reader, self.chooser = reader, chooser
        self.refills = reader.refills

    def begin(self, slots: Slots) -> None:
        """Make room for what the slots will hold."""
        self.reader.begin(slots)

    def advance(self, slots: Slots) -> int:
        """Let every row go on by a token; return how many were settled in float64."""
        rows, logits = self.reader.read(slots, read := torch.nonzero(slots.running)[:, 0])
        settled = 0
        tokens, going = torch.zeros_like(slots.places), torch.zeros_like(slots.running)
        if len(rows):
            numbers, steps = slots.numbers[rows].numpy(), slots.steps[rows].numpy()
            chosen, safe = (part.cpu() for part in self.chooser.choose(logits, numbers, steps))
            for i in torch.nonzero(~safe)[:, 0].tolist():
                # Decided in float64, where batch and device leave no trace.
                before = slots.texts[rows[i] : rows[i] + 1, : slots.places[rows[i]] + 1]
                exact = self.reader.exact_logits(before, logits[i : i + 1])
                chosen[i] = int(self.chooser.choose(exact, numbers[i : i + 1], steps[i : i + 1])[0])
                settled += 1
            tokens[rows] = chosen
        going[read] = True
        slots.accept(tokens, going)
        slots.look()
        return settled
