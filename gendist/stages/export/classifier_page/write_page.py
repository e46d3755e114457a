"""Write an exported classifier as one HTML page."""

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gendist import __version__
from gendist.errors import GendistError
from gendist.io.atomic_files import write_text
from gendist.io.json_files import read_json
from gendist.predict.exported_model import DESCRIPTION, load_exported_model
from gendist.stages.export.classifier_page.page_tokenizer import page_tokenizer
from gendist.stages.export.classifier_page.page_weights import page_weights

MAX_PAGE_BYTES = 20_000_000
"""Limit for embeddings larger than the default, whose page is smaller than 2 MB."""
SCRIPTS = (
    "model_data.js",
    "tokenizer.js",
    "network.js",
    "classifier.js",
    "delimited.js",
    "text_view.js",
    "table_view.js",
    "start.js",
)
"""Templates that form the page's script, in order."""
LINE = 1000
"""Characters in a line of encoded data."""


def write_page(folder: Path, target: Path) -> None:
    """Write the classifier of an exported folder as one HTML page; equal folders give equal bytes.

    The page computes what ``TextClassifier.load(folder)`` computes: same pieces, same int8 weights, same temperature.

    Args:
        folder: the exported model.
        target: HTML file to write.

    Raises:
        UnsupportedModelError: if the page cannot run the network or the tokenizer.
        GendistError: if the folder is damaged, or the page would be larger than ``MAX_PAGE_BYTES``.
    """
    model = load_exported_model(folder, int8=True, use_lookup=True)
    weights, tokenizer = page_weights(model), page_tokenizer(model.tokenizer)
    about = _about(read_json(folder / DESCRIPTION))
    header = {
        "labels": model.labels,
        "temperature": model.temperature,
        "maxPieces": model.max_pieces,
        "textColumns": model.text_columns,
        "separator": model.separator,
        "architecture": model.architecture,
        "tokenizer": tokenizer.settings,
    }
    data = zlib.compress(pack_arrays(header, {**weights, **tokenizer.arrays}), 9)
    script, style = "".join(map(_template, SCRIPTS)), _template("page.css")
    page = (
        _environment()
        .get_template("page.html")
        .render(
            about=about,
            version=__version__,
            labels=len(model.labels),
            script=Markup(f"\n{script}"),  # noqa: S704 (our own file)
            style=Markup(f"\n{style}"),  # noqa: S704
            script_hash=_csp_hash(f"\n{script}"),
            style_hash=_csp_hash(f"\n{style}"),
            data=Markup(encode_base85(data)),  # noqa: S704 (its alphabet has no markup)
            data_bytes=len(data),
        )
    )
    if len(page) > MAX_PAGE_BYTES:
        size = f"{len(page) / 1e6:.1f} MB, more than {MAX_PAGE_BYTES / 1e6:.0f} MB"
        raise GendistError(f"{folder}: its page would have {size}; use a student with smaller embeddings")
    write_text(target, page)


def write_notice(target: Path, reason: str) -> None:
    """Write a page that says why this classifier has none."""
    write_text(target, _environment().get_template("notice.html").render(reason=reason))


def pack_arrays(header: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return a JSON header and arrays as bytes.

    The length of the header (uint32), the header in UTF-8, and each array in little-endian order from a multiple of
    eight bytes. The header's ``arrays`` has (type, shape, offset after the header) by name.
    """
    layout, parts, offset = {}, [], 0
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        content = array.astype(array.dtype.newbyteorder("<")).tobytes()
        layout[name] = [array.dtype.name, list(array.shape), offset]
        parts.append(content + bytes(-len(content) % 8))
        offset += len(parts[-1])
    text = json.dumps({**header, "arrays": layout}, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * ((4 - len(text)) % 8)  # arrays start at a multiple of eight
    return len(text).to_bytes(4, "little") + text + b"".join(parts)


def encode_base85(data: bytes) -> str:
    """Return bytes as base85 (RFC 1924) in lines, with a comma for '<', so that HTML has no markup in it."""
    text = base64.b85encode(data + bytes(-len(data) % 4)).decode().replace("<", ",")
    return "\n".join(text[start : start + LINE] for start in range(0, len(text), LINE))


def _about(description: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page says about its origin; the file is untrusted."""
    try:
        return {
            "name": str(description["chosen"]["dataset"]),
            "system": str(description["chosen"]["system"]),
            "rows": int(description["test"]["rows"]),
            "accuracy": float(description["test"]["int8"]["accuracy"]),
        }
    except (KeyError, TypeError, ValueError) as error:
        raise GendistError(f"{DESCRIPTION}: damaged ({error!r}); export the model again") from None


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("gendist.stages.export.classifier_page"), autoescape=True, undefined=StrictUndefined
    )


def _template(name: str) -> str:
    return (Path(__file__).parent / "templates" / name).read_text(encoding="utf-8")


def _csp_hash(content: str) -> str:
    """Return the hash of an inline script or style for the Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
