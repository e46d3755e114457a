"""Students of several seeds: side by side on a GPU, one after the other on a CPU."""

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch

from gendist.config.student_settings import Student, Training
from gendist.jobs.progress_log import Progress
from gendist.nn import devices
from gendist.stages.students.data import TrainingRows
from gendist.stages.students.pieces import Pieces
from gendist.stages.students.side_by_side import train_side_by_side
from gendist.stages.students.stack import Stack, stackable
from gendist.stages.students.train import student_logits, train_student

log = logging.getLogger(__name__)


def fitted_seeds(
    build_one: Callable[[], torch.nn.Module],
    encoded: Pieces,
    rows: TrainingRows,
    student: Student,
    training: Training,
    seeds: Sequence[int],
    device: torch.device,
    progress: Progress | None = None,
) -> list[torch.nn.Module]:
    """Return a student of each seed, trained.

    Args:
        build_one: builds a network; torch is seeded before.
        encoded: piece ids of each row.
        rows: targets of each row.
        student: names the distillation loss.
        training: schedule.
        seeds: one for each network.
        device: from ``device_for``; on the CPU, each network is the one that it would be alone.
        progress: counts the steps on a CPU, where this training is a part of something longer.
    """
    networks = []
    for seed in seeds:
        torch.manual_seed(seed)
        networks.append(build_one())
        if device == devices.CPU:
            train_student(networks[-1], encoded, rows, student, training, seed, progress)
    if device != devices.CPU:
        train_side_by_side(networks, encoded, rows, student, training, seeds, device)
    return networks


def logits_of_seeds(networks: Sequence[torch.nn.Module], encoded: Pieces, device: torch.device) -> list[np.ndarray]:
    """Return each network's float32 logits (rows, classes) of the same rows, in their order."""
    if device == devices.CPU:
        return [student_logits(network, encoded) for network in networks]
    return list(Stack(networks, device).logits(encoded))


def device_for(build_one: Callable[[], torch.nn.Module], device: torch.device) -> torch.device:
    """Return the device, or the CPU in place of a GPU for networks that cannot be stacked."""
    if device == devices.CPU or stackable(network := build_one()):
        return device
    log.info("%s cannot be trained side by side: one seed after the other, on the CPU", type(network).__name__)
    return devices.CPU
