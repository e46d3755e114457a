"""The embedded general text: snippets of several sources, for teachers to score."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gendist.errors import GendistError
from tools.pocket.snippets import draw_snippets


def write_general_texts(corpora: Sequence[Path], count: int, target: Path, seed: int = 0) -> None:
    """Write ``count`` distinct snippets in random order: columns ``text`` and ``source``, the name of the folder.

    Args:
        corpora: folders of Parquet files with a column ``text``. Each gets an equal share of the rows; a folder listed
            twice gets two shares.
        count: number of rows.
        target: Parquet file to write.
        seed: seed of the draws and the order.

    Raises:
        GendistError: if a corpus is missing or not readable, or has too few snippets.
    """
    rows: dict[str, str] = {}
    bounds = np.linspace(0, count, len(corpora) + 1).round().astype(int)
    shares = Counter[Path]()
    for folder, share in zip(corpora, np.diff(bounds), strict=True):
        shares[folder] += int(share)
    for number, (folder, share) in enumerate(shares.items()):
        drawn = draw_snippets([folder], 2 * share, 0 if number else 300, seed)
        new = [text for text in drawn if text not in rows][:share]
        if len(new) < share:
            raise GendistError(f"{folder}: {len(new):,} snippets, but {share:,} are requested")
        rows |= dict.fromkeys(new, folder.name)
    order = np.random.default_rng(seed).permutation(len(rows))
    texts, sources = list(rows), list(rows.values())
    table = pa.table({"text": [texts[i] for i in order], "source": [sources[i] for i in order]})
    target.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, target, compression="zstd")
