"""Settings of the teacher and its finetuning."""

from typing import Annotated

from pydantic import Field

from gendist.settings import Settings


class Teacher(Settings):
    """A sequence classifier and how it is finetuned on the real rows.

    The paper (section 3.1) names BERT-large with an added head and nothing more;
    the schedule is the usual one for few examples.
    """

    model: str = "bert-large-uncased"
    """`minilm` (embedded), a transformers folder, or a hub id."""
    revision: str | None = None
    """Commit, tag or branch of a hub model."""
    epochs: Annotated[int, Field(ge=1)] = 10
    """The most passes over the real rows; the held-out rows choose how many are used."""
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
    held_out: Annotated[float, Field(gt=0, lt=0.5)] = 0.1
    """Share of the real training rows, drawn by class, on which the number of epochs is decided."""
    refit: bool = True
    """After that decision train again on all real rows."""
    seed: int = 0
    """Seed of the held-out rows, an added head, the order of the rows and dropout."""


MINILM = Teacher(model="minilm", epochs=5, learning_rate=5e-5, head_learning_rate=1e-3, max_tokens=128)
"""What suits the small embedded encoder."""
