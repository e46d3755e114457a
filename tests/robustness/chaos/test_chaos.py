"""A study that is killed again and again ends with the bytes of one that was left alone."""

import os
import time

import pytest
from kill import WAYS, Chaos
from workflow_fixtures import SMALL_STUDY, Checkout

KILLS = int(os.environ.get("KILLS", "12"))
SEED = int(os.environ.get("SEED", "0"))
PER_STUDY = 25
STAGES = {"texts", "generator", "synthetic", "teacher", "logits", "students", "baselines", "evaluation", "report"}


@pytest.mark.slow
def test_a_study_killed_anywhere_ends_with_the_same_bytes(own: Checkout):
    began = time.monotonic()
    chaos = Chaos(own.folder, own.write(SMALL_STUDY), SEED, say=lambda line: print(line, flush=True))
    chaos.undisturbed()
    print(f"undisturbed: {time.monotonic() - began:.0f} s", flush=True)
    studies = 0
    while chaos.kills < KILLS:
        chaos.survive(min(PER_STUDY, KILLS - chaos.kills))
        studies += 1
    seconds = time.monotonic() - began
    print(f"{chaos.kills} kills in {studies} studies, {chaos.runs} runs, {seconds:.0f} s; seed {SEED}")
    print("  by what was killed: " + ", ".join(f"{chaos.ways[way]} {way}" for way in WAYS))
    print("  by stage: " + ", ".join(f"{count} {stage}" for stage, count in chaos.stages.most_common()))
    assert chaos.kills >= KILLS
    if KILLS >= 100:
        assert chaos.stages.keys() >= STAGES
