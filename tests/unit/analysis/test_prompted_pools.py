"""Pools of prompted models in the quality table, the costs and the cards."""

import csv
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from quality_fixtures import write_pool
from study_fixtures import MAIN, finish, study_in

from gendist.analysis.cards.card_facts import collect_facts
from gendist.analysis.cards.write_cards import write_cards
from gendist.analysis.quality.assess_pool import PoolNames, assess_pool
from gendist.analysis.quality.quality_table import write_quality
from gendist.analysis.report_page.stage_costs import cost_table, stage_costs
from gendist.config import study_from
from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata, read_parquet, write_parquet
from gendist.io.provenance import Provenance
from gendist.stages.synthetic.chat_answers import FINISH

ENDPOINT = {"url": "http://gpu7.example.org:8000/v1", "model": "big-chat"}
PRICES = {"input": 0.5, "output": 2.0, "currency": "EUR"}


def test_the_quality_table_has_the_shares_of_refusals_and_echoes(tmp_path: Path):
    files = write_pool(tmp_path)
    shares = {}
    for name, kinds in (("finetuned", ()), ("prompted", FINISH)):
        for shard in files.pool.shards:
            counts = dict.fromkeys(kinds, 0)
            write_parquet(shard, read_parquet(shard), Provenance("synthetic"), {"finish_counts": counts})
        out = [tmp_path / file for file in ("q.json", "r.parquet", "s.html", "q.csv", "q.md")]
        names = PoolNames("toy", name, "full", "bert")
        assess_pool(files.pool, names, count=files.count, out_json=out[0], out_rows=out[1], out_html=out[2])
        finish = read_json(out[0])["finish"]
        assert sum(finish.values()) == files.count
        write_quality([out[0]], students={}, system="kim", out_csv=out[3], out_md=out[4])
        with out[3].open(newline="") as stream:
            pool, *real = csv.DictReader(stream)
        shares[name] = [pool["refused, %"], pool["echoed, %"]]
        assert all(row["refused, %"] == row["echoed, %"] == "" for row in real)
    assert shares == {"finetuned": ["", ""], "prompted": ["0.0", "0.0"]}


@pytest.fixture
def prompted(tmp_path: Path) -> dict[str, Any]:
    """A config whose main generator is an endpoint, and the files of its finished study."""
    study = study_in(tmp_path)
    finish(study)
    for shard in (tmp_path / "news/synthetic/pocket/full").glob("*.parquet"):
        usage = {"prompt_tokens": 1_000_000, "completion_tokens": 250_000, "rows_without_count": 0}
        metadata = {key: value for key, value in read_metadata(shard).items() if key != "gendist"}
        table: pa.Table = read_parquet(shard)
        write_parquet(shard, table, Provenance("synthetic"), {**metadata, "usage": usage})
        log = tmp_path / f"logs/news/synthetic/pocket/full/{shard.stem}.benchmark.tsv"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("s\th:m:s\n4\t0:00:04\n")
    generators = {MAIN["generator"]: {"endpoint": {**ENDPOINT, "prices": PRICES}}}
    return {**study.model_dump(mode="json"), "generators": generators}


def test_costs_have_the_tokens_and_the_price(prompted: dict[str, Any], tmp_path: Path):
    priced = stage_costs(tmp_path, tmp_path / "logs", "news", [], generators=prompted["generators"])
    assert [(cost.stage, cost.prompt_tokens, cost.answer_tokens, cost.price) for cost in priced] == [
        ("generate rows", 2_000_000, 500_000, "2.00 EUR")
    ]
    table = cost_table(priced)
    assert table.header[-3:] == ["tokens of prompts", "tokens of answers", "price"]
    assert [row[-3:] for row in table.rows] == [["2,000,000", "500,000", "2.00 EUR"], ["-"] * 3]
    unpriced = stage_costs(tmp_path, tmp_path / "logs", "news", [], generators={})
    assert unpriced[0].price is None and unpriced[0].prompt_tokens == 2_000_000


def test_cards_name_the_model_and_not_the_server(prompted: dict[str, Any], tmp_path: Path):
    study = study_from(prompted)
    facts = collect_facts(study, "news")
    assert facts.config["generator"]["endpoint"] == {"model": "big-chat"}
    assert facts.written_by == "written by a prompted chat model"
    assert [source.name for source in facts.sources if source.role == "generator"] == ["big-chat"]
    cards = [file.read_text() for file in write_cards(study, "news") if file.suffix == ".md"]
    assert len(cards) == 2 and all("gpu7" not in card and "finetuned generator" not in card for card in cards)
    assert any("when it was prompted with" in card and "2.00 EUR" in card for card in cards)
