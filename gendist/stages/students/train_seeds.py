"""Train a student with several seeds: stacked on a GPU, sequentially on a CPU."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gendist.config.student_settings import Student, Training
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.students.piece_ids import PieceIds
from gendist.stages.students.stacked_networks import StackedNetworks, can_stack
from gendist.stages.students.train_stacked import train_stacked
from gendist.stages.students.train_student import predict_student, train_student
from gendist.stages.students.training_rows import TrainingRows
from gendist.stages.students.wide_kim import WideKim

log = logging.getLogger(__name__)


def train_seeds(
    build_network: Callable[[], torch.nn.Module],
    encoded: PieceIds,
    rows: TrainingRows,
    *,
    student: Student,
    training: Training,
    seeds: Sequence[int],
    device: torch.device,
    progress: Progress | None = None,
) -> list[torch.nn.Module]:
    """Train one network per seed.

    Args:
        build_network: creates a network; torch is seeded before each call.
        encoded: piece ids of each row.
        rows: targets of each row.
        student: settings with the distillation loss.
        training: training settings.
        seeds: seed of each network.
        device: from ``training_device``. On the CPU, each network is bitwise independent of the other seeds.
        progress: step counter of a longer job, used on the CPU.

    Returns:
        The trained networks, in the order of the seeds; folded if they have wide vectors.
    """
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks.append(build_network())
        if device == devices.CPU:
            train_student(networks[-1], encoded, rows, student=student, training=training, seed=seed, progress=progress)
    if device != devices.CPU:
        train_stacked(networks, encoded, rows, student=student, training=training, seeds=seeds, device=device)
    return [network.folded() if isinstance(network, WideKim) else network for network in networks]


def predict_seeds(networks: Sequence[torch.nn.Module], encoded: PieceIds, device: torch.device) -> list[np.ndarray]:
    """Return the float32 logits (rows, classes) of each network for the same rows, in input order."""
    if device == devices.CPU:
        return [predict_student(network, encoded) for network in networks]
    return list(StackedNetworks(networks, device).logits(encoded))


def training_device(build_network: Callable[[], torch.nn.Module], device: torch.device) -> torch.device:
    """Return the device, or the CPU if the network cannot be stacked."""
    if device == devices.CPU or can_stack(network := build_network()):
        return device
    log.info("%s does not support stacked training: training the seeds sequentially on the CPU", type(network).__name__)
    return devices.CPU
