"""Settings and file locations of a pretraining run of the generator."""

from dataclasses import asdict, dataclass
from pathlib import Path

from gendist.errors import GendistError
from gendist.nn.pocket.packaged_files import WEIGHTS

HELD_OUT = "held_out_nats_per_token"
"""Key of the held-out score in the records of a training curve."""


@dataclass(frozen=True)
class Pretraining:
    """Settings of the pretraining run; the defaults are those of the packaged generator."""

    corpora: tuple[Path, ...]
    """Folders of Parquet files with a column ``text``; a folder listed twice is read twice per epoch."""
    out: Path
    """Output folder; ``generator/`` contains checkpoint, curve and model."""
    seconds: float = 480.0
    """Training time without compilation, evaluation and checkpoints; raise it and rerun to continue training."""
    layers: int = 12
    """Layers of the generator; layer i is initialised from encoder layer i modulo the encoder depth."""
    window: int = 256
    """Tokens in a training sequence."""
    batch: int = 256
    """Sequences per step."""
    muon_lr: float = 2.0e-3
    """Peak learning rate of Muon, for block matrices."""
    adamw_lr: float = 1.0e-3
    """Peak learning rate of AdamW, for all other weights."""
    weight_decay: float = 0.1
    """Weight decay of the block matrices."""
    warmup_steps: int = 200
    decay_share: float = 0.45
    """Final share of the time with linear decay of the learning rates to zero."""
    held_out_articles: int = 300
    """Number of held-out articles, at the start of the first corpus."""
    checkpoint_seconds: float = 40.0
    """Training time between checkpoints and held-out evaluations."""
    report_steps: int = 25
    """Steps between log lines and records of the curve."""
    seed: int = 0
    base: Path | None = None
    """Folder of the initial encoder; None uses the embedded one."""

    def __post_init__(self) -> None:
        for name in ("seconds", "layers", "window", "batch", "held_out_articles", "decay_share"):
            if not getattr(self, name) > 0:
                raise GendistError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.decay_share > 1:
            raise GendistError(f"decay_share must be at most 1, not {self.decay_share}")
        if self.corpora[0] in self.corpora[1:]:
            raise GendistError(
                f"corpus {self.corpora[0]}: the first corpus contains the held-out articles; list it once"
            )

    @property
    def step_tokens(self) -> int:
        """Tokens per optimizer step."""
        return self.batch * self.window

    @property
    def weights(self) -> Path:
        """Int8 weights of the finished model."""
        return self.out / WEIGHTS

    @property
    def checkpoint(self) -> Path:
        """Checkpoint with float32 weights and optimizer state."""
        return self.weights.with_name("checkpoint.safetensors")

    @property
    def curve(self) -> Path:
        """Training loss and held-out scores, one JSON object per line."""
        return self.weights.with_name("curve.jsonl")

    @property
    def recipe(self) -> dict[str, int | float | str]:
        """Settings that affect the weights, without the seed."""
        excluded = {"corpora", "out", "checkpoint_seconds", "report_steps", "seed", "base"}
        values = {name: value for name, value in asdict(self).items() if name not in excluded}
        return values | {"corpora": ", ".join(folder.resolve().name for folder in self.corpora)}

    @property
    def identity(self) -> dict[str, int]:
        """Settings that must match to resume from a checkpoint."""
        return {"layers": self.layers, "window": self.window, "batch": self.batch, "seed": self.seed}
