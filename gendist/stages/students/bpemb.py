"""Download BPEmb subword embeddings from their publisher (Heinzerling and Strube 2018; paper section 4.3)."""

import io
import logging
import tarfile
import tempfile
import urllib.request
import zlib
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch

from gendist.errors import GendistError
from gendist.io.atomic_files import model_folder, write_tensors
from gendist.io.provenance import Provenance
from gendist.stages.students.subwords import SENTENCEPIECE, VECTORS

log = logging.getLogger(__name__)

PUBLISHER = "https://nlp.h-its.org/bpemb"
MAX_BYTES = 500_000_000
"""The largest model, 200,000 pieces of width 300, has 240 MB."""
MAX_PIECE_BYTES = 200
"""Bytes."""


def fetch_bpemb(language: str, pieces: int, width: int, target: Path) -> None:
    """Download one BPEmb model and write ``sentencepiece.model`` and ``vectors.safetensors``.

    Row i of the vectors is the embedding of piece i of the SentencePiece model.

    Raises:
        GendistError: if the download fails or the files are not valid.
    """
    stem = f"{language}.wiki.bpe.vs{pieces}"
    model = _download(f"{PUBLISHER}/{language}/{stem}.model", MAX_BYTES)
    archive = _download(f"{PUBLISHER}/{language}/{stem}.d{width}.w2v.bin.tar.gz", MAX_BYTES)
    vectors = read_vectors(archive, f"{stem}.d{width}.w2v.bin", pieces, width)
    # The publisher provides no checksums: record those of the download, so that studies can be compared.
    fetched = {"model": sha256(model).hexdigest(), "vectors": sha256(archive).hexdigest()}
    provenance = Provenance("embeddings", fetched, source_models={f"bpemb:{language}/{pieces}/{width}": PUBLISHER})
    with model_folder(target, provenance) as folder:
        (folder / SENTENCEPIECE).write_bytes(model)
        write_tensors(folder / VECTORS, {"vectors": torch.from_numpy(vectors)})
    log.info("%s: %d vectors of width %d", target, *vectors.shape)


def read_vectors(archive: bytes, name: str, pieces: int, width: int) -> np.ndarray:
    """Read float32 vectors (pieces, width) from a .tar.gz archive with one word2vec binary file.

    Raises:
        GendistError: if the archive lacks the file, or the vectors have another shape.
    """
    try:
        from gensim.models import KeyedVectors
    except ImportError:
        raise GendistError("BPEmb needs an extra: pip install 'gendist[bpemb]'") from None
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            member = next(m for m in tar if m.isfile() and Path(m.name).name == name)
            content = tar.extractfile(member)
            # Reject decompression bombs: pieces take a few bytes beside the vectors.
            if content is None or member.size > pieces * (4 * width + MAX_PIECE_BYTES) + 100:
                raise ValueError("too large")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "vectors.bin"  # extract only the content, never archived paths or links
                file.write_bytes(content.read())
                with file.open("rb") as stream:
                    head = [int(number) for number in stream.readline(100).split()]
                if head != [pieces, width]:  # check before gensim allocates the declared size
                    shape = " x ".join(map(str, head))
                    raise GendistError(f"{name}: has {shape} vectors, expected {pieces} x {width}")
                vectors = KeyedVectors.load_word2vec_format(str(file), binary=True).vectors
    except (tarfile.TarError, zlib.error, OSError, StopIteration, ValueError, EOFError) as error:
        raise GendistError(f"{name}: not the expected archive ({type(error).__name__})") from None
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _download(url: str, max_bytes: int) -> bytes:
    log.info("fetching %s", url)
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            if not response.geturl().startswith("https://"):
                raise OSError(f"redirected to {response.geturl()}, which does not use https")
            content = bytes(response.read(max_bytes + 1))
    except OSError as error:
        raise GendistError(f"{url}: cannot be fetched ({error})") from None
    if len(content) > max_bytes:
        raise GendistError(f"{url}: larger than {max_bytes:,} bytes, the maximum size of a BPEmb model")
    return content
