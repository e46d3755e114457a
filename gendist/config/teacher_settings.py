"""Settings of the teacher and its finetuning."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gendist.config.base_settings import Seed, Settings


class Teacher(Settings):
    """A sequence classifier and how it is finetuned on the real rows.

    The paper (section 3.1) names BERT-large with an added head and nothing more;
    the schedule is the usual one for few examples.
    """

    model: str = "bert-large-uncased"
    """`minilm` (embedded), a transformers folder, or a hub id."""
    revision: str | None = None
    """Commit, tag or branch of a hub model."""
    pooling: Literal["first", "mean"] = "first"
    """What an added head reads: the model's own choice (mostly the first token), or the mean of all states,
    which suits sentence encoders."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """The most passes over the real rows; the held-out rows choose how many are used."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Take no more whole passes than fit in this many optimiser steps, but at least one."""
    contrastive: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a supervised contrastive loss (Khosla et al. 2020) beside the cross-entropy, which draws texts
    of one class together, as SetFit's pairs do; needs `pooling: mean`."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Peak learning rate of AdamW."""
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Learning rate of an added head; null uses `learning_rate`."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps over which the learning rate rises; then it decays linearly to zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Weight decay of AdamW."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows per optimiser step."""
    max_tokens: Annotated[int, Field(ge=4)] = 256
    """Longer texts are cut."""
    precision: Literal["auto", "float32"] = "auto"
    """What synthetic rows are scored in: float32, or on a CPU int8 for teachers of BERT's architecture, and float32
    only where the two best classes are closer than int8 was seen to err on real rows. Real rows: always float32."""
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the real training rows, drawn by class, on which the number of epochs is decided."""
    refit: bool = True
    """After that decision train again on all real rows."""
    members: Annotated[int, Field(ge=1)] = 1
    """Finetunes with different orders and dropout whose weights are averaged (Wortsman et al. 2022): most of
    an ensemble's gain at the cost of one model when scoring. Needs `refit`."""
    seed: Seed = 0
    """Seed of the held-out rows, an added head, the order of the rows and dropout."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Teacher":
        if self.contrastive and self.pooling != "mean":
            raise ValueError(f"contrastive is {self.contrastive}, which needs pooling: mean")
        if self.members > 1 and not self.refit:
            raise ValueError(f"members is {self.members}, which needs refit: true")
        return self


MINILM = Teacher(
    model="minilm",
    pooling="mean",
    epochs=4,
    max_steps=200,
    contrastive=1.0,
    learning_rate=1e-4,
    head_learning_rate=1e-3,
    max_tokens=128,
    members=3,
)
"""What suits the small embedded encoder."""
