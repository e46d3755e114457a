"""The documentation site builds without a warning, its links lead somewhere, and it loads nothing from other hosts."""

import json
import os
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from workflow_fixtures import ROOT

LOADED = {
    "script": "src",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
"""Tags that a browser fetches something for, and the attribute with its address."""
FETCHED_LINKS = {"stylesheet", "icon", "preload", "prefetch", "preconnect", "dns-prefetch", "manifest", "modulepreload"}


class Html(HTMLParser):
    """What a page links to, what it loads, and the anchors that it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.anchors: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag == "link" and FETCHED_LINKS & set(values.get("rel", "").split()):
            self.loads.append(values["href"])
        if tag in LOADED and LOADED[tag] in values:
            self.loads.append(values[LOADED[tag]])
        self.loads += [part.split()[0] for part in values.get("srcset", "").split(",") if part.strip()]
        self.loads += addresses(values.get("style", ""))


def addresses(css: str) -> list[str]:
    """What a style sheet loads."""
    found = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", css)
    return [one or other for one, other in found]


def build(checkout: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Build the site of a checkout as `make docs` does; both streams come back in ``stdout``."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, cwd=checkout, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site") / "site"
    done = build(ROOT, target)
    assert done.returncode == 0 and "WARNING" not in done.stdout, done.stdout
    return target


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    # The error page is served at any address and so names others from the root of a host.
    return {page: Html(page.read_text(encoding="utf-8")) for page in site.rglob("*.html") if page.name != "404.html"}


def test_every_document_is_a_page(site: Path, pages: dict[Path, Html]):
    docs = ROOT / "docs"
    documents = {path.relative_to(docs).with_suffix(".html").as_posix() for path in docs.rglob("*.md")}
    assert "notes/tuning.html" in documents
    made = {page.relative_to(site).as_posix() for page in pages if site / "repository" not in page.parents}
    assert made == documents
    assert documents <= {link.partition("#")[0] for link in pages[site / "index.html"].links}


def test_internal_links_and_anchors_resolve(pages: dict[Path, Html]):
    broken = []
    for page, html in pages.items():
        for link in html.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            anchor = unquote(parts.fragment)
            if not target.is_file() or (anchor and target in pages and anchor not in pages[target].anchors):
                broken.append(f"{page.name}: {link}")
    assert broken == []


def test_nothing_is_loaded_from_other_hosts(site: Path, pages: dict[Path, Html]):
    loads = {(page, address) for page, html in pages.items() for address in html.loads}
    for sheet in [*site.rglob("*.css"), *site.rglob("*.svg")]:
        loads |= {(sheet, address) for address in addresses(sheet.read_text(encoding="utf-8"))}
    for page in pages:
        for style in re.findall(r"<style[^>]*>(.*?)</style>", page.read_text(encoding="utf-8"), re.DOTALL):
            loads |= {(page, address) for address in addresses(style)}
    assert {
        (page.name, a) for page, a in loads if urlsplit(a).netloc or urlsplit(a).scheme not in ("", "data")
    } == set()
    local = {(page.parent / urlsplit(a).path).resolve() for page, a in loads if urlsplit(a).path and "data:" not in a}
    assert len(local) > 5 and [path for path in local if not path.is_file()] == []


@pytest.mark.parametrize("figure", sorted((ROOT / "docs/images").glob("*.svg")), ids=lambda path: path.name)
def test_words_of_a_figure_stand_in_filled_boxes(figure: Path):
    """So that they can be read on a light and on a dark page."""
    name = "{http://www.w3.org/2000/svg}"
    root = ElementTree.parse(figure).getroot()
    assert root.find(f"{name}title") is not None and root.find(f"{name}desc") is not None
    boxes = [
        tuple(float(box.get(key) or 0) for key in ("x", "y", "width", "height")) for box in root.iter(f"{name}rect")
    ]
    words = list(root.iter(f"{name}text"))
    assert words and boxes
    for text in words:
        x, y = float(text.get("x") or 0), float(text.get("y") or 0)
        inside = [box for box in boxes if box[0] < x < box[0] + box[2] and box[1] + 12 < y < box[1] + box[3]]
        assert len(inside) == 1, text.text
        # Seven units a letter of 14, half of them on each side of the middle.
        assert len(text.text or "") * 3.6 < min(x - inside[0][0], inside[0][0] + inside[0][2] - x) + 8, text.text


def test_the_theme_s_script_has_no_cause_to_fetch(site: Path):
    (script,) = site.glob("assets/javascripts/bundle.*.min.js")
    hosts = set(re.findall(r"https://([a-z.-]+\.[a-z]+)/", script.read_text(encoding="utf-8")))
    # Diagrams and stand-ins for old browsers; the stars of a repository; a link in a comment.
    assert hosts == {"unpkg.com", "api.github.com", "clipboardjs.com"}
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert 'class="mermaid"' not in text and 'data-md-component="source"' not in text


def test_the_search_works_from_a_folder(site: Path):
    assert (site / "search/search_index.js").read_text(encoding="utf-8").startswith("var __index = {")
    for page in site.rglob("*.html"):
        assert re.search(r'<script src="[./]*javascripts/iframe-worker\.js">', page.read_text(encoding="utf-8")), page


def test_repository_files_that_documents_name_are_pages(site: Path, pages: dict[Path, Html]):
    listing = (site / "repository/configs/own_data.yaml.html").read_text(encoding="utf-8")
    assert '<span class="nt">train_per_class</span>' in listing
    assert "repository/configs/own_data.yaml.html" in pages[site / "guide.html"].links
    # The front page of the repository, whose own links lead back to the documents.
    assert "../guide.html" in pages[site / "repository/README.md.html"].links
    found = json.loads((site / "search/search_index.json").read_text(encoding="utf-8"))["docs"]
    assert found and not [entry["location"] for entry in found if entry["location"].startswith("repository/")]


def test_the_front_page_has_the_results_of_the_readme(site: Path):
    front = (site / "index.html").read_text(encoding="utf-8")
    row = re.search(r"^\| (res\+gendist) +\| +(.*?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert row and f"<td>{row[1]}</td>" in front and row[2] in front
    assert 'href="results.html"' in front  # the readme says docs/results.md


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The documents, and what they link to, in another place."""
    for name in ("docs", "mkdocs.yml"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, tmp_path / name)
    for page in (ROOT / "docs").rglob("*.md"):
        for link in re.findall(r"\]\((\.\./[^)#\s]+)", page.read_text(encoding="utf-8")):
            name = (page.parent / link).resolve().relative_to(ROOT)
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / name)
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    (tmp_path / "README.md").write_text(re.sub(r"\]\((?!docs/)[^)]*\)", "]", readme))  # what it links to is not here
    return tmp_path


def test_broken_links_fail_the_build(copy: Path):
    assert build(copy, copy / "site").returncode == 0
    mistakes = ("[a](../configs/none.yaml)", "[a](none.md)", "[a](guide.md#none)", "![a](images/none.svg)")
    with (copy / "docs/faq.md").open("a", encoding="utf-8") as file:
        file.write("".join(f"\n{line}\n" for line in mistakes))
    done = build(copy, copy / "site")
    assert done.returncode != 0
    for complaint in ("'../configs/none.yaml'", "'none.md'", "'#none'", "'images/none.svg'"):
        assert complaint in done.stdout, complaint


def test_an_extract_that_is_not_there_fails_the_build(copy: Path):
    with (copy / "docs/faq.md").open("a", encoding="utf-8") as file:
        file.write("\n<!-- from ../README.md: none -->\n")
    done = build(copy, copy / "site")
    assert done.returncode != 0 and "faq.md: README.md has nothing between the marks 'none'" in done.stdout
