"""The page of a pool's texts."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest
from quality_fixtures import MADE, ROWS, assess, logits_for, write_pool

from gendist.analysis.quality.samples_page import select_page_rows


class Elements(HTMLParser):
    """Collects what a browser would see: elements with their attributes, and text outside scripts and styles."""

    def __init__(self, page):
        super().__init__()
        self.elements, self.words, self.inside = [], [], None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, text):
        if self.inside not in ("script", "style"):
            self.words.append(text)


def test_generated_markup_comes_out_as_text(tmp_path):
    _, _, page = assess(write_pool(tmp_path), tmp_path)
    seen = Elements(page)
    tags = [tag for tag, _ in seen.elements]
    assert tags.count("script") == tags.count("style") == 1 and "img" not in tags
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page and "<script>alert" not in page
    assert "<script>alert(1)</script> <img src=x onerror=alert(2)> kites & krad" in "".join(seen.words)
    assert "\u202e" not in page and 'data-class="so&amp;il"' in page
    attributes = {name for _, attrs in seen.elements for name in attrs}
    assert not {name for name in attributes if name.startswith("on")} | (attributes & {"style", "src", "href"})


def test_the_page_shows_texts_detokenised_and_the_rows_hold_them_as_generated(tmp_path):
    _, rows, page = assess(write_pool(tmp_path), tmp_path)
    assert rows[ROWS.index(8)]["text"] == MADE[8] == "clay ' s pots & a spade ( < b > )"
    assert "clay's pots & a spade (< b >)" in "".join(Elements(page).words)
    assert '<p dir="auto">clay&#39;s pots &amp; a spade (&lt; b &gt;)</p>' in page
    assert "shown detokenised" in page
    assert "Teacher's label, probability" in page


def test_the_page_allows_its_own_script_and_style_and_nothing_else(tmp_path):
    _, _, page = assess(write_pool(tmp_path), tmp_path)
    (policy,) = [a["content"] for tag, a in Elements(page).elements if a.get("http-equiv") == "Content-Security-Policy"]
    rules = dict(rule.split(maxsplit=1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'" and rules["base-uri"] == "'none'" and "unsafe" not in policy
    import base64
    import hashlib

    for kind in ("script", "style"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"


def test_rows_stand_by_confidence_without_any_script(tmp_path):
    sureness = [1, 4, 2, 9, 3, 0.5, 5, 6, 7, 8]
    logits = [logits_for(0, value) for value in sureness]
    _, _, page = assess(write_pool(tmp_path, logits=logits), tmp_path)
    rows = [attrs for tag, attrs in Elements(page).elements if tag == "tr" and "data-row" in attrs]
    assert [int(row["data-row"]) for row in rows] == sorted(ROWS, key=lambda i: sureness[i])
    kinds = {int(row["data-row"]): row["data-kinds"] for row in rows if row["data-kinds"]}
    assert kinds == {1: "duplicate", 2: "near-duplicate", 4: "copy", 5: "near-copy", 9: "duplicate"}
    assert sum("data-other" in row for row in rows) == 6  # all but rows 0, 6 and 9 were asked for another label
    assert '<form id="controls" hidden>' in page  # the script shows it


def test_a_large_pool_shows_the_doubtful_the_repeats_and_a_draw():
    confidence, marked = 1 - np.arange(3000) / 5000, np.zeros(3000, bool)
    marked[7] = True
    chosen = select_page_rows(confidence, marked).tolist()
    assert len(chosen) == 1000 == len(set(chosen)) and 7 in chosen and chosen == sorted(chosen)
    assert set(range(2800, 3000)) <= set(chosen)
    assert (
        chosen == select_page_rows(confidence, marked).tolist() != select_page_rows(confidence, marked, seed=1).tolist()
    )
    assert select_page_rows(confidence[:50], marked[:50]).tolist() == list(range(50))


@pytest.mark.skipif(shutil.which("node") is None, reason="node checks the syntax of the script")
def test_the_script_is_valid(tmp_path):
    from gendist.analysis.quality.samples_page_template import SCRIPT

    (tmp_path / "page.js").write_text(SCRIPT)
    subprocess.run(["node", "--check", str(tmp_path / "page.js")], check=True)
