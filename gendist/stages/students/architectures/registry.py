"""Registry of architectures."""

from collections.abc import Callable
from typing import TypeVar

import torch

from gendist.config.student_settings import Student
from gendist.errors import GendistError

ARCHITECTURES: dict[str, Callable[[torch.Tensor, Student, int], torch.nn.Module]] = {}

T = TypeVar("T", bound=type[torch.nn.Module])


def register(name: str) -> Callable[[T], T]:
    """Register a network class as ``name`` for ``students.*.architecture``."""

    def decorate(network: T) -> T:
        ARCHITECTURES[name] = network
        return network

    return decorate


def build(vectors: torch.Tensor, settings: Student, classes: int) -> torch.nn.Module:
    """Build a student over pretrained vectors (vocabulary, width).

    Raises:
        GendistError: if the architecture is unknown.
    """
    if settings.architecture not in ARCHITECTURES:
        known = ", ".join(sorted(ARCHITECTURES))
        raise GendistError(f"students: architecture '{settings.architecture}' is unknown; accepted: {known}")
    return ARCHITECTURES[settings.architecture](vectors, settings, classes)


def embed(embedding: torch.nn.Embedding, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Embed ids, zero at padding: (rows, pieces) to (rows, width, pieces)."""
    return (embedding(ids) * mask[..., None]).transpose(1, 2)
