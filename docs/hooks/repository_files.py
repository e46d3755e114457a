"""Links of the documents into the rest of the repository, which the code host follows and a site cannot.

A file outside ``docs/`` that a document links to becomes a page of the site, under ``repository/``: Markdown as it is,
anything else as a listing. What such a page links to follows. So the same link works in both places, the site needs no
address of a code host, and ``mkdocs build --strict`` still refuses a link to a file that is not there.

``<!-- from FILE: NAME -->`` in a document stands for what is between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->``
of another one: a table has one place. The code host shows nothing there; so a link to the file belongs beside it.
"""

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

FOLDER = "repository"
LINK = re.compile(r"(?<=\]\()([^)\s#]+)(?=(?:#[^)\s]*)?\))")
"""The path of an inline link or image, without its anchor."""
EXTRACT = re.compile(r"^<!-- from (\S+): (\S+) -->$", re.MULTILINE)
LANGUAGES = {".py": "python", ".smk": "python", ".yaml": "yaml", ".toml": "toml"}
ABOUT = "This is the file `{name}` of the repository."


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that documents link to, and those that these link to."""
    root, docs = _folders(config)
    waiting = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    while waiting:
        source = waiting.pop()
        for target in _targets(source, root):
            uri = _uri(target, root, docs)
            if target.is_relative_to(docs) or files.get_file_from_path(uri):
                continue
            files.append(File.generated(config, uri, content=_page(target, root)))
            if target.suffix == ".md":
                waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Put extracts in, and lead links to the pages that show their files."""
    root, docs = _folders(config)
    source = docs / page.file.src_uri
    if page.file.src_uri.startswith(f"{FOLDER}/"):
        source = root / page.file.src_uri.removeprefix(f"{FOLDER}/").removesuffix(".md")
        if source.suffix != ".md":
            return markdown  # a listing: what looks like a link is code

    def extract(match: re.Match[str]) -> str:
        other = (source.parent / match[1]).resolve()
        text = other.read_text(encoding="utf-8")
        found = re.search(rf"<!-- {match[2]}:begin -->\n(.*?)<!-- {match[2]}:end -->", text, re.DOTALL)
        if found is None:
            raise PluginError(f"{page.file.src_uri}: {other.name} has nothing between the marks '{match[2]}'")
        return _led(found[1], other, page, root, docs)

    return EXTRACT.sub(extract, _led(markdown, source, page, root, docs))


def _led(markdown: str, source: Path, page: Page, root: Path, docs: Path) -> str:
    """Rewrite the links of a text that stands in ``source`` to paths as seen from the page."""

    def lead(match: re.Match[str]) -> str:
        target = (source.parent / match[1]).resolve()
        if not target.is_file() or not target.is_relative_to(root):
            return match[1]  # an address, or a mistake, which MkDocs reports
        return posixpath.relpath(_uri(target, root, docs), posixpath.dirname(page.file.src_uri))

    return LINK.sub(lead, markdown)


def _folders(config: MkDocsConfig) -> tuple[Path, Path]:
    return Path(config.config_file_path).resolve().parent, Path(config.docs_dir).resolve()


def _targets(source: Path, root: Path) -> Iterator[Path]:
    for link in LINK.findall(source.read_text(encoding="utf-8")):
        target = (source.parent / link).resolve()
        if target.is_file() and target.is_relative_to(root):
            yield target


def _uri(target: Path, root: Path, docs: Path) -> str:
    """Return where the site has a file: in its place if it is a document, else as a page of its own."""
    if target.is_relative_to(docs):
        return target.relative_to(docs).as_posix()
    return f"{FOLDER}/{target.relative_to(root).as_posix()}.md"


def _page(target: Path, root: Path) -> str:
    name, text = target.relative_to(root).as_posix(), target.read_text(encoding="utf-8")
    head = "---\nsearch:\n  exclude: true\n---\n"
    if target.suffix == ".md":
        return head + text
    fence = "`" * 8
    language = LANGUAGES.get(target.suffix, "text")
    return f"{head}# {target.name}\n\n{ABOUT.format(name=name)}\n\n{fence}{language}\n{text}{fence}\n"
