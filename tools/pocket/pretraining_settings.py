"""Settings of the generator's pretraining, and where a run keeps its files."""

from dataclasses import asdict, dataclass
from pathlib import Path

from gendist.errors import GendistError
from gendist.nn.pocket.packaged import WEIGHTS

HELD_OUT = "held_out_nats_per_token"
"""Key of the held-out score in the records of a training curve."""


@dataclass(frozen=True)
class Pretraining:
    """Settings of the pretraining run; the defaults are those of the packaged generator."""

    corpora: tuple[Path, ...]
    """Folders of Parquet files with a column ``text``; one that is listed twice is read twice per pass."""
    out: Path
    """Folder that gets ``generator/`` with the checkpoint, the curve and the finished model."""
    seconds: float = 480.0
    """Training time, without compiling, scoring and saving; raise it and rerun to train on from the checkpoint."""
    layers: int = 12
    """Layers of the generator; layer i starts as layer i modulo the encoder's number of layers."""
    window: int = 256
    """Tokens in a training sequence."""
    batch: int = 256
    """Sequences per step."""
    muon_lr: float = 2.0e-3
    """Peak rate of Muon, for the matrices of the blocks."""
    adamw_lr: float = 1.0e-3
    """Peak rate of AdamW, for all other weights."""
    weight_decay: float = 0.1
    """Of the matrices of the blocks."""
    warmup_steps: int = 200
    decay_share: float = 0.45
    """Last share of the time, over which the learning rates fall to zero."""
    held_out_articles: int = 300
    """Articles at the head of the first corpus that are never trained on."""
    checkpoint_seconds: float = 40.0
    """Training time between checkpoints, each with a held-out score."""
    report_steps: int = 25
    """Steps between log lines and points of the curve."""
    seed: int = 0
    base: Path | None = None
    """Folder of the encoder to start from; the embedded one by default."""

    def __post_init__(self) -> None:
        for name in ("seconds", "layers", "window", "batch", "held_out_articles", "decay_share"):
            if not getattr(self, name) > 0:
                raise GendistError(f"{name} must be above 0, not {getattr(self, name)}")
        if self.decay_share > 1:
            raise GendistError(f"decay_share must be at most 1, not {self.decay_share}")
        if self.corpora[0] in self.corpora[1:]:
            raise GendistError(f"corpus {self.corpora[0]}: the first corpus has the held-out articles; list it once")

    @property
    def step_tokens(self) -> int:
        """Tokens per optimiser step."""
        return self.batch * self.window

    @property
    def weights(self) -> Path:
        """The finished model's weights, int8."""
        return self.out / WEIGHTS

    @property
    def checkpoint(self) -> Path:
        """Float32 weights and optimiser state."""
        return self.weights.with_name("checkpoint.safetensors")

    @property
    def curve(self) -> Path:
        """Training loss and held-out scores, one JSON object per line."""
        return self.weights.with_name("curve.jsonl")

    @property
    def recipe(self) -> dict[str, int | float | str]:
        """The settings that the finished weights depend on, except for the seed."""
        left_out = {"corpora", "out", "checkpoint_seconds", "report_steps", "seed", "base"}
        values = {name: value for name, value in asdict(self).items() if name not in left_out}
        return values | {"corpora": ", ".join(folder.resolve().name for folder in self.corpora)}

    @property
    def identity(self) -> dict[str, int]:
        """What a checkpoint must have been made with to be resumed."""
        return {"layers": self.layers, "window": self.window, "batch": self.batch, "seed": self.seed}
