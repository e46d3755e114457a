"""Devices that are not there (GENDIST_FAKE_GPUS) under load, and what nvidia-smi and CUDA_VISIBLE_DEVICES say."""

import itertools
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gendist.errors import GendistError
from gendist.jobs import gpu_claims, visible_gpus
from gendist.jobs.visible_gpus import Gpu, parse_nvidia_smi, select_gpus
from gendist.nn import devices

CLAIM_ONCE = Path(__file__).parents[2] / "fixtures/claim_once.py"

TWO = """\
GPU 0: NVIDIA RTX A6000 (UUID: GPU-5c2a1111-0000-0000-0000-000000000000)
GPU 1: NVIDIA RTX A6000 (UUID: GPU-9d3b2222-0000-0000-0000-000000000000)
"""
MIXED = TWO.replace("RTX A6000", "T400", 1)
DIVIDED = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5c2a1111-0000-0000-0000-000000000000)
  MIG 3g.20gb     Device  0: (UUID: MIG-c7384736-a75d-5afc-978f-d2f1294409fd)
  MIG 3g.20gb     Device  1: (UUID: MIG-a28ad590-3fda-56dd-84fc-0a0b96edc58d)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-9d3b2222-0000-0000-0000-000000000000)
"""


@dataclass
class Held:
    """What a job says of itself; times in seconds of one clock for the whole machine."""

    gpu: str
    visible: str
    asked: float
    began: float
    ended: float


class Jobs:
    """Starts jobs that claim a fake device in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.started: list[subprocess.Popen[str]] = []

    def start(self, seconds: float, gpus: int, forked: float = 0, **environment: str) -> subprocess.Popen[str]:
        known = {name: value for name, value in os.environ.items() if name != visible_gpus.VISIBLE_VARIABLE}
        variables = {
            **known,
            visible_gpus.FAKE_GPUS_VARIABLE: str(gpus),
            gpu_claims.FOLDER_VARIABLE: str(self.folder),
            **environment,
        }
        command = [sys.executable, str(CLAIM_ONCE), str(seconds), str(forked)]
        job = subprocess.Popen(command, env=variables, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.started.append(job)
        return job


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    made = Jobs(tmp_path / "locks")
    yield made
    for job in made.started:
        job.kill()
        job.communicate()


def held_by(job: subprocess.Popen[str]) -> Held:
    out, err = job.communicate(timeout=120)
    assert job.returncode == 0, err
    gpu, visible, *times = out.split()
    return Held(gpu, visible, *map(float, times))


def first_word(job: subprocess.Popen[str]) -> str:
    """Wait until a job holds its device; returns the device."""
    assert job.stdout is not None
    word = ""
    while not word.endswith(" "):
        letter = job.stdout.read(1)
        assert letter, job.communicate()[1]
        word += letter
    return word.strip()


def test_thirty_jobs_on_three_devices_never_share_one_and_leave_none_idle(jobs: Jobs):
    held = [held_by(job) for job in [jobs.start(0.3, 3) for _ in range(30)]]
    assert {job.gpu for job in held} == {"FAKE-0", "FAKE-1", "FAKE-2"}
    assert all(job.visible == job.gpu for job in held)
    for gpu in ("FAKE-0", "FAKE-1", "FAKE-2"):
        turns = sorted((job for job in held if job.gpu == gpu), key=lambda job: job.began)
        for before, after in itertools.pairwise(turns):
            assert before.ended <= after.began, f"two jobs on {gpu}"
            # Not idle: who waits takes it at the next look. Seconds more, because a job ends after its last line.
            waiting = [job for job in held if job.asked < before.ended and job.began >= after.began]
            assert not waiting or after.began - before.ended < 2 * gpu_claims.POLL_SECONDS + 3


def test_a_killed_holder_frees_its_device_at_once(jobs: Jobs):
    holder = jobs.start(600, 1)
    assert first_word(holder) == "FAKE-0"
    waiting = jobs.start(0, 1)
    with pytest.raises(subprocess.TimeoutExpired):
        waiting.wait(2)
    killed = time.monotonic()
    holder.send_signal(signal.SIGKILL)
    assert held_by(waiting).began - killed < 3


def test_a_waiting_job_names_the_holder_of_the_gpu(jobs: Jobs):
    holder = jobs.start(600, 1)
    first_word(holder)
    waiting = jobs.start(0, 1)
    time.sleep(3)
    holder.kill()
    _, printed = waiting.communicate(timeout=60)
    assert re.fullmatch(rf"waiting for a GPU; FAKE-0: process {holder.pid} of \S+ on \S+: claim_once\n", printed)


def test_the_file_of_a_crashed_job_does_not_block_its_gpu(jobs: Jobs):
    crashed = jobs.start(600, 1)
    first_word(crashed)
    crashed.kill()
    crashed.wait()
    assert f"process {crashed.pid} " in (jobs.folder / "FAKE-0.lock").read_text()
    next_one = jobs.start(0, 1)
    assert held_by(next_one).gpu == "FAKE-0"
    assert f"process {next_one.pid} " in (jobs.folder / "FAKE-0.lock").read_text()


def test_a_forked_child_that_outlives_its_job_holds_nothing(jobs: Jobs):
    job = jobs.start(600, 1, forked=60)
    assert job.stdout is not None
    child = int(job.stdout.readline().split()[-1])
    try:
        job.kill()
        job.wait()
        os.kill(child, 0)  # it lives
        assert held_by(jobs.start(0, 1)).gpu == "FAKE-0"
    finally:
        os.kill(child, signal.SIGKILL)


def test_only_gpus_that_the_user_made_visible_are_claimed(jobs: Jobs):
    held = [held_by(job) for job in [jobs.start(0.2, 4, CUDA_VISIBLE_DEVICES="1,3") for _ in range(6)]]
    assert {job.gpu for job in held} == {"FAKE-1", "FAKE-3"}


def test_an_assigned_device_is_used_as_it_is_and_left_alone_by_others(jobs: Jobs):
    assigned = [jobs.start(600, 2, CUDA_VISIBLE_DEVICES="0") for _ in range(2)]
    for job in assigned:
        assert first_word(job) == "FAKE-0"  # assigned to both: neither waits for the other
    held = [held_by(job) for job in [jobs.start(0.1, 2) for _ in range(4)]]
    assert {job.gpu for job in held} == {"FAKE-1"}


@pytest.mark.parametrize("names", ["", "-1", "NoDevFiles", "7"])
def test_devices_that_are_hidden_are_not_claimed(jobs: Jobs, names: str):
    held = held_by(jobs.start(0, 2, CUDA_VISIBLE_DEVICES=names))
    assert held.gpu == "-" and not jobs.folder.exists()


def test_every_user_may_claim(jobs: Jobs):
    job = jobs.start(0, 1)
    held_by(job)
    assert stat.S_IMODE(jobs.folder.stat().st_mode) == 0o1777
    assert stat.S_IMODE((jobs.folder / "FAKE-0.lock").stat().st_mode) == 0o666


@pytest.mark.skipif(os.getuid() != 0, reason="takes two users")
def test_a_file_of_another_user_is_locked_all_the_same(jobs: Jobs, tmp_path: Path):
    held_by(jobs.start(0, 1))
    for path in (jobs.folder, jobs.folder / "FAKE-0.lock"):
        os.chown(path, 65534, 65534)
    assert held_by(jobs.start(0, 1)).gpu == "FAKE-0"


def test_an_unusable_folder_of_claims_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "1")
    monkeypatch.delenv(visible_gpus.VISIBLE_VARIABLE, raising=False)
    for place in (tmp_path / "file", tmp_path / "missing" / "folder"):
        monkeypatch.setenv(gpu_claims.FOLDER_VARIABLE, str(place))
        with pytest.raises(GendistError, match=f"^{re.escape(str(place))}: .*{gpu_claims.FOLDER_VARIABLE}=/path$"):
            gpu_claims.claim_gpu()


# --- which devices there are ---


def names(gpus: list[Gpu]) -> list[str]:
    return [gpu.name[:8] for gpu in gpus]


def test_nvidia_smi_is_read():
    assert [[gpu.model for gpu in slot] for slot in parse_nvidia_smi(MIXED)] == [["NVIDIA T400"], ["NVIDIA RTX A6000"]]
    assert parse_nvidia_smi("No devices found.\n") == []
    assert parse_nvidia_smi("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n") == []


def test_parts_of_a_divided_gpu_stand_for_it():
    assert names(select_gpus(parse_nvidia_smi(DIVIDED), None)) == ["MIG-c738", "MIG-a28a", "GPU-9d3b"]


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (None, ["GPU-5c2a", "GPU-9d3b"]),
        ("1", ["GPU-9d3b"]),
        ("1,0", ["GPU-9d3b", "GPU-5c2a"]),
        ("0,0", ["GPU-5c2a"]),
        ("0,9,1", ["GPU-5c2a"]),  # CUDA reads no further either
        ("GPU-9d3b", ["GPU-9d3b"]),
        ("GPU-9d3b2222-0000-0000-0000-000000000000, 0", ["GPU-9d3b", "GPU-5c2a"]),
        ("GPU-", []),  # could be either
        ("", []),
        ("-1", []),
    ],
)
def test_visible_devices_are_chosen_as_cuda_does(value: str | None, left: list[str]):
    assert names(select_gpus(parse_nvidia_smi(TWO), value)) == left


def test_numbers_of_unlike_gpus_are_not_guessed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv(visible_gpus.ORDER_VARIABLE, raising=False)
    slots = parse_nvidia_smi(MIXED)
    with pytest.raises(GendistError, match=r"several models \(NVIDIA RTX A6000, NVIDIA T400\).*CUDA_DEVICE_ORDER"):
        select_gpus(slots, "0,1")
    assert names(select_gpus(slots, "1")) == ["1"]  # one is no choice
    assert names(select_gpus(slots, "GPU-9d3b,GPU-5c2a")) == ["GPU-9d3b", "GPU-5c2a"]
    monkeypatch.setenv(visible_gpus.ORDER_VARIABLE, "PCI_BUS_ID")
    assert names(select_gpus(slots, "0,1")) == ["GPU-5c2a", "GPU-9d3b"]


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A program in nvidia-smi's place, and a PyTorch with CUDA."""
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{TWO}END\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    monkeypatch.delenv(visible_gpus.FAKE_GPUS_VARIABLE, raising=False)
    monkeypatch.delenv(visible_gpus.VISIBLE_VARIABLE, raising=False)
    monkeypatch.setattr(visible_gpus, "torch_lacks_cuda", lambda: False)
    return program


def test_the_machine_is_asked(listed: Path):
    assert names(visible_gpus.visible_gpus()) == ["GPU-5c2a", "GPU-9d3b"]


def test_a_gpu_that_pytorch_was_not_built_for_is_none(listed: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(visible_gpus, "torch_lacks_cuda", lambda: True)
    assert visible_gpus.visible_gpus() == []


def test_a_broken_driver_is_no_gpu(listed: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    listed.write_text("#!/bin/sh\nexec sleep 60\n")
    monkeypatch.setattr(visible_gpus, "NVIDIA_SMI_TIMEOUT", 0.2)
    assert visible_gpus.visible_gpus() == []
    assert "nvidia-smi failed (TimeoutExpired)" in caplog.text


def test_pytorch_is_asked_without_loading_it():
    code = "import sys\nfrom gendist.jobs import visible_gpus as v\n"
    code += "print(v.torch_lacks_cuda(), 'torch' in sys.modules)"
    import torch

    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert run.stdout.split() == [str(torch.version.cuda is None), "False"]


# --- what a job computes on ---


@pytest.fixture
def fake_device(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine with one fake device."""
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "1")
    monkeypatch.setenv(gpu_claims.FOLDER_VARIABLE, str(tmp_path / "locks"))
    monkeypatch.delenv(visible_gpus.VISIBLE_VARIABLE, raising=False)


@pytest.mark.usefixtures("fake_device")
def test_a_job_says_once_what_it_computes_on():
    code = "import logging\nlogging.basicConfig(level='INFO', format='%(message)s')\n"
    code += "from gendist.nn import devices\n"
    code += "print({devices.prepare(1, 0, 'auto').type for _ in range(3)})"
    run = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True)
    assert run.stdout == "{'cpu'}\n"
    assert run.stderr.splitlines() == [
        "device: CPU in place of FAKE-0 (fake), which PyTorch cannot use (CUDA_VISIBLE_DEVICES=FAKE-0)"
    ]


@pytest.mark.usefixtures("fake_device")
def test_cpu_claims_nothing(tmp_path: Path):
    assert devices.prepare(1, 0, "cpu").type == "cpu" and not (tmp_path / "locks").exists()


@pytest.mark.usefixtures("fake_device")
def test_gpu_is_an_error_where_there_is_none(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(visible_gpus.FAKE_GPUS_VARIABLE, "0")
    with pytest.raises(GendistError, match=r"^device is 'gpu', but PyTorch sees none; "):
        devices.prepare(1, 0, "gpu")
