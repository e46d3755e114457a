"""Settings of the students and their training."""

import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from gendist.config.base_settings import Settings


class Student(Settings):
    """A student network. Defaults are the paper's (section 4.3)."""

    architecture: str = "kim"
    """A registered architecture: kim, res or blend (the paper's), bilstm (Tang et al. 2019), or bag (mean of the
    embeddings and one hidden layer)."""
    embeddings: str = "pocket"
    """`pocket` (ships with gendist), `bpemb:en/10000/100` (fetched from its publisher), or a folder
    with tokenizer.json and vectors.safetensors."""
    init: Literal["vectors", "general"] = "vectors"
    """What training starts from: `vectors` are the embeddings', under random filters; `general` are weights that were
    pretrained on general text to give the embedded encoder's sentence embeddings, for `kim` and `res` with 100
    filters over `pocket` embeddings."""
    filters: Annotated[int, Field(ge=1)] = 100
    """Channels of each convolution; units of the LSTM in each direction; hidden units of the bag."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Share of the features before the classifier that is dropped in training."""
    distillation_loss: Literal["kl", "mae"] = "kl"
    """Loss between teacher and student logits (Kullback-Leibler; mean absolute error for BlendCNN)."""

    @field_validator("embeddings")
    @classmethod
    def _known_form(cls, value: str) -> str:
        # It becomes an address and a folder's name.
        if value.startswith("bpemb:") and not re.fullmatch("bpemb:[a-z_]{1,20}/[0-9]{1,7}/[0-9]{1,4}", value):
            raise ValueError("expected bpemb:LANGUAGE/PIECES/WIDTH, such as bpemb:en/10000/100")
        return value

    @model_validator(mode="after")
    def _fits_general_start(self) -> "Student":
        if self.init == "general":
            for key, accepted in {"architecture": ("kim", "res"), "embeddings": ("pocket",), "filters": (100,)}.items():
                if (value := getattr(self, key)) not in accepted:
                    known = " or ".join(map(str, accepted))
                    raise ValueError(f"init: general needs {key}: {known}, not {value}")
        return self


class RowFilters(Settings):
    """Which synthetic rows students learn from; by default all that hold text. Real rows are never dropped.
    Rows go in the order of the keys, and classes are those that the teacher finds most probable.
    """

    drop_duplicates: bool = False
    """Drop rows that repeat an earlier one: the same text, or nearly (Jaccard similarity of their 5-character
    shingles ≥ 0.8)."""
    drop_copies: bool = False
    """Drop rows that repeat a real training row in the same sense, or hold 8 words in a row of one."""
    min_confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    """Drop rows whose most probable class has less than this probability under the teacher; null drops none."""
    balance: bool = False
    """Keep of each class at most as many rows as the mean over the classes, the first ones of the pool."""

    @property
    def reads_repeats(self) -> bool:
        """Whether it takes to know what rows repeat."""
        return self.drop_duplicates or self.drop_copies


class Training(Settings):
    """How students are trained: the paper's optimiser (section 4.3: Adam, 1e-3, embeddings finetuned), with
    real rows mixed in evenly and pieces hidden at random, which suit rows of a small generator.
    """

    learning_rate: Annotated[float, Field(gt=0)] = 1e-3
    """Learning rate of Adam; it falls linearly to zero over the last half of the steps."""
    batch_size: Annotated[int, Field(ge=1)] = 32
    """Rows per optimiser step."""
    epochs: Annotated[int, Field(ge=1)] = 8
    """Passes over the training rows ..."""
    min_steps: Annotated[int, Field(ge=0)] = 300
    """... but at least this many steps: few rows need more passes, ..."""
    max_steps: Annotated[int, Field(ge=1)] | None = 1500
    """... and at most this many: many rows need fewer."""
    real_share: Annotated[float, Field(gt=0, lt=1)] | None = 0.5
    """Share of real rows in each batch where there are synthetic ones beside them; null takes both as they come."""
    token_dropout: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Mean share of a text's pieces that are hidden in training, drawn anew for each text and pass
    between 0 and twice this."""
    temperature: Annotated[float, Field(gt=0)] = 1.0
    """Temperature of the distillation loss (Hinton et al. 2015)."""
    max_pieces: Annotated[int, Field(ge=8)] = 128
    """Longer texts are cut to this many subword pieces."""
    keep: RowFilters = RowFilters()
    """Which synthetic rows are trained on; counts are those of the rows before."""


PAPER_TRAINING = Training(real_share=None, token_dropout=0.0)
"""As the paper describes it: real and synthetic rows as they come, no augmentation."""
