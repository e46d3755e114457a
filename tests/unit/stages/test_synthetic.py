import shutil
import subprocess
import sys
import unicodedata

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from scipy.stats import chisquare

from gendist.config.sampling_settings import Sampling
from gendist.errors import GendistError
from gendist.io.parquet import read_metadata, write_parquet
from gendist.io.provenance import Provenance
from gendist.nn.pretrained import load_causal_lm, load_tokenizer
from gendist.stages.generator.finetune_generator import boundary_tokens
from gendist.stages.synthetic import logits_filter
from gendist.stages.synthetic.batch_slots import GeneratedRow
from gendist.stages.synthetic.generate_shards import generate_shards, shard_table
from gendist.stages.synthetic.gumbel_sampler import GumbelSampler
from gendist.stages.synthetic.numba_logits_filter import NumbaLogitsFilter
from gendist.stages.synthetic.philox import gumbel_noise, philox4x32
from gendist.stages.synthetic.pool_reader import read_pool
from gendist.stages.synthetic.sampler import Sampler

STRATEGIES = {
    "full": {},
    "cool": {"temperature": 0.6},
    "top-k": {"top_k": 5},
    "nucleus": {"top_p": 0.8},
    "all": {"temperature": 1.3, "top_k": 20, "top_p": 0.9},
}


def test_philox_known_answers():
    # Random123, kat_vectors: philox4x32 with 10 rounds.
    ones, pi = 0xFFFFFFFF, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    for counter, key, expected in (
        ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
        ((ones,) * 4, (ones, ones), (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
        (pi, (0xA4093822, 0x299F31D0), (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1)),
    ):
        words = philox4x32(tuple(np.array([c], np.uint64) for c in counter), key)
        assert tuple(int(word[0]) for word in words) == expected


def test_gumbel_moments_and_independence():
    noise = gumbel_noise(7, np.arange(2000), np.zeros(2000), 50)
    assert noise.mean() == pytest.approx(0.5772, abs=0.02) and noise.var() == pytest.approx(np.pi**2 / 6, abs=0.04)
    assert np.isfinite(noise).all() and len(np.unique(noise)) > 0.999 * noise.size
    correlation = np.corrcoef(noise[:, :8].T)[np.triu_indices(8, 1)]
    assert np.abs(correlation).max() < 0.09  # four standard errors


def test_noise_is_a_function_of_seed_row_step_and_index():
    whole = gumbel_noise(3, np.arange(10), np.full(10, 4), 9)
    assert np.array_equal(gumbel_noise(3, np.array([6, 2]), np.array([4, 4]), 9), whole[[6, 2]])
    assert np.array_equal(gumbel_noise(3, np.arange(10), np.full(10, 4), 5), whole[:, :5])
    for other in (
        gumbel_noise(4, [0], [4], 9),
        gumbel_noise(3, [10], [4], 9),
        gumbel_noise(3, [0], [5], 9),
        gumbel_noise(3, [2**32], [4], 9),
    ):
        assert not np.isin(other, whole).any()
    assert not np.array_equal(gumbel_noise(2**32 + 3, [0], [4], 9), whole[:1])


def filtered(logits, temperature=1.0, top_k=0, top_p=1.0):
    """The distribution that the settings ask for, the plain way."""
    p = np.exp(logits / temperature)
    p /= p.sum()
    if top_k:
        p = np.where(p >= np.sort(p)[-top_k], p, 0)
        p /= p.sum()
    order = np.argsort(-p)
    before = np.cumsum(p[order]) - p[order]
    p[order[before >= top_p]] = 0
    return p / p.sum()


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("vocabulary", [30, 36])  # one that fills its blocks, one that does not
def test_draws_follow_the_distribution(strategy, vocabulary):
    logits = np.random.default_rng(0).normal(0, 1.5, vocabulary)
    n = 20_000
    chooser = GumbelSampler(Sampling(seed=5, **STRATEGIES[strategy]), vocabulary, [])
    tokens, _ = chooser.draw(torch.tensor(logits).float().expand(n, -1), np.arange(n), np.full(n, 3))
    counts = np.bincount(tokens.numpy(), minlength=vocabulary)
    expected = filtered(logits, **STRATEGIES[strategy])
    assert counts[expected == 0].sum() == 0
    kept = expected > 0
    assert chisquare(counts[kept], n * expected[kept]).pvalue > 1e-3


def test_extremes_of_top_k_and_top_p_are_the_best_token_or_no_filter():
    logits = torch.from_numpy(np.random.default_rng(1).normal(0, 3, (200, 40))).float()
    rows, steps = np.arange(200), np.zeros(200)
    free, _ = GumbelSampler(Sampling(), 40, []).draw(logits, rows, steps)
    for settings in ({"top_k": 1}, {"top_p": 1e-9}, {"temperature": 1e-3}):
        chosen, _ = GumbelSampler(Sampling(**settings), 40, []).draw(logits, rows, steps)
        assert torch.equal(chosen, logits.argmax(1))
    for settings in ({"top_k": 40}, {"top_k": 4000}, {"top_p": 1 - 1e-12}):
        chosen, _ = GumbelSampler(Sampling(**settings), 40, []).draw(logits, rows, steps)
        assert torch.equal(chosen, free)


SHAPES = [(0.1, 40), (1.0, 40), (3.0, 5000), (8.0, 5000)]
"""Spread of the logits in nats, and the vocabulary: from nearly even to nearly certain."""
FILTERS = [
    {},
    {"top_p": 0.95},
    {"top_p": 0.5, "temperature": 0.6},
    {"top_p": 0.0005},
    {"top_p": 0.9, "temperature": 1.5},
    {"top_p": 0.9995},
]


@pytest.mark.parametrize("settings", FILTERS, ids=str)
@pytest.mark.parametrize("spread, vocabulary", SHAPES)
def test_compiled_weights_are_those_of_torch(settings, spread, vocabulary):
    logits = torch.from_numpy(np.random.default_rng(2).normal(0, spread, (400, vocabulary))).float()
    chooser = GumbelSampler(Sampling(**settings), vocabulary, [0, 3])
    assert chooser.numba_logits_filter.supports(logits) and not chooser.numba_logits_filter.supports(logits.double())
    rows = np.arange(400)
    expected, _ = chooser.draw(logits.double(), rows, np.zeros(400))
    found, safe = chooser.draw(logits, rows, np.zeros(400))
    assert torch.equal(found[safe], expected[safe])
    assert (~safe).float().mean() < 0.05
    plain, ours = chooser.logits_filter(logits.double()), chooser.numba_logits_filter(logits)
    assert torch.allclose(ours.log_total.double(), plain.log_total, atol=1e-5)
    assert torch.allclose(ours.scores.double(), plain.scores, atol=1e-5)
    for theirs, same in (
        (plain.block_log_probs, ours.block_log_probs),
        (plain.max_block_log_probs, ours.max_block_log_probs),
    ):
        # One token more or less where float32 cannot tell which of them the share ends with.
        assert ((theirs.exp() - same.exp()).abs().amax(1) < 1e-5).float().mean() > 0.98


def test_bounds_hold_whatever_the_rounding_keeps():
    """Surely kept tokens are in the smallest nucleus there could be, all of the largest are possibly kept."""
    logits = torch.from_numpy(np.random.default_rng(5).normal(0, 3, (200, 3000))).float()
    weighed = NumbaLogitsFilter(Sampling(top_p=0.9), 3000, [])(logits)
    surely, here, possibly = weighed.bounds
    p = torch.softmax(logits.double(), 1)
    order = p.argsort(1, descending=True)
    before = torch.empty_like(p).scatter_(1, order, p.gather(1, order).cumsum(1) - p.gather(1, order))
    assert ((logits >= surely) <= (before < 0.9 - 1e-3)).all()
    assert ((logits >= possibly) >= (before < 0.9 + 1e-3)).all()
    assert ((logits >= here) == (before < 0.9)).double().mean() > 0.999
    assert (logits >= surely).sum() > 0.9 * (logits >= here).sum()


def test_close_calls_are_reported():
    logits = torch.zeros(1000, 40)
    logits[:, 1] = 3
    rows, steps = np.arange(1000), np.zeros(1000)
    for settings in [*STRATEGIES.values(), {"temperature": 0.02}]:
        chooser = GumbelSampler(Sampling(**settings), 40, [])
        token, safe = chooser.draw(logits, rows, steps)
        # Equal logits lie on the border of the filters, where rounding decides which are kept.
        assert safe.float().mean() > 0.1
        for seed in range(20):
            noise = torch.from_numpy(np.random.default_rng(seed).uniform(-1e-4, 1e-4, logits.shape)).float()
            moved, _ = chooser.draw(logits + noise, rows, steps)
            assert torch.equal(token[safe], moved[safe])


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_few_choices_are_close(strategy):
    # A vocabulary and a distribution like a language model's: each close call costs a pass in float64.
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 3, (2000, 5000))).float()
    chooser = GumbelSampler(Sampling(**STRATEGIES[strategy]), 5000, [])
    _, safe = chooser.draw(logits, np.arange(2000), np.zeros(2000))
    assert (~safe).float().mean() < 0.02


def test_forbidden_tokens_never_appear():
    logits = torch.zeros(3000, 10)
    logits[:, 4] = 9
    tokens, _ = GumbelSampler(Sampling(), 10, [4, 9]).draw(logits, np.arange(3000), np.zeros(3000))
    assert set(tokens.tolist()) == set(range(10)) - {4, 9}
    assert logits[0, 4] == 9  # the caller's logits are left alone


def rows_of(generator, folder, total, shard_rows, threads=1, **settings):
    """Texts of a pool's first rows, written in shards of some size."""
    table = []
    for shard in range(total // shard_rows):
        file = folder / f"{shard}.parquet"
        generate_shards(
            generator,
            [file],
            Sampling(max_tokens=24, **settings),
            first_shard=shard,
            shard_rows=shard_rows,
            threads=threads,
        )
        table += pq.read_table(file).to_pylist()
    assert [row["row"] for row in table] == list(range(total))
    return table


@pytest.mark.parametrize("model", ["generator", "bert_generator"])
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_do_not_depend_on_shards_batches_and_threads(model, strategy, tmp_path, request):
    folder, settings = request.getfixturevalue(model), STRATEGIES[strategy]
    expected = rows_of(folder, tmp_path, 20, 20, batch_size=64, **settings)
    assert len({row["text"] for row in expected}) > 3
    for shard_rows, batch_size in ((4, 1), (10, 3)):
        assert rows_of(folder, tmp_path, 20, shard_rows, batch_size=batch_size, **settings) == expected


def test_rows_do_not_depend_on_the_number_of_threads(bert_generator, tmp_path):
    expected = rows_of(bert_generator, tmp_path, 12, 12)
    try:
        assert rows_of(bert_generator, tmp_path, 12, 6, threads=2) == expected
    finally:
        torch.set_num_threads(1)


def test_rows_do_not_depend_on_the_process(generator, tmp_path):
    expected = rows_of(generator, tmp_path, 20, 20)
    program = (
        "import sys; from pathlib import Path; from gendist.config.sampling_settings import Sampling;"
        "from gendist.stages.synthetic.generate_shards import generate_shards;"
        "settings = Sampling(max_tokens=24, batch_size=4);"
        "generate_shards(Path(sys.argv[1]), [Path(sys.argv[2])], settings, first_shard=1, shard_rows=10)"
    )
    file = tmp_path / "second-half.parquet"
    subprocess.run([sys.executable, "-c", program, generator, file], check=True, capture_output=True)
    assert pq.read_table(file).to_pylist() == expected[10:]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_rows_are_equal_with_every_token_redrawn_in_float64(strategy, generator, tmp_path, monkeypatch):
    expected = rows_of(generator, tmp_path, 12, 12, **STRATEGIES[strategy])
    sampler = sampler_of(generator, **STRATEGIES[strategy])
    monkeypatch.setattr(logits_filter, "MARGIN", 1e9)
    assert rows_of(generator, tmp_path, 12, 4, batch_size=3, **STRATEGIES[strategy]) == expected
    rows = list(sampler.sample(range(3)))
    assert sampler.redrawn == sum(len(row.tokens) + row.stopped for row in rows)


def sampler_of(folder, forbidden=(), **settings):
    tokenizer, model = load_tokenizer(str(folder)), load_causal_lm(str(folder)).eval()
    start, end = boundary_tokens(model.config, tokenizer, "")
    return Sampler(model, Sampling(max_tokens=24, **settings), start=start, end=end, forbidden=forbidden)


@pytest.mark.parametrize("model", ["generator", "bert_generator"])
def test_the_margin_is_ten_times_the_rounding_error(model, request):
    sampler = sampler_of(request.getfixturevalue(model))
    exact = load_causal_lm(str(request.getfixturevalue(model))).eval().double()
    worst = 0.0
    with torch.inference_mode():
        for row in sampler.sample(range(20)):
            ids = torch.tensor([[sampler.start, *row.tokens]])
            alone = sampler.backend.model(input_ids=ids).logits
            together = sampler.backend.model(input_ids=ids.repeat(7, 1)).logits
            for logits in (alone, together):
                worst = max(worst, (logits.double() - exact(input_ids=ids).logits).abs().max().item())
    assert 0 < 10 * worst <= logits_filter.MARGIN


def test_the_end_token_stops_a_row_and_is_no_part_of_it(generator):
    sampler = sampler_of(generator)
    rows = {row.number: row for row in sampler.sample(range(40))}
    assert sorted(rows) == list(range(40))
    for row in rows.values():
        assert sampler.end not in row.tokens and len(row.tokens) <= 24
        assert row.stopped or len(row.tokens) == 24
    assert any(row.stopped for row in rows.values())
    assert list(sampler.sample([])) == []


def test_rows_end_at_the_context_of_the_model(generator):
    sampler = sampler_of(generator, temperature=9.0)
    model = sampler.backend.model
    settings = Sampling(max_tokens=4000, temperature=9.0)
    sampler = Sampler(model, settings, start=sampler.start, end=sampler.end)
    lengths = [len(row.tokens) for row in sampler.sample(range(20))]
    assert max(lengths) == model.config.max_position_embeddings - 1


def test_seeds_are_pools_of_their_own(generator, tmp_path):
    texts = [[row["text"] for row in rows_of(generator, tmp_path, 20, 20, seed=seed)] for seed in (0, 1)]
    assert texts[0] != texts[1]


def test_empty_and_broken_rows_are_counted_and_keep_their_place(generator):
    tokenizer = load_tokenizer(str(generator))
    ids = {text: tokenizer(text)["input_ids"] for text in ("the sea", " .,!", "é")}
    half = ids["é"][:1]  # the first byte of a character of two
    rows = [
        GeneratedRow(5, ids["the sea"], True),
        GeneratedRow(6, [], True),
        GeneratedRow(7, ids[" .,!"], False),
        GeneratedRow(8, half, False),
        GeneratedRow(9, ids["the sea"] + half, False),
    ]
    table, counts = shard_table(rows, tokenizer)
    assert table["row"].to_pylist() == [5, 6, 7, 8, 9]
    assert table["text"].to_pylist() == ["the sea", "", "", "", "the sea"]
    assert table["finish"].to_pylist() == ["stop", "empty", "empty", "empty", "length"]
    assert counts == {"stop": 1, "length": 1, "empty": 3}
    assert table.schema.types == [pa.int64(), pa.string(), pa.int32(), pa.string()]


def test_shard_says_what_made_it_but_not_the_batch_size(generator, tmp_path):
    for name, batch_size in (("one", 1), ("two", 64)):
        settings = Sampling(max_tokens=24, batch_size=batch_size)
        generate_shards(generator, [tmp_path / f"{name}.parquet"], settings, first_shard=2, shard_rows=5)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    stored = read_metadata(tmp_path / "one.parquet")
    assert sum(stored["finish_counts"].values()) == 5 and stored["gendist"]["settings"]["shard"] == 2
    assert set(stored["gendist"]["inputs"]) == {"generator"}
    texts = pq.read_table(tmp_path / "one.parquet")["text"].to_pylist()
    assert all(unicodedata.is_normalized("NFC", text) and "\ufffd" not in text for text in texts)


def test_a_moved_generator_gives_the_same_file(generator, tmp_path):
    shutil.copytree(generator, tmp_path / "moved")
    for name, folder in (("one", generator), ("two", tmp_path / "moved")):
        generate_shards(folder, [tmp_path / f"{name}.parquet"], Sampling(max_tokens=8), first_shard=0, shard_rows=3)
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def write_shard(path, first, texts):
    finish = ["stop" if text else "empty" for text in texts]
    rows = pa.array(range(first, first + len(texts)), pa.int64())
    write_parquet(path, pa.table({"row": rows, "text": texts, "finish": finish}), Provenance("synthetic"))
    return path


def test_pool_is_read_back_without_empty_rows(tmp_path):
    shards = [write_shard(tmp_path / "0", 0, ["a", "", "c"]), write_shard(tmp_path / "1", 3, ["d", "", "f"])]
    pool = read_pool(shards, 5)
    assert pool.rows.tolist() == [0, 2, 3] and pool.texts == ["a", "c", "d"] and pool.empty == 2
    assert read_pool(shards).texts == ["a", "c", "d", "f"]
    for files, count, message in (
        (shards[:1], 5, "rows 0 to 4 expected, found 3 rows"),
        (shards[::-1], 6, "rows 0 to 5 expected"),
        ([write_shard(tmp_path / "2", 0, ["", ""])], 2, r"all 2 generated rows are empty"),
        ([], 2, "no shards"),
    ):
        with pytest.raises(GendistError, match=message):
            read_pool(files, count)
