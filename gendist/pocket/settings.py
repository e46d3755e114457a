"""Settings of the generator's pretraining."""

from dataclasses import asdict, dataclass
from pathlib import Path

from gendist.errors import GendistError


@dataclass(frozen=True)
class Pretraining:
    """Settings of the pretraining run."""

    corpus: Path
    """Folder of Parquet files with a column ``text``."""
    out: Path
    """Folder for the checkpoint, the curve and the finished body."""
    tokens: int = 10_000_000
    """Tokens to train on; raise it and run again to go on from the checkpoint."""
    window: int = 128
    """Tokens in a training sequence."""
    batch: int = 32
    """Sequences in a step, over all workers."""
    workers: int = 2
    """Data-parallel processes (one thread each on a CPU)."""
    peak_lr: float = 7.0e-4
    warmup_steps: int = 100
    decay_share: float = 0.3
    """Last share of the steps, over which the learning rate falls to zero."""
    weight_decay: float = 0.05
    held_out_articles: int = 300
    """Articles at the head of the corpus that are never trained on."""
    checkpoint_every: int = 200
    """Steps between checkpoints, each with a held-out score."""
    report_every: int = 20
    """Steps between log lines and points of the curve."""
    seed: int = 0
    base: Path | None = None
    """Folder of the encoder to start from; the embedded one by default."""

    def __post_init__(self) -> None:
        if self.batch % self.workers:
            raise GendistError(f"batch of {self.batch} sequences cannot be shared equally by {self.workers} workers")
        if self.steps < 1:
            raise GendistError(f"{self.tokens} tokens are less than one step of {self.batch} x {self.window}")
        if self.held_out_articles < 1 or not 0 < self.decay_share <= 1:
            raise GendistError("held_out_articles must be at least 1 and decay_share above 0 and at most 1")

    @property
    def steps(self) -> int:
        """Optimiser steps that ``tokens`` amount to."""
        return self.tokens // (self.batch * self.window)

    @property
    def step_tokens(self) -> int:
        """Tokens in one optimiser step."""
        return self.batch * self.window

    @property
    def body(self) -> Path:
        """The finished product: the trained weights in float16."""
        return self.out / "body.safetensors"

    @property
    def checkpoint(self) -> Path:
        """Float32 weights and both moments of the optimiser."""
        return self.out / "checkpoint.safetensors"

    @property
    def recipe(self) -> dict[str, int | float]:
        """The settings that the finished body depends on, its seed aside."""
        names = ("tokens", "window", "batch", "peak_lr", "warmup_steps", "decay_share", "weight_decay")
        return {name: asdict(self)[name] for name in (*names, "held_out_articles")}

    @property
    def identity(self) -> dict[str, str]:
        """What a checkpoint must have been made with to be gone on from."""
        return {name: str(asdict(self)[name]) for name in ("window", "batch", "seed")}
