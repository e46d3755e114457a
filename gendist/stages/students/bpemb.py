"""Fetch BPEmb subword embeddings from their publisher (Heinzerling and Strube 2018; paper section 4.3)."""

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
MOST_BYTES = 500_000_000
"""The largest model, 200,000 pieces of width 300, has 240 MB."""
LONGEST_PIECE = 200
"""Bytes."""


def fetch_bpemb(language: str, pieces: int, width: int, target: Path) -> None:
    """Download one BPEmb model and write ``sentencepiece.model`` and ``vectors.safetensors``.

    Row i of the vectors belongs to piece i of the SentencePiece model.

    Raises:
        GendistError: if the publisher cannot be reached, or the files are not what they should be.
    """
    stem = f"{language}.wiki.bpe.vs{pieces}"
    model = _download(f"{PUBLISHER}/{language}/{stem}.model", MOST_BYTES)
    archive = _download(f"{PUBLISHER}/{language}/{stem}.d{width}.w2v.bin.tar.gz", MOST_BYTES)
    vectors = read_vectors(archive, f"{stem}.d{width}.w2v.bin", pieces, width)
    # The publisher gives no hashes; what came is written down, so that two studies can be told to have had the same.
    fetched = {"model": sha256(model).hexdigest(), "vectors": sha256(archive).hexdigest()}
    provenance = Provenance("embeddings", fetched, source_models={f"bpemb:{language}/{pieces}/{width}": PUBLISHER})
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
            # A piece is a few bytes; whatever says it is larger than its vectors can be is something else.
            if content is None or member.size > pieces * (4 * width + LONGEST_PIECE) + 100:
                raise ValueError("too large")
            with tempfile.TemporaryDirectory() as folder:
                file = Path(folder) / "vectors.bin"  # only the content is taken, never a name or a link
                file.write_bytes(content.read())
                with file.open("rb") as stream:
                    head = [int(number) for number in stream.readline(100).split()]
                if head != [pieces, width]:  # before gensim makes room for as many as the file says
                    found = " x ".join(map(str, head))
                    raise GendistError(f"{name}: holds {found} vectors, expected {pieces} x {width}")
                vectors = KeyedVectors.load_word2vec_format(str(file), binary=True).vectors
    except (tarfile.TarError, zlib.error, OSError, StopIteration, ValueError, EOFError) as error:
        raise GendistError(f"{name}: not the expected archive ({type(error).__name__})") from None
    return np.ascontiguousarray(vectors, dtype=np.float32)


def _download(url: str, most: int) -> bytes:
    log.info("fetching %s", url)
    try:
        with urllib.request.urlopen(url, timeout=60) as response:
            if not response.geturl().startswith("https://"):
                raise OSError(f"redirected to {response.geturl()}, which is not https")
            content = bytes(response.read(most + 1))
    except OSError as error:
        raise GendistError(f"{url}: cannot be fetched ({error})") from None
    if len(content) > most:
        raise GendistError(f"{url}: larger than {most:,} bytes, which no BPEmb model is")
    return content
