"""Training many seeds of a student on one GPU: in parallel, against a plain PyTorch loop over the seeds.

Timed by wall clock.
"""

import torch

from gendist.config.student_settings import Training
from gendist.nn import devices
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.train_stacked import train_stacked
from gendist.stages.students.training_rows import TrainingRows
from tools.bench.bench_inputs import gpu
from tools.bench.timed_pairs import Case, Check
from tools.bench.training import (
    BATCH,
    MAX_GAP,
    STUDENT,
    accuracy_gap,
    network,
    plain_loop,
    plain_network,
    synthetic_targets,
    training_rows,
)

SEEDS, STEPS = 20, 300


def cases(device: torch.device | None = None) -> list[Case]:
    """Return the case: Kim on 14,000 rows of real lengths.

    Args:
        device: device of both; a GPU by default.

    Raises:
        SkippedError: if no GPU is available.
    """
    device = device or gpu()
    listed, logits = training_rows()
    encoded, rows = PieceIds.of(listed), synthetic_targets(logits)
    settings = Training(batch_size=BATCH, min_steps=STEPS, max_steps=STEPS, token_dropout=0.0)
    device_logits = logits.to(device)

    def together(encoded: PieceIds, rows: TrainingRows, settings: Training) -> list[torch.nn.Module]:
        students = [network(seed) for seed in range(SEEDS)]
        train_stacked(students, encoded, rows, student=STUDENT, training=settings, seeds=range(SEEDS), device=device)
        return students

    def ours() -> float:
        together(encoded, rows, settings)  # it ends with a copy of the weights to the CPU
        return SEEDS * BATCH * STEPS

    def theirs() -> float:
        with devices.allow_nondeterministic():  # the default of PyTorch
            plain_loop(plain_network(0).to(device), listed, device_logits, steps=STEPS, seed=0)
            if device.type == "cuda":
                torch.cuda.synchronize(device)
        return BATCH * STEPS

    with devices.allow_nondeterministic():
        gap = accuracy_gap(together, SEEDS, device)
    check = Check(f"difference in accuracy points, {SEEDS} seeds", gap, MAX_GAP)
    name = f"training, Kim, {SEEDS} seeds in parallel"
    return [Case(name, "plain loop, one seed at a time", "rows", 5.0, ours, theirs, [check], wall=True)]
