"""Settings of the students and their training."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from gendist.config.base_settings import Settings

GENERAL_ROWS = 10_000
"""Rows of the embedded general text."""

PACKAGED_EMBEDDINGS = ("pocket", "wordpiece")
GENERAL_EMBEDDINGS = {"kim": "wordpiece", "res": "pocket"}
"""Embeddings of the students that can start from weights distilled on general text, by architecture."""
GENERAL_DEFAULTS = {
    "kim": {"dropout": 0.1, "learning_rate_factor": 0.5, "token_dropout_factor": 0.5, "real_share_factor": 0.5},
    "res": {"token_dropout_factor": 0.5},
}
"""Defaults of these students that differ, by architecture."""

AUTO_MIN_STEPS, AUTO_MAX_STEPS = 300, 1500
"""``min_steps`` and ``max_steps`` for `auto`, with few labelled rows."""


class Student(Settings):
    """A student network. Defaults are the paper's (section 4.3)."""

    architecture: str = "kim"
    """Registered architecture: kim, res or blend (the paper's), bilstm (Tang et al. 2019), or bag (mean of the
    embeddings, then one hidden layer)."""
    embeddings: str = "pocket"
    """`pocket` (included in gendist: 10,000 byte-pair pieces, vectors of width 100), `wordpiece` (included: the
    embedded encoder's 26,880 most frequent pieces, width 40), `bpemb:en/10000/100` (downloaded from its publisher), or
    a folder with tokenizer.json and vectors.safetensors. `init: general` has its own, `wordpiece` for `kim` and
    `pocket` for `res`."""
    init: Literal["vectors", "general"] = "vectors"
    """Initial weights: `vectors` initialises the embeddings only; `general` initialises all layers with weights
    distilled on general text from the embedded encoder's sentence embeddings (`kim` and `res` with 100 filters only).
    `kim` then also pools the mean of its embeddings, with 40 more weights per class, and embeds the position of its
    windows (240 weights); it trains maps of fixed embeddings of width 256 to 40, and an offset for each piece."""
    filters: Annotated[int, Field(ge=1)] = 100
    """Channels per convolution; LSTM units per direction; hidden units of the bag."""
    general_rows: Annotated[int, Field(ge=0, le=GENERAL_ROWS)] = 0
    """Rows of the embedded general text, scored by the teacher and used like synthetic rows in the regimes `gendist`,
    `unlabelled` and `gendist+unlabelled`."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Dropout before the classifier; 0.1 by default for `kim` with `init: general`."""
    learning_rate_factor: Annotated[float, Field(gt=0)] = 1.0
    """Factor for the learning rate of `trainings`; 0.5 by default for `kim` with `init: general`."""
    token_dropout_factor: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Factor for the token dropout of `trainings`; 0.5 by default with `init: general`."""
    real_share_factor: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor for the share of real rows of `trainings`; 0.5 by default for `kim` with `init: general`."""
    distillation_loss: Literal["kl", "mae"] = "kl"
    """Loss between teacher and student: Kullback-Leibler divergence, or mean absolute error of the logits
    (BlendCNN)."""

    @field_validator("embeddings")
    @classmethod
    def _known_form(cls, value: str) -> str:
        # It becomes part of a URL and of a path.
        if value.startswith("bpemb:") and not re.fullmatch("bpemb:[a-z_]{1,20}/[0-9]{1,7}/[0-9]{1,4}", value):
            raise ValueError("expected bpemb:LANGUAGE/PIECES/WIDTH, such as bpemb:en/10000/100")
        return value

    @model_validator(mode="before")
    @classmethod
    def _general_defaults(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("init") == "general":
            architecture = data.get("architecture", "kim")
            embeddings = GENERAL_EMBEDDINGS.get(architecture, "pocket")
            return {"embeddings": embeddings, **GENERAL_DEFAULTS.get(architecture, {}), **data}
        return data

    @model_validator(mode="after")
    def _fits_general_start(self) -> "Student":
        if self.init == "general":
            if self.architecture not in GENERAL_EMBEDDINGS:
                known = " or ".join(GENERAL_EMBEDDINGS)
                raise ValueError(f"init: general needs architecture: {known}, not {self.architecture}")
            for key, needed in {"embeddings": GENERAL_EMBEDDINGS[self.architecture], "filters": 100}.items():
                if (value := getattr(self, key)) != needed:
                    raise ValueError(f"init: general needs {key}: {needed} for {self.architecture}, not {value}")
        return self

    def adjusted(self, training: "Training") -> "Training":
        """Return training settings with the factors of this student applied."""
        real_share = None if training.real_share is None else training.real_share * self.real_share_factor
        changed = {
            "learning_rate": training.learning_rate * self.learning_rate_factor,
            "token_dropout": training.token_dropout * self.token_dropout_factor,
            "real_share": real_share,
        }
        return training.model_copy(update=changed)


class RowFilters(Settings):
    """Filters of the synthetic training rows; by default, only empty rows are dropped. Real rows are never dropped.

    Filters apply in the order of the keys. A row's class is the teacher's most probable one.
    """

    drop_duplicates: bool = False
    """Drop duplicates and near-duplicates of earlier rows (Jaccard similarity of 5-character shingles ≥ 0.8)."""
    drop_copies: bool = False
    """Drop duplicates and near-duplicates of real training rows, and rows that share 8 consecutive words with one."""
    min_confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Drop rows whose most probable class has a lower teacher probability; null drops none."""
    balance: bool = False
    """Keep at most as many rows of each class as the mean over the classes, the first of the pool."""

    @property
    def reads_repeats(self) -> bool:
        """Whether a filter needs the duplicates of the pool."""
        return self.drop_duplicates or self.drop_copies


class Training(Settings):
    """Training of the students: the paper's optimiser (section 4.3: Adam, 1e-3, finetuned embeddings), with real rows
    in every batch and token dropout, which suit rows of a small generator.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate of Adam; decays linearly to zero over the last half of the steps."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows per optimiser step."""
    epochs: Annotated[int, Field(ge=1)] = 8
    """Epochs over the training rows."""
    min_steps: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    """Minimum number of steps; overrides `epochs` for few rows. `auto`: 300, or one per two labelled rows if these are
    more."""
    max_steps: Annotated[int, Field(ge=1)] | Literal["auto"] | None = "auto"
    """Maximum number of steps; overrides `epochs` for many rows. `auto`: 1,500, or three per labelled row if these are
    more; null sets no maximum."""
    real_share: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    """Share of real rows in each batch, in regimes with real and synthetic rows; null samples both uniformly."""
    token_dropout: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Mean share of masked subword pieces in training; sampled per text and epoch between 0 and twice this value."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Temperature of the distillation loss (Hinton et al. 2015)."""
    max_pieces: Annotated[int, Field(ge=8)] = 128
    """Texts are truncated to this many subword pieces."""
    keep: RowFilters = RowFilters()
    """Filters of the synthetic rows; row counts are those before filtering."""

    def steps(self, per_epoch: int, n_real: int) -> int:
        """Return the number of optimiser steps.

        Args:
            per_epoch: steps per epoch.
            n_real: labelled rows.
        """
        steps = self.epochs * per_epoch
        least = max(AUTO_MIN_STEPS, n_real // 2) if self.min_steps == "auto" else self.min_steps
        most = max(AUTO_MAX_STEPS, n_real * 3) if self.max_steps == "auto" else self.max_steps
        return max(least, min(steps, most or steps))


PAPER_TRAINING = Training(real_share=None, token_dropout=0.0)
"""As in the paper: uniform sampling of real and synthetic rows, no augmentation."""
