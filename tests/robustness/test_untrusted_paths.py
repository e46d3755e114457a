"""What docs/security.md promises of names, archives and downloads."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pytest
from bad_inputs import refused
from word2vec_archives import archive
from workflow_fixtures import STUDY, Checkout

from gendist.stages.students import bpemb

# --- names that become paths ---


@pytest.mark.parametrize("name", ["../x", "a b", "-x", "CON", "$(touch pwned)"])
def test_the_workflow_refuses_datasets_whose_names_are_no_safe_part_of_a_path(own: Checkout, name: str):
    study = {**STUDY, "datasets": {name: STUDY["datasets"]["toy"]}}
    result = own.snakemake("-n", "--cores", "1", "--configfile", own.write(study))
    *_, said = result.stdout.splitlines()
    assert result.returncode and len(result.stdout.splitlines()) == 2
    assert f"name '{name}' in 'datasets' is not accepted: " in said
    assert not (own.folder / "pwned").exists() and not (own.folder / "results").exists()


@pytest.mark.parametrize(
    "target",
    [
        "results/../toy/texts/train.parquet",
        "results/a b/texts/train.parquet",
        "results/toy/students/kim/dist/../n0/seed0/metrics.json",
        "results/-x/texts/train.parquet",
    ],
)
def test_no_rule_makes_a_file_of_an_unsafe_name(bare: Checkout, target: str):
    result = bare.snakemake("-n", "--cores", "1", "--configfile", bare.write(STUDY, "safe.yaml"), "--", target)
    assert result.returncode and "MissingRuleException" in result.stdout, result.stdout


# --- archives ---


def tar_of(*members: tuple[str, bytes, bytes]) -> bytes:
    """A .tar.gz of (name, type, content)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, kind, content in members:
            member = tarfile.TarInfo(name)
            member.type, member.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            member.linkname = "/etc/passwd"
            tar.addfile(member, io.BytesIO(content) if member.size else None)
    return out.getvalue()


def test_an_archive_writes_nowhere_and_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("gensim")
    monkeypatch.chdir(tmp_path)
    vectors = np.ones((3, 2), np.float32)
    outside = archive(vectors, "../../../x/tiny.w2v.bin")
    assert bpemb.read_vectors(outside, "tiny.w2v.bin", 3, 2).shape == (3, 2)
    assert not list(tmp_path.iterdir())
    for content in (
        tar_of(("tiny.w2v.bin", tarfile.SYMTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.LNKTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.FIFOTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.CHRTYPE, b"")),
        tar_of(("tiny.w2v.bin", tarfile.REGTYPE, b"3 2\n" + bytes(50_000_000))),  # 50 kB packed
        tar_of(("tiny.w2v.bin", tarfile.REGTYPE, b"no header at all")),
        outside[:-30],
        outside[:20] + b"\xff" * 20 + outside[40:],
    ):
        refused(
            lambda content=content: bpemb.read_vectors(content, "tiny.w2v.bin", 3, 2), tmp_path, "tiny.w2v.bin: not"
        )
    claims = tar_of(("tiny.w2v.bin", tarfile.REGTYPE, b"999999999 999999\n"))
    refused(lambda: bpemb.read_vectors(claims, "tiny.w2v.bin", 3, 2), tmp_path, "has 999999999 x 999999 vectors")


class Answer(io.BytesIO):
    """What a server says."""

    def __init__(self, url: str, content: bytes) -> None:
        super().__init__(content)
        self.url = url

    def geturl(self) -> str:
        return self.url


@pytest.mark.parametrize(
    ("url", "content", "said"),
    [
        ("http://nlp.h-its.org/x", b"x", "which does not use https"),
        ("file:///etc/passwd", b"x", "which does not use https"),
        ("https://nlp.h-its.org/x", b"x" * 2000, "larger than 1,000 bytes"),
    ],
)
def test_downloads_are_of_https_and_of_bounded_size(
    url: str, content: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bpemb.urllib.request, "urlopen", lambda *_, **__: Answer(url, content))
    monkeypatch.setattr(bpemb, "MAX_BYTES", 1000)
    refused(lambda: bpemb.fetch_bpemb("en", 10_000, 100, tmp_path / "out"), tmp_path, said)
