import urllib.error

import numpy as np
import pytest
import torch
from word2vec_archives import archive

from gendist.errors import GendistError
from gendist.io.atomic_files import write_tensors
from gendist.stages.students import bpemb
from gendist.stages.students.subwords import load_subwords


def test_embeddings_that_are_missing_or_damaged(subwords, tmp_path):
    with pytest.raises(GendistError, match=r"no vectors\.safetensors"):
        load_subwords(tmp_path)
    write_tensors(tmp_path / "vectors.safetensors", {"vectors": torch.zeros(3, 2)})
    with pytest.raises(GendistError, match=r"neither tokenizer\.json nor sentencepiece\.model"):
        load_subwords(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes((subwords / "tokenizer.json").read_bytes())
    with pytest.raises(GendistError, match=r"tokenizer\.json: \d+ pieces, but vectors\.safetensors has 3 rows"):
        load_subwords(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(GendistError, match=r"tokenizer\.json: damaged"):
        load_subwords(tmp_path)
    for content in (b"", b"no tensors at all"):
        (tmp_path / "vectors.safetensors").write_bytes(content)
        with pytest.raises(GendistError, match=r"vectors\.safetensors: damaged"):
            load_subwords(tmp_path)


def test_bpemb_archives():
    pytest.importorskip("gensim")
    vectors = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    assert np.array_equal(bpemb.read_vectors(archive(vectors), "tiny.w2v.bin", 5, 4), vectors)
    with pytest.raises(GendistError, match=r"tiny\.w2v\.bin: has 5 x 4 vectors, expected 6 x 4"):
        bpemb.read_vectors(archive(vectors), "tiny.w2v.bin", 6, 4)
    for content in (b"<html>", archive(vectors, "other.bin"), archive(vectors)[:80]):
        with pytest.raises(GendistError, match=r"tiny\.w2v\.bin: not the expected archive"):
            bpemb.read_vectors(content, "tiny.w2v.bin", 5, 4)


def test_bpemb_without_network(monkeypatch, tmp_path):
    def offline(*_, **__):
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(bpemb.urllib.request, "urlopen", offline)
    with pytest.raises(
        GendistError, match=r"https://nlp\.h-its\.org/bpemb/en/.*\.model: cannot be fetched \(.*no route"
    ):
        bpemb.fetch_bpemb("en", 10_000, 100, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
