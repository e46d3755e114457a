"""Fetch BPEmb subword embeddings from their publisher (Heinzerling and Strube 2018; paper section 4.3)."""

import io
import logging
import tarfile
import tempfile
import urllib.request
from pathlib import Path

import numpy as np
import torch

from gendist.artifacts import Provenance, model_folder, write_tensors
from gendist.errors import GendistError
from gendist.students.subwords import SENTENCEPIECE, VECTORS

log = logging.getLogger(__name__)

PUBLISHER = "https://nlp.h-its.org/bpemb"


def fetch_bpemb(language: str, pieces: int, width: int, target: Path) -> None:
    """Download one BPEmb model and write ``sentencepiece.model`` and ``vectors.safetensors``.

    Row i of the vectors belongs to piece i of the SentencePiece model.

    Raises:
        GendistError: if the publisher cannot be reached, or the files are not what they should be.
    """
    stem = f"{language}.wiki.bpe.vs{pieces}"
    model = _download(f"{PUBLISHER}/{language}/{stem}.model")
    archive = _download(f"{PUBLISHER}/{language}/{stem}.d{width}.w2v.bin.tar.gz")
    vectors = read_vectors(archive, f"{stem}.d{width}.w2v.bin", pieces, width)
    provenance = Provenance("embeddings", source_models={f"bpemb:{language}/{pieces}/{width}": PUBLISHER})
    with model_folder(target, provenance) as folder:
        (folder / SENTENCEPIECE).write_bytes(model)
        write_tensors(folder / VECTORS, {"vectors": torch.from_numpy(vectors)})
    log.info("%s: %d vectors of width %d", target, *vectors.shape)


def read_vectors(archive: bytes, name: str, pieces: int, width: int) -> np.ndarray:
    """Take float32 vectors (pieces, width) out of a .tar.gz with one word2vec binary file.

    Raises:
        GendistError: if the archive holds no such file, or vectors of another number or width.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise GendistError("BPEmb needs an extra: pip install 'gendist[bpemb]'") from None
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            member = next(m for m in tar if m.isfile() and Path(m.name).name == name)
            content = tar.extractfile(member)
            assert content is not None
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "vectors.bin"  # only the content is taken, never a name or a link
                file.write_bytes(content.read())
                vectors = KeyedVectors.load_word2vec_format(str(file), binary=True).vectors
    except (tarfile.TarError, StopIteration, ValueError, EOFError) as error:
        raise GendistError(f"{name}: not the expected archive ({type(error).__name__})") from None
    if vectors.shape != (pieces, width):
        raise GendistError(
            f"{name}: holds {vectors.shape[0]} x {vectors.shape[1]} vectors, expected {pieces} x {width}"
        )
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _download(url: str) -> bytes:
    log.info("fetching %s", url)
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            return bytes(response.read())
    except OSError as error:
        raise GendistError(f"{url}: cannot be fetched ({error})") from None
