"""``python -m tools.bench.gpu``: checks and timings on a GPU, in stages of a few minutes in total.

Each figure is printed and appended to a file immediately. After a failed stage, the next one runs.
"""

import argparse
import json
import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.bench.__main__ import one_line

STAGES = (
    "roofline",
    "check",
    "generation",
    "step",
    "profile",
    "finetuning",
    "scoring",
    "loading",
    "lengths",
    "top_p",
    "generate",
)
"""Functions of ``tools.bench.gpu_stages`` and ``gpu_profile``, most important first."""
MAX_SECONDS = 240.0
"""No stage starts later than this."""


class Figures:
    """Prints measured figures and appends them to a file."""

    def __init__(self, file: Path, device: str) -> None:
        """Append to a JSON Lines file."""
        self.file, self.device, self.stage, self.failed = file, device, "", False
        file.parent.mkdir(parents=True, exist_ok=True)

    def add(self, what: str, value: float, unit: str, *, most: float | None = None, least: float | None = None) -> None:
        """Record a figure, with an upper or lower limit as a goal."""
        passed = (most is None or value <= most) and (least is None or value >= least)
        self.failed |= not passed
        goal = "".join(
            f" (goal: {word} {bound:g}{'' if passed else ', MISSED'})"
            for word, bound in (("at most", most), ("at least", least))
            if bound is not None
        )
        print(f"{self.stage}: {what}: {value:,.6g} {unit}{goal}", flush=True)
        self._write({"what": what, "value": value, "unit": unit, "most": most, "least": least})

    def note(self, text: str) -> None:
        """Record a remark."""
        print(f"{self.stage}: {text}", flush=True)
        self._write({"note": text})

    def _write(self, record: dict[str, object]) -> None:
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({"stage": self.stage, "device": self.device, **record}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(
        prog="python -m tools.bench.gpu",
        description="Checks and timings on a GPU, with untrained models of the paper's shapes.",
    )
    top.add_argument("stages", nargs="*", metavar="STAGE", help=f"of {', '.join(STAGES)} (default: all)")
    top.add_argument("--device", default="cuda", help="PyTorch device (default: %(default)s)")
    top.add_argument("--small", action="store_true", help="tiny shapes, to test the stages on any device")
    top.add_argument(
        "--seconds", type=float, default=MAX_SECONDS, help="no stage starts later than this (default: %(default)s)"
    )
    top.add_argument("--out", type=Path, default=Path("results/bench"), metavar="DIR", help="default: %(default)s")
    top.add_argument("--list", action="store_true", help="print the names of the stages")
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the stages; return exit status 1 if a stage failed or a goal was missed."""
    top = parser()
    args = top.parse_args(arguments)
    if unknown := [name for name in args.stages if name not in STAGES]:
        top.error(f"unknown stage '{unknown[0]}'; accepted: {', '.join(STAGES)}")
    if args.list:
        print("\n".join(STAGES))
        return 0
    began = time.perf_counter()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    import torch

    from tools.bench import gpu_profile, gpu_stages
    from tools.bench.gpu_shapes import SMALL, Shapes

    device = torch.device(args.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        top.error("PyTorch sees no GPU; test the stages with --device cpu --small")
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    figures = Figures(args.out / "gpu.jsonl", name)
    figures.stage = "start"
    figures.note(f"{name}, torch {torch.__version__}")
    figures.add("imports", time.perf_counter() - began, "s")
    shapes = SMALL if args.small else Shapes()
    for stage in args.stages or STAGES:
        figures.stage, now = stage, time.perf_counter()
        if now - began > args.seconds:
            figures.note(f"skipped after {now - began:.0f} s")
            continue
        run: Callable[[Figures, torch.device, Shapes], None] = getattr(
            gpu_profile if stage == "profile" else gpu_stages, stage
        )
        try:
            run(figures, device, shapes)
        except Exception as error:  # continue with the other stages
            figures.failed = True
            traceback.print_exc()
            figures.note(f"failed: {one_line(error)}")
        gpu_stages.release_memory(device)
        figures.add("took", time.perf_counter() - now, "s")
    print(f"Also in {figures.file}")
    return int(figures.failed)


if __name__ == "__main__":
    sys.exit(main())
