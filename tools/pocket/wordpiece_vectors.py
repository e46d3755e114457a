"""Choose the encoder's most frequent WordPieces, and reduce its vectors of them: the embeddings of general students.

More pieces of less width predict the encoder better than fewer and wider ones of the same size
(docs/notes/tuning.md). The vectors follow Model2Vec (Tulkens and van Dongen 2024): each piece alone goes through the
encoder, principal components reduce the width, and frequent pieces get shorter vectors (Arora et al. 2017).
"""

import json
import string
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer

from gendist.io.atomic_files import write_text
from gendist.io.provenance import Provenance, hash_file
from gendist.nn.pretrained import MINILM, load_encoder, load_tokenizer
from tools.pocket.subword_vectors import PAD, UNKNOWN, save_vectors

PIECES, WIDTH = 26_880, 40
"""With Kim's filters and 14 classes, 1,128,514 weights."""
VECTOR_STD = 0.1
SMOOTHING = 1e-3
"""Probability of a piece whose vector is halved."""
BATCH = 512


def write_wordpieces(texts: Sequence[str], folder: Path, pieces: int = PIECES, width: int = WIDTH) -> None:
    """Write ``tokenizer.json`` and ``vectors.safetensors`` to ``folder``; existing files are kept.

    Args:
        texts: texts to count pieces in.
        folder: folder to write to.
        pieces: size of the vocabulary: padding (id 0), unknown (id 1), ASCII characters, then the most frequent pieces.
        width: width of the vectors.
    """
    if (folder / "vectors.safetensors").exists():
        return
    encoder_tokenizer = load_tokenizer(MINILM).backend_tokenizer
    ids, counts = choose_pieces(encoder_tokenizer, texts, pieces)
    write_text(folder / "tokenizer.json", restricted_tokenizer(encoder_tokenizer, ids))
    settings = {"pieces": len(ids), "width": width, "spread": VECTOR_STD, "smoothing": SMOOTHING, "texts": len(texts)}
    inputs = {"tokenizer.json": hash_file(folder / "tokenizer.json")}
    provenance = Provenance("pocket-wordpieces", inputs, settings, None)
    save_vectors(folder, reduced_vectors(ids, counts / counts.sum(), width)[0], provenance)


def choose_pieces(tokenizer: Tokenizer, texts: Sequence[str], pieces: int) -> tuple[list[int], np.ndarray]:
    """Return the encoder's ids of the chosen pieces, in order, and how often each occurs in the texts."""
    vocabulary = tokenizer.get_vocab()
    counts = np.zeros(len(vocabulary), np.int64)
    for first in range(0, len(texts), 20_000):
        for encoding in tokenizer.encode_batch_fast(list(texts[first : first + 20_000]), add_special_tokens=False):
            np.add.at(counts, encoding.ids, 1)
    characters = [*string.ascii_lowercase, *string.digits, *string.punctuation]
    always = [PAD, UNKNOWN, *characters, *(f"##{character}" for character in characters)]
    chosen = dict.fromkeys(vocabulary[piece] for piece in always if piece in vocabulary)
    special = {i for piece, i in vocabulary.items() if piece.startswith("[") and piece.endswith("]") and len(piece) > 2}
    for i in np.argsort(-counts, kind="stable").tolist():
        if len(chosen) == pieces or not counts[i]:
            break
        if i not in special:
            chosen.setdefault(i)
    return list(chosen), counts[list(chosen)]


def encoder_ids(folder: Path) -> list[int]:
    """Return the encoder's id of each piece of a restricted tokenizer's folder, in order."""
    pieces = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    of_encoder = load_tokenizer(MINILM).backend_tokenizer
    return [of_encoder.token_to_id(piece) for piece in sorted(pieces, key=pieces.__getitem__)]


def restricted_tokenizer(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """Return the JSON of a WordPiece tokenizer with only the given pieces, without special tokens."""
    settings = json.loads(tokenizer.to_str())
    names = {i: piece for piece, i in settings["model"]["vocab"].items()}
    settings["model"]["vocab"] = {names[i]: number for number, i in enumerate(ids)}
    settings |= {"added_tokens": [], "post_processor": None, "truncation": None, "padding": None, "decoder": None}
    return json.dumps(settings, ensure_ascii=False)


@torch.inference_mode()
def reduced_vectors(ids: Sequence[int], probabilities: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Reduce the encoder's states of single pieces.

    Args:
        ids: the encoder's ids of the pieces, padding first.
        probabilities: share of each piece among all pieces of a corpus, (pieces,).
        width: number of principal components.

    Returns:
        Vectors (pieces, width), zero for padding, and components (width, width of the states), float32.
    """
    encoder, tokenizer = load_encoder(MINILM).eval(), load_tokenizer(MINILM)
    states = []
    for batch in torch.tensor(ids).split(BATCH):
        first, last = (torch.full_like(batch, i) for i in (tokenizer.cls_token_id, tokenizer.sep_token_id))
        pieces = torch.stack([first, batch, last], 1)
        states.append(encoder.embed(pieces, torch.ones_like(pieces)))
    centred = torch.cat(states) - torch.cat(states).mean(0)
    components = torch.linalg.svd(centred, full_matrices=False).Vh[:width]
    vectors = centred @ components.T
    vectors *= VECTOR_STD / vectors.std() * (SMOOTHING / (SMOOTHING + torch.from_numpy(probabilities).float()))[:, None]
    vectors[0] = 0.0
    return vectors.numpy(), components.numpy()
