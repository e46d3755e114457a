"""Real Snakemake runs of studies with unlabelled rows and with rows from elsewhere."""

import copy
import csv
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from study_paths import pattern
from toy_texts import NAMES, sentences
from workflow_fixtures import POOL, REPORT, SAMPLES, STUDY, Checkout, changed, entry

from gendist.io.json_files import read_json
from gendist.io.parquet import read_metadata
from gendist.io.provenance import PROVENANCE_KEY, hash_file
from tools.study_files import STUDY_FILES

UNLABELLED = {"unlabelled": "toy/more.csv", "unlabelled_rows": 6}
GIVEN = {"llm": {"rows": "toy/llm.jsonl"}}


def with_rows() -> dict[str, Any]:
    """The small study with unlabelled rows, and with given rows as a second generator."""
    study = entry("datasets", "toy", **UNLABELLED)
    study["generators"] |= GIVEN
    return study


@pytest.fixture(scope="module")
def both(finished: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A finished study, in which one with further rows can run."""
    checkout = finished.copy(tmp_path_factory.mktemp("rows") / "checkout")
    texts, _ = sentences(12, 7)
    with (checkout.folder / "toy/test.csv").open() as stream:
        test = [row["text"] for row in csv.DictReader(stream)]
    rows = [*texts[:7], test[0].upper(), texts[7]]
    (checkout.folder / "toy/more.csv").write_text("text,note\n" + "".join(f"{text},x\n" for text in rows))
    texts, labels = sentences(9, 8)
    lines = [f'{{"text": "{text}", "label": "{NAMES[label]}"}}\n' for text, label in zip(texts, labels, strict=True)]
    (checkout.folder / "toy/llm.jsonl").write_text("".join(lines))
    return checkout


@pytest.fixture(scope="module")
def extended(both: Checkout) -> Checkout:
    """The same, with further rows, run to its end."""
    both.run(with_rows())
    return both


def test_unlabelled_rows_rerun_nothing_that_is_upstream(both: Checkout):
    # Six at most of each kind, so four systems, and one more point of each of the three curves.
    made = {"prepare_unlabelled": 1, "score_texts": 1, "distil_student": 4 + 3, "draw_rows": 1}
    assert both.planned(entry("datasets", "toy", **UNLABELLED)) == {**made, **REPORT}


def test_given_rows_are_cut_not_generated(both: Checkout):
    study = changed(generators=GIVEN)
    made = {"read_given": 1, "cut_shard": 2, "score_shard": 2, "distil_student": 1}
    assert both.planned(study) == {**made, **POOL, **REPORT}


def test_a_study_of_given_rows_alone_finetunes_no_generator(both: Checkout):
    jobs = both.planned({**STUDY, "generators": GIVEN})
    assert not {"finetune_generator", "generate_shard", "draw_sampling", "unpack_pocket"} & set(jobs)
    # kim+synthetic with 4 and 8 rows, kim+hard, and kim and res under gendist
    assert (jobs["cut_shard"], jobs["score_shard"], jobs["distil_student"]) == (2, 2, 5)
    assert set(SAMPLES) < set(jobs)


def test_every_file_of_further_rows_is_there(extended: Checkout):
    results = extended.folder / "results"
    toy = results / "toy"
    texts = pq.read_table(toy / "texts/unlabelled.parquet")
    assert (texts.column_names, texts.num_rows) == (["id", "text"], 6)
    assert 7 not in texts["id"].to_pylist()  # a test text
    logits = pq.read_table(toy / "logits/bert/unlabelled.parquet")
    assert logits.column_names == ["id", "logits"] and logits["id"].to_pylist() == texts["id"].to_pylist()
    log = (results / "logs/toy/texts-unlabelled.log").read_text()
    assert "toy/more.csv: dropped 1 of 9 rows: in the test rows too" in log
    shards = [pq.read_table(toy / f"synthetic/llm/full/shard-0000{i}.parquet") for i in range(2)]
    assert [shard.column_names for shard in shards] == [["row", "text", "n_tokens", "finish"]] * 2
    written = [text for shard in shards for text in shard["text"].to_pylist()]
    assert written == sentences(9, 8)[0][:8]
    source = hash_file(extended.folder / "toy/llm.jsonl")
    for path in (toy / "generators/llm/rows.parquet", toy / "synthetic/llm/full/shard-00000.parquet"):
        assert read_metadata(path)[PROVENANCE_KEY]["inputs"]["source"] == source
    source = hash_file(extended.folder / "toy/more.csv")
    assert read_metadata(toy / "texts/unlabelled.parquet")[PROVENANCE_KEY]["inputs"]["source"] == source
    runs = {
        f.parent.relative_to(toy / "students").as_posix() for f in toy.glob("students/*/*unlabelled/**/metrics.json")
    }
    both = "gendist-unlabelled/bert.tiny.full.default"
    expected = {f"{student}/unlabelled/bert.default/n6/seed0" for student in ("kim", "res")}
    expected |= {f"{student}/{both}/n8/seed0" for student in ("kim", "res")}
    assert runs == expected | {"kim/unlabelled/bert.default/n4/seed0", f"kim/{both}/n4/seed0"}
    trained = read_json(toy / f"students/kim/{both}/n4/seed0/student.json")["trained_on"]
    assert trained["real"] == 18 and trained["unlabelled"] == 6 and 0 < trained["synthetic"] <= 4
    quality = read_json(toy / "quality/llm/full/quality.json")
    assert 0 <= quality["as_asked"]["all"] <= 1
    asked = pq.read_table(toy / "quality/llm/full/rows.parquet")["asked"].to_pylist()
    assert asked == [NAMES[label] for label in sentences(9, 8)[1][:8]]


def test_every_file_of_further_rows_is_described_once(extended: Checkout):
    results = extended.folder / "results"
    files = [file.relative_to(results).as_posix() for file in results.rglob("*") if file.is_file()]
    kinds = {name: [kind.path for kind in STUDY_FILES if pattern(kind).fullmatch(name)] for name in files}
    assert {name: found for name, found in kinds.items() if len(found) != 1} == {}
    assert kinds["figures/rows.csv"] == ["figures/rows.{format}"]


def test_tables_and_figures_show_the_systems(extended: Checkout):
    results = extended.folder / "results"
    rows = pq.read_table(results / "metrics.parquet").to_pylist()
    assert list(rows[0])[-2:] == ["variant", "n_unlabelled"]
    counted = {(r["system"], r["n_synthetic"], r["n_unlabelled"]) for r in rows if r["n_unlabelled"]}
    new = ["kim+unlabelled", "res+unlabelled", "kim+gendist+unlabelled", "res+gendist+unlabelled"]
    assert counted == {
        *((name, 0, 6) for name in new[:2]),
        *((name, 8, 6) for name in new[2:]),
        ("kim+unlabelled", 0, 4),
        ("kim+gendist+unlabelled", 4, 6),
    }
    for name in ("tables/table1.csv", "tables/costs.csv", "figures/tradeoff.csv"):
        with (results / name).open() as stream:
            assert [row["system"] for row in csv.DictReader(stream)][-4:] == new, name
    with (results / "tables/gains.csv").open() as stream:
        gains = {(row["student"], row["variant"]): row for row in csv.DictReader(stream)}
    assert gains["kim", "main"]["unlabelled"] and gains["res", "main"]["gendist-unlabelled - unlabelled difference"]
    assert gains["blend", "main"]["unlabelled"] == "" and gains["kim", "generator llm"]["gendist"]
    with (results / "figures/rows.csv").open() as stream:
        points = [(r["system"], r["n_synthetic"], r["n_unlabelled"]) for r in csv.DictReader(stream)]
    assert points == [
        ("kim+gendist", "4", "0"),
        ("kim+gendist", "8", "0"),
        ("kim+unlabelled", "0", "4"),
        ("kim+unlabelled", "0", "6"),
        ("kim+gendist+unlabelled", "4", "6"),
        ("kim+gendist+unlabelled", "8", "6"),
        ("teacher", "", ""),
        ("kim+dist", "", ""),
    ]
    assert all((results / f"figures/rows.{kind}").stat().st_size > 1000 for kind in ("svg", "png"))
    assert "Generated rows and real ones" in (results / "report.html").read_text()


def test_what_was_there_before_is_the_same_bytes(extended: Checkout, finished: Checkout):
    def made(checkout: Checkout) -> dict[str, str]:
        results = checkout.folder / "results"
        files = [f for f in (results / "toy").rglob("*") if f.is_file() and f.suffix in (".parquet", ".safetensors")]
        files += [results / "figures/figure2.csv", results / "tables/table2.csv", results / "tables/memorisation.csv"]
        return {f.relative_to(results).as_posix(): hash_file(f) for f in files}

    before = made(finished)
    assert len(before) > 40
    assert {name: value for name, value in made(extended).items() if name in before} == before


@pytest.mark.parametrize(
    ("file", "jobs"),
    [
        # Students with unlabelled rows: kim with four or six, res, and the same three with generated ones.
        ("more.csv", {"prepare_unlabelled": 1, "score_texts": 1, "distil_student": 6, "draw_rows": 1}),
        ("llm.jsonl", {"read_given": 1, "cut_shard": 2, "score_shard": 2, "distil_student": 1, "draw_rows": 1, **POOL}),
    ],
)
def test_a_changed_file_reruns_what_depends_on_it(extended: Checkout, file: str, jobs: dict[str, int]):
    assert extended.planned(with_rows()) == {}
    path = extended.folder / "toy" / file
    before = path.read_bytes()
    path.write_bytes(before.replace(b"the", b"some"))
    try:
        assert path.read_bytes() != before
        unchanged = {"write_run_config"}
        assert extended.planned(with_rows()) == {**jobs, **{k: v for k, v in REPORT.items() if k not in unchanged}}
    finally:
        path.write_bytes(before)


@pytest.mark.parametrize(
    ("study", "message"),
    [
        (
            entry("datasets", "toy", unlabelled="toy/more.csv", unlabelled_rows=10),
            "toy/more.csv: 9 rows, fewer than the 10 required by datasets.toy.unlabelled_rows; "
            "set datasets.toy.unlabelled_rows to 9 or fewer",
        ),
        (
            {**entry("datasets", "toy", synthetic=10), "generators": GIVEN},
            "toy/llm.jsonl: 9 rows, fewer than the 10 required by datasets.toy.synthetic (key 'generators.llm.rows')",
        ),
        (
            {**STUDY, "generators": {"llm": {"rows": "toy/none.csv"}}},
            "toy/none.csv: no such file (key 'generators.llm.rows')",
        ),
        (
            {**STUDY, "generators": {"llm": {"rows": "toy/llm.jsonl", "epochs": 3, "model": "pocket"}}},
            "study.yaml: key 'generators.llm': 'rows' uses texts as they are, without a model; remove epochs, model, "
            "or 'rows'",
        ),
    ],
    ids=["too few unlabelled rows", "too few given rows", "no given file", "rows and a model"],
)
def test_mistakes_end_in_one_line_before_any_job(both: Checkout, study: dict[str, Any], message: str):
    result = both.snakemake("--cores", "1", "--configfile", both.write(copy.deepcopy(study)))
    assert result.returncode != 0
    _, *lines = result.stdout.splitlines()  # the first names the profile
    assert [line.removeprefix("error: ").removeprefix(f"{both.folder}/") for line in lines] == [message]


def test_a_label_that_is_no_class_is_one_line(both: Checkout, tmp_path: Path):
    checkout = both.copy(tmp_path / "checkout")
    file = checkout.folder / "toy/llm.jsonl"
    file.write_text(file.read_text().replace('"sky"', '"sun"', 1))
    study = checkout.write({**STUDY, "generators": GIVEN})
    result = checkout.snakemake("--cores", "1", "--configfile", study, "--", "results/toy/generators/llm/rows.parquet")
    assert result.returncode != 0
    (line,) = [line for line in result.stdout.splitlines() if "error: toy" in line]
    assert "label 'sun' is none of the classes sea, sky, soil; column 'label' is the class" in line
