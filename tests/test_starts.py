"""Jobs forked from a process that has done their imports: as good as new Pythons, and waited for like them."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from snakemake.benchmark import BenchmarkRecord
from study_bytes import differences, fingerprint
from workflow_fixtures import SMALL_STUDY, Checkout

from gendist.workflow import starts
from gendist.workflow.starts import PLAIN, Client, Starts

pytestmark = pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(os, "pidfd_open"), reason="jobs are forked on Linux alone"
)

LONG = 60.0
"""Seconds that nothing here takes."""


def job(folder: Path, text: str, name: str = "job.py") -> str:
    file = folder / name
    file.write_text(text)
    return str(file)


def environment(**changed: str) -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", **changed}


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """A starter whose scripts may import modules of ``tmp_path``."""
    monkeypatch.syspath_prepend(tmp_path)
    client = Client(environment(), "job.py")
    yield client
    client.close()
    assert client.process.returncode == 0


def until(what: str, true: object) -> None:
    assert callable(true)
    limit = time.monotonic() + LONG
    while not true():
        assert time.monotonic() < limit, what
        time.sleep(0.01)


def ended(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_imports_are_done_once_and_every_job_is_a_process_with_modules_of_its_own(client: Client, tmp_path: Path):
    job(tmp_path, f"open({str(tmp_path / 'imports')!r}, 'a').write('x'); jobs = []", "heavy.py")
    script = "import heavy, os\nheavy.jobs.append(1)\nopen({!r}, 'w').write(f'{{os.getpid()}} {{len(heavy.jobs)}}')"
    for i in range(3):
        assert client.run(job(tmp_path, script.format(str(tmp_path / f"{i}"))), environment(), True) == 0
    told = [(tmp_path / f"{i}").read_text().split() for i in range(3)]
    assert (tmp_path / "imports").read_text() == "x"
    assert len({process for process, _ in told} | {str(client.process.pid), str(os.getpid())}) == 5
    assert [count for _, count in told] == ["1", "1", "1"]


def test_what_a_job_imports_on_its_way_is_there_for_the_next(client: Client, tmp_path: Path):
    job(tmp_path, f"open({str(tmp_path / 'imports')!r}, 'a').write('x')", "late.py")
    script = job(tmp_path, "def work():\n    import late\nwork()")
    for more in (True, True, False):
        assert client.run(script, environment(), more) == 0
    assert (tmp_path / "imports").read_text() == "xx"  # by the first job, and by the starter


def test_a_job_finds_what_python_gives_a_script(client: Client, tmp_path: Path):
    lines = "import json, os, signal, sys, threading, __main__"
    lines += "\nfound = [sys.argv, sys.path[0], __name__, __file__, __main__.__file__, os.environ['MINE'], os.getcwd(),"
    lines += " [str(signal.getsignal(n)) for n in (2, 15, 1)], threading.current_thread() is threading.main_thread()]"
    lines += "\nopen(sys.path[0] + '/' + os.environ['MINE'], 'w').write(json.dumps(found, default=str))"
    script = job(tmp_path, lines)
    assert client.run(script, environment(MINE="own"), False) == 0
    subprocess.run([sys.executable, script], env=environment(MINE="own"), check=True)
    first = (tmp_path / "own").read_text()
    assert client.run(script, environment(MINE="own"), False) == 0
    assert (tmp_path / "own").read_text() == first


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 0),
        ("raise SystemExit", 0),
        ("raise SystemExit(143)", 143),
        ("raise SystemExit('told')", 1),
        ("1 / 0", 1),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 137),
    ],
)
def test_the_status_is_that_of_the_job(client: Client, tmp_path: Path, text: str, status: int):
    assert client.run(job(tmp_path, text), environment(), False) == status


def test_of_a_job_that_ended_at_once_a_benchmark_has_the_time_alone():
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        gone.wait()
    record = BenchmarkRecord()
    with starts.measured(record, gone.pid):
        time.sleep(0.01)
    assert record.running_time >= 0.01
    assert record.to_tsv(False).split("\t")[2:5] == ["NA", "NA", "NA"]


def test_a_rule_s_benchmark_is_of_the_job(client: Client, tmp_path: Path):
    record, text = (
        BenchmarkRecord(),
        "import time; end = time.process_time() + 0.7\nwhile time.process_time() < end: pass",
    )
    assert client.run(job(tmp_path, text), environment(), False, partial(starts.measured, record)) == 0
    assert record.running_time > 0.5 and record.max_rss > 1 and record.cpu_time > 0.1


def test_ends_of_a_script_are_run(client: Client, tmp_path: Path):
    text = "import atexit, threading, time; end = open({!r}, 'w')\natexit.register(lambda: print('end', file=end))"
    text += "\nthreading.Thread(target=lambda: (time.sleep(0.2), print('thread', file=end))).start()"
    text += "\natexit.register(lambda: end.flush())"
    assert client.run(job(tmp_path, text.format(str(tmp_path / "ends"))), environment(), False) == 0
    assert "thread" in (tmp_path / "ends").read_text()


def test_jobs_run_side_by_side(client: Client, tmp_path: Path):
    """Each of two waits for the other."""
    text = "import time, pathlib\npathlib.Path({!r}).touch()\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"
    names = [str(tmp_path / name) for name in "ab"]
    scripts = [job(tmp_path, text.format(*order), f"{i}.py") for i, order in enumerate((names, names[::-1]))]
    found: list[int | None] = []
    threads = [threading.Thread(target=lambda s=s: found.append(client.run(s, environment(), True))) for s in scripts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONG)
    assert found == [0, 0]


def test_a_script_that_cannot_be_imported_is_not_started_but_others_are(client: Client, tmp_path: Path):
    assert client.run(job(tmp_path, "import not_there_at_all"), environment(), False) is None
    assert client.run(job(tmp_path, "pass"), environment(), False) == 0


def test_nothing_is_forked_beside_a_thread(client: Client, tmp_path: Path):
    job(
        tmp_path,
        "import threading, time\nthreading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
        "busy.py",
    )
    assert client.run(job(tmp_path, "import busy"), environment(), False) is None


def test_an_edit_while_a_study_runs_reaches_the_jobs_that_begin_after_it(tmp_path: Path, monkeypatch):
    """Old code must not make files that are recorded as made by the new."""
    program = "import sys; sys.path.extend({}); from gendist.workflow import starter; from pathlib import Path; "
    program += f"starter.PACKAGE = Path({str(tmp_path)!r}); starter.main()"
    monkeypatch.setattr(starts, "PROGRAM", program)
    monkeypatch.syspath_prepend(tmp_path)
    stage = Path(job(tmp_path, "value = 1", "stage.py"))
    script = job(tmp_path, "import stage, sys; sys.exit(stage.value)")
    client = Client(environment(), "job.py")
    assert [client.run(script, environment(), True) for _ in range(2)] == [1, 1]
    stage.write_text("value = 22")
    assert client.run(script, environment(), True) is None
    client.close()


def test_signals_to_all_are_for_the_jobs(client: Client, tmp_path: Path):
    """The starter outlives what `gendist run` sends to all processes: it has to say how jobs ended."""
    text = "import signal, time, pathlib, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(143))"
    text += f"\npathlib.Path({str(tmp_path / 'listening')!r}).touch()\ntime.sleep({LONG})"
    script, found = job(tmp_path, text), []
    thread = threading.Thread(target=lambda: found.append(client.run(script, environment(), False)))
    thread.start()
    until("the job began", (tmp_path / "listening").exists)
    client.process.send_signal(signal.SIGTERM)
    client.process.send_signal(signal.SIGINT)
    (worker,) = Path(f"/proc/{client.process.pid}/task/{client.process.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGTERM)
    thread.join(LONG)
    assert found == [143]


def test_a_killed_starter_s_job_is_waited_for_and_the_next_is_started_otherwise(tmp_path: Path):
    client = Client(environment(), "job.py")
    text = f"import os, time, pathlib\npathlib.Path({str(tmp_path / 'id')!r}).write_text(str(os.getpid()))"
    text += f"\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)"
    script, found = job(tmp_path, text), []
    thread = threading.Thread(target=lambda: found.append(client.run(script, environment(), False)))
    thread.start()
    until("the job began", lambda: (tmp_path / "id").exists() and (tmp_path / "id").read_text())
    client.process.kill()
    client.process.wait(LONG)
    time.sleep(0.2)
    assert not found  # the job lives
    (tmp_path / "go").touch()
    thread.join(LONG)
    assert found == [137]
    assert client.run(script, environment(), False) is None
    client.close()


def test_the_starter_ends_with_the_process_that_asked_for_it(tmp_path: Path):
    """However that ends: here as by `kill -9`, with a job under way, which goes on to its end."""
    text = f"import time, pathlib\npathlib.Path({str(tmp_path / 'began')!r}).touch()"
    text += f"\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(0.01)"
    text += f"\npathlib.Path({str(tmp_path / 'done')!r}).touch()"
    program = "import os, sys, threading\nfrom gendist.workflow.starts import Client\n"
    program += (
        "client = Client({**os.environ, 'OMP_NUM_THREADS': '1'}, 'job.py')\nprint(client.process.pid, flush=True)\n"
    )
    program += "client.run(sys.argv[1], dict(os.environ), False)"
    command = [sys.executable, "-c", program, job(tmp_path, text)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        assert asking.stdout
        process = int(asking.stdout.readline())
        until("the job began", (tmp_path / "began").exists)
        asking.kill()
    assert not ended(process)
    (tmp_path / "go").touch()
    until("the starter ended", lambda: ended(process))
    assert (tmp_path / "done").exists()


def test_what_needs_another_environment_is_left_to_snakemake():
    plain = {"container_img": None, "conda_env": None, "env_modules": None, "shadow_dir": None}
    starts = Starts(None, gpus=1)
    for name in plain:
        assert not starts.run(SimpleNamespace(**{**plain, name: "another"}, resources={}), "job.py")
    assert not starts.run(SimpleNamespace(**plain, resources={"gpu": 1}), "job.py")


@pytest.mark.slow
def test_a_study_has_the_same_bytes_with_every_job_a_new_python(bare: Checkout, tmp_path: Path, monkeypatch):
    results = []
    for name, plain in (("forked", ""), ("plain", "1")):
        monkeypatch.setenv(PLAIN, plain)
        checkout = bare.copy(tmp_path / name)
        checkout.run(SMALL_STUDY)
        results.append(fingerprint(checkout.folder / "results"))
    assert not differences(*results)
