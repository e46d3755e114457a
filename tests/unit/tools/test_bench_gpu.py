"""The measuring of a GPU, with tiny models on a CPU."""

import json

import pytest
import torch

from gendist.errors import GendistError
from tools.bench import gpu, gpu_stages, timed_pairs


def figures(folder):
    return [json.loads(line) for line in (folder / "gpu.jsonl").read_text().splitlines()]


def test_every_stage_runs_and_keeps_what_it_prints(tmp_path, capsys):
    gpu.main(["--device", "cpu", "--small", "--out", str(tmp_path)])  # goals of a GPU are missed
    out, kept = capsys.readouterr().out, figures(tmp_path)
    assert not [line for line in kept if str(line.get("note", "")).startswith("failed")]
    took = [line["stage"] for line in kept if line.get("what") == "took"]
    assert took == list(gpu.STAGES) and {line["device"] for line in kept} == {"cpu"}
    found = {(line["stage"], line["what"]): line for line in kept if "what" in line}
    assert found["check", "rows of 24 changed by other slots"]["value"] == 0
    for dtype in (torch.float32, torch.bfloat16):
        divergence = found["check", f"KL to transformers, decode_kernels, {dtype}"]
        assert abs(divergence["value"]) < divergence["most"] == gpu_stages.MAX_DIVERGENCE
    assert found["generation", "24 rows of 12 tokens"]["least"] == 250_000
    assert "generation: 24 rows of 12 tokens: " in out and "tokens/s (goal: at least 250000, MISSED)" in out
    assert all(line["value"] >= 0 for line in kept if line.get("unit") == "tokens/s")


def test_a_stage_that_fails_is_named_and_the_next_one_runs(monkeypatch, tmp_path, capsys):
    def broken(*_):
        raise RuntimeError("no kernel\nfor this")

    monkeypatch.setattr(gpu_stages, "roofline", broken)
    monkeypatch.setattr(gpu_stages, "loading", lambda figures, *_: figures.add("bytes", 2.0, "GB", most=3))
    assert gpu.main(["roofline", "loading", "--device", "cpu", "--out", str(tmp_path)]) == 1
    assert "roofline: failed: RuntimeError: no kernel\n" in capsys.readouterr().out
    assert [line["value"] for line in figures(tmp_path) if line.get("what") == "bytes"] == [2.0]
    assert gpu.main(["loading", "--device", "cpu", "--out", str(tmp_path)]) == 0


def test_no_stage_begins_when_the_time_is_up(tmp_path):
    gpu.main(["loading", "--device", "cpu", "--small", "--seconds", "0", "--out", str(tmp_path)])
    assert figures(tmp_path)[-1]["note"].startswith("skipped after")


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["drawing"], "unknown stage 'drawing'; accepted: roofline, "),
        ([], "PyTorch sees no GPU; test the stages with --device cpu --small"),
    ],
)
def test_mistakes_end_in_one_line(arguments, reason, tmp_path, capsys):
    if not arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit):
        gpu.main([*arguments, "--out", str(tmp_path / "none")])
    assert reason in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_a_rate_of_zero_is_an_error():
    with pytest.raises(GendistError, match="returned 0 units; expected more than 0"):
        timed_pairs.rate(lambda: 0.0)
    with pytest.raises(GendistError, match="returned 0 units"):
        timed_pairs.run_case(timed_pairs.Case("a", "b", "rows", None, lambda: 1.0, lambda: 0.0), 1)
