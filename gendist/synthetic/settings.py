"""Settings of sampling."""

from typing import Annotated

from pydantic import Field

from gendist.settings import Seed, Settings


class Sampling(Settings):
    """How rows are drawn from the generator. The default is the paper's: the full distribution at T = 1."""

    temperature: Annotated[float, Field(gt=0, le=10)] = 1.0
    """Logits are divided by this."""
    top_k: Annotated[int, Field(ge=0)] = 0
    """Keep the k most probable tokens; 0 keeps all."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Keep the most probable tokens that together reach this probability; 1 keeps all."""
    max_tokens: Annotated[int, Field(ge=1)] = 128
    """A row that has not ended by then is cut; limited by the model's context."""
    prompt_words: Annotated[int, Field(ge=0)] = 0
    """Each text starts from this many first words of a real training row, drawn at random; 0 starts from nothing."""
    batch_size: Annotated[int, Field(ge=1)] = 128
    """Rows generated side by side; has no influence on what is generated."""
    seed: Seed = 0
    """Seed of the pool: row i depends on (seed, i) alone."""
