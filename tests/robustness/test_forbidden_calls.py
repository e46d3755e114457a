"""What docs/security.md promises of the code: nothing that is read is run, and the audit says when it could not ask."""

import ast
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from workflow_fixtures import ROOT

# --- what the code may not call ---


FORBIDDEN = {
    "eval", "exec", "compile", "__import__",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "marshal.loads", "shelve.open", "dill.load", "joblib.load",
    "torch.load", "np.load", "numpy.load", "pd.read_pickle", "cloudpickle.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "yaml.load_all",
    "os.system", "os.popen", "os.execv", "subprocess.getoutput", "subprocess.getstatusoutput",
    "tempfile.mktemp", "input",
}  # fmt: skip
METHODS = {"extractall", "read_pickle", "to_pickle", "unpack_archive"}
ALLOWED = {
    ("gendist/config/yaml_file.py", "yaml.load"): "with a loader that is derived from the safe one",
    ("tools/pocket/token_windows.py", "np.load"): "the pretraining's own tokens, without pickle",
}
HUB = ("AutoConfig", "AutoModel", "AutoModelForCausalLM", "AutoModelForSequenceClassification", "AutoTokenizer")


def python_files() -> list[Path]:
    return [
        path
        for part in ("gendist", "tools", "workflow_scripts", "docs")
        for path in sorted((ROOT / part).rglob("*.py"))
    ]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def test_nothing_that_runs_what_it_reads_is_called():
    found = set()
    for path in python_files():
        name = path.relative_to(ROOT).as_posix()
        for called, node in calls(path):
            if called in FORBIDDEN or called.rpartition(".")[2] in METHODS:
                found.add((name, called))
            for keyword in node.keywords:
                value = keyword.value.value if isinstance(keyword.value, ast.Constant) else "not plain"
                assert keyword.arg != "shell" or value is False, f"{name}: shell="
                assert keyword.arg != "trust_remote_code" or value is False, f"{name}: trust_remote_code="
                assert keyword.arg != "allow_pickle" or value is False, f"{name}: allow_pickle="
                assert keyword.arg != "use_safetensors" or value is True, f"{name}: use_safetensors="
    assert found == set(ALLOWED)


def test_models_of_the_hub_are_loaded_in_one_place_which_takes_safetensors_only():
    for path in python_files():
        if path.name != "models.py":
            text = path.read_text(encoding="utf-8")
            assert not re.search(rf"\b({'|'.join(HUB)})\.from_(pretrained|config)", text), path
    loader = (ROOT / "gendist/nn/pretrained.py").read_text(encoding="utf-8")
    assert loader.count("from_pretrained") == 1
    assert "trust_remote_code=False" in loader and 'options["use_safetensors"] = True' in loader


def test_rules_run_scripts_and_no_shell():
    rules = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    for path in rules:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s+(shell|run|notebook|wrapper|cwl):", text, re.MULTILINE), path
    assert sum(path.read_text().count("    script:\n") for path in rules) > 30


def test_only_safetensors_onnx_and_json_hold_weights():
    binary = re.compile(r"\.(pkl|pickle|joblib|pt|pth|bin|ckpt|npy|npz)\b")
    allowed = {
        "tools/study_files.py": "names the file of the next",
        "tools/pocket/token_windows.py": "tokens of the pretraining corpus, made and removed by it",
        "gendist/stages/students/bpemb.py": "word2vec's binary format, read by its header; no pickle",
        "gendist/stages/baselines/fasttext.py": "floret's binary format; no pickle",
    }
    found = {path.relative_to(ROOT).as_posix() for path in python_files() if binary.search(path.read_text("utf-8"))}
    assert found <= set(allowed), found - set(allowed)


# --- audit and page ---


def test_make_audit_says_in_one_line_that_it_could_not_ask(tmp_path: Path):
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    tools = tmp_path / ".venv/bin"
    tools.mkdir(parents=True)
    stand_in = tools / "pip-audit"
    stand_in.write_text(
        "#!/bin/sh\nprintf 'Traceback (most recent call last):\\n  File\\nConnectionError: offline\\n' >&2\nexit 1\n"
    )
    stand_in.chmod(0o755)
    (tmp_path / ".venv/.run-stamp").touch()
    alone = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    done = subprocess.run(["make", "audit"], cwd=tmp_path, env=alone, text=True, capture_output=True)
    assert done.returncode
    assert done.stdout.splitlines() == [
        "ConnectionError: offline",
        "make audit: not clean: a vulnerability stands above, or PyPI's service could not be asked",
    ]
    stand_in.write_text("#!/bin/sh\n")
    assert subprocess.run(["make", "audit"], cwd=tmp_path, env=alone, capture_output=True).returncode == 0


def test_the_page_of_the_threat_model_names_tests_that_are_there():
    page = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:unit|robustness|workflow)/[\w/]+\.py)`", page))
    assert len(named) > 5 and {name for name in named if not (ROOT / "tests" / name).is_file()} == set()
    assert "security.md" in (ROOT / "mkdocs.yml").read_text()
