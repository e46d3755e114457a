"""Short texts of three topics that a tiny model can learn to tell apart."""

import numpy as np

NAMES = ["sea", "sky", "soil"]
WORDS = (
    ("wave", "fish", "harbour", "sail", "tide"),
    ("cloud", "wing", "star", "wind", "moon"),
    ("root", "worm", "clay", "seed", "stone"),
)


def sentences(count: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of three topics, which three of their four words give away, and their labels."""
    rng = np.random.default_rng(seed)
    labels = [i % 3 for i in range(count)]
    return ["the " + " ".join(rng.choice(WORDS[label], rng.integers(2, 7))) for label in labels], labels
