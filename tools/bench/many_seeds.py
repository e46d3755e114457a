"""Many seeds of a student on one GPU: side by side against a plain PyTorch loop, one seed after the other.

Timed by the clock.
"""

import torch

from gendist.config.student_settings import Training
from gendist.nn import devices
from gendist.stages.students.data import TrainingRows
from gendist.stages.students.pieces import Pieces
from gendist.stages.students.side_by_side import train_side_by_side
from tools.bench.material import gpu
from tools.bench.pairs import Case, Check
from tools.bench.training import BATCH, SPREAD, STUDENT, material, network, plain, plain_loop, points_apart, targets

SEEDS, STEPS = 20, 300


def cases(device: torch.device | None = None) -> list[Case]:
    """Return the pair: Kim on 14,000 rows of real lengths.

    Args:
        device: where both compute; by default on a GPU.

    Raises:
        LeftOutError: if there is no GPU.
    """
    device = device or gpu()
    listed, logits = material()
    encoded, rows = Pieces.of(listed), targets(logits)
    settings = Training(batch_size=BATCH, min_steps=STEPS, max_steps=STEPS, token_dropout=0.0)
    held = logits.to(device)

    def together(encoded: Pieces, rows: TrainingRows, settings: Training) -> list[torch.nn.Module]:
        students = [network(seed) for seed in range(SEEDS)]
        train_side_by_side(students, encoded, rows, STUDENT, settings, range(SEEDS), device)
        return students

    def ours() -> float:
        together(encoded, rows, settings)  # the weights are on the CPU after it: nothing is under way
        return SEEDS * BATCH * STEPS

    def theirs() -> float:
        with devices.any_kernels():  # as a plain loop has by default
            plain_loop(plain(0).to(device), listed, held, STEPS, 0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        return BATCH * STEPS

    with devices.any_kernels():
        apart = points_apart(together, SEEDS, device)
    check = Check(f"points of accuracy between the two, {SEEDS} seeds", apart, SPREAD)
    name = f"training, Kim, {SEEDS} seeds side by side"
    return [Case(name, "plain loop, one seed after the other", "rows", 5.0, ours, theirs, [check], wall=True)]
