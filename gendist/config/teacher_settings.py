"""Settings of the teacher and its finetuning."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from gendist.config.base_settings import Seed, Settings


class Teacher(Settings):
    """A sequence classifier and its finetuning on the real rows.

    The paper (section 3.1) specifies only BERT-large with an added head; the schedule is the usual one for few
    examples.
    """

    model: str = "bert-large-uncased"
    """`minilm` (embedded), a transformers folder, or a hub id."""
    revision: str | None = None
    """Commit, tag or branch of a hub model."""
    pooling: Literal["first", "mean"] = "first"
    """Input of an added head: the model's default (mostly the first token), or the mean of all token states, which
    suits sentence encoders."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """Maximum epochs over the real rows; the best number is chosen on the held-out rows."""
    max_steps: Annotated[int, Field(ge=1)] | None = None
    """Limit the epochs to those that fit into this many optimiser steps, but at least one."""
    contrastive: Annotated[float, Field(ge=0)] = 0.0
    """Weight of a supervised contrastive loss (Khosla et al. 2020) added to the cross-entropy; needs `pooling:
    mean`."""
    learning_rate: Annotated[float, Field(gt=0)] = 2e-5
    """Peak learning rate of AdamW."""
    head_learning_rate: Annotated[float, Field(gt=0)] | None = None
    """Learning rate of an added head; null uses `learning_rate`."""
    warmup: Annotated[float, Field(ge=0, lt=1)] = 0.1
    """Share of the steps in the linear warmup; then the learning rate decays linearly to zero."""
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    """Weight decay of AdamW."""
    batch_size: Annotated[int, Field(ge=1)] = 16
    """Rows per optimiser step."""
    max_tokens: Annotated[int, Field(ge=4)] = 256
    """Longer texts are truncated."""
    precision: Literal["auto", "float32"] = "auto"
    """Precision for scoring synthetic rows. `auto` on a CPU scores with int8 for teachers with BERT's architecture, and
    rescores in float32 the rows whose two best classes are closer than the error of int8 on real rows. Real rows are
    always scored in float32."""
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the real training rows, stratified by class, held out to choose the number of epochs."""
    refit: bool = True
    """Train again on all real rows with the chosen number of epochs."""
    members: Annotated[int, Field(ge=1)] = 1
    """Number of finetuned models whose weights are averaged (model soup, Wortsman et al. 2022): most of an ensemble's
    gain at the inference cost of one model. Needs `refit`."""
    seed: Seed = 0
    """Seed of the held-out rows, an added head, shuffling and dropout."""

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
"""Settings of the embedded encoder."""
