"""Add repository files that the documents link to as pages of the site.

A linked file outside ``docs/`` becomes a page under ``repository/``: Markdown as it is, any other file as a listing.
Links of such pages are followed too. The same relative link thus works on the code host and on the site, and ``mkdocs
build --strict`` rejects links to missing files.

``<!-- from FILE: NAME -->`` includes the text between ``<!-- NAME:begin -->`` and ``<!-- NAME:end -->`` of another
file. The code host shows nothing there, so put a link to the file beside it.
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
INCLUDE = re.compile(r"^<!-- from (\S+): (\S+) -->$", re.MULTILINE)
LANGUAGES = {".py": "python", ".smk": "python", ".yaml": "yaml", ".toml": "toml"}
ABOUT = "This is the file `{name}` of the repository."


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files that documents link to, directly or through other added files."""
    root, docs = _folders(config)
    queue = [Path(file.abs_src_path) for file in files.documentation_pages() if file.abs_src_path]
    while queue:
        source = queue.pop()
        for target in _targets(source, root):
            uri = _uri(target, root, docs)
            if target.is_relative_to(docs) or files.get_file_from_path(uri):
                continue
            files.append(File.generated(config, uri, content=_page(target, root)))
            if target.suffix == ".md":
                queue.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Include extracts, and rewrite links to repository files."""
    root, docs = _folders(config)
    source = docs / page.file.src_uri
    if page.file.src_uri.startswith(f"{FOLDER}/"):
        source = root / page.file.src_uri.removeprefix(f"{FOLDER}/").removesuffix(".md")
        if source.suffix != ".md":
            return markdown  # a listing contains code, no links

    def include(match: re.Match[str]) -> str:
        other = (source.parent / match[1]).resolve()
        text = other.read_text(encoding="utf-8")
        found = re.search(rf"<!-- {match[2]}:begin -->\n(.*?)<!-- {match[2]}:end -->", text, re.DOTALL)
        if found is None:
            raise PluginError(f"{page.file.src_uri}: {other.name} has nothing between the marks '{match[2]}'")
        return _rewrite_links(found[1], other, page, root, docs)

    return INCLUDE.sub(include, _rewrite_links(markdown, source, page, root, docs))


def _rewrite_links(markdown: str, source: Path, page: Page, root: Path, docs: Path) -> str:
    """Rewrite the links of a text in ``source`` as paths relative to the page."""

    def target_path(match: re.Match[str]) -> str:
        target = (source.parent / match[1]).resolve()
        if not target.is_file() or not target.is_relative_to(root):
            return match[1]  # a URL, or a broken link, which MkDocs reports
        return posixpath.relpath(_uri(target, root, docs), posixpath.dirname(page.file.src_uri))

    return LINK.sub(target_path, markdown)


def _folders(config: MkDocsConfig) -> tuple[Path, Path]:
    return Path(config.config_file_path).resolve().parent, Path(config.docs_dir).resolve()


def _targets(source: Path, root: Path) -> Iterator[Path]:
    for link in LINK.findall(source.read_text(encoding="utf-8")):
        target = (source.parent / link).resolve()
        if target.is_file() and target.is_relative_to(root):
            yield target


def _uri(target: Path, root: Path, docs: Path) -> str:
    """Return the path of a file's page: a document's own, or one under ``repository/``."""
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
