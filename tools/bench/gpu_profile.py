"""Which kernels the GPU spends its time on, by stage."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.nn import devices
from gendist.stages.generator.finetune_generator import freeze
from gendist.stages.logits.batched_logits import predict_encoded
from gendist.stages.logits.score_texts import GPU_BATCH_TOKENS, convert_to_bf16
from gendist.stages.synthetic.batch_slots import RowRequest, Slots
from gendist.stages.synthetic.device_gumbel_sampler import DeviceGumbelSampler
from gendist.stages.synthetic.static_backend import StaticBackend
from gendist.stages.synthetic.static_decoder import StaticDecoder
from tools.bench.finetuning import finetune_one_epoch, random_sequences

if TYPE_CHECKING:
    from tools.bench.gpu import Figures
    from tools.bench.gpu_shapes import Shapes

KERNELS = 18
"""Kernels printed of each stage."""


def profile(figures: "Figures", device: torch.device, shapes: "Shapes") -> None:
    """Print the slowest kernels of decode steps, finetuning and scoring."""
    for name, prepare in (("decode steps", _decode), ("finetuning", _finetune), ("scoring", _score)):
        with prepare(device, shapes) as work:
            work()
            _synchronise(device)
            activity = ProfilerActivity.CUDA if device.type == "cuda" else ProfilerActivity.CPU
            with torch_profile(activities=[activity]) as seen:
                work()
                _synchronise(device)
        times = [
            (event.self_device_time_total or (device.type == "cpu") * event.self_cpu_time_total, event.count, event.key)
            for event in seen.key_averages()
        ]
        total = sum(seconds for seconds, _, _ in times) or 1.0
        figures.add(f"{name}, all kernels", total / 1000, "ms")
        for seconds, count, key in sorted(times, reverse=True)[:KERNELS]:
            figures.note(f"{seconds / 1000:9.2f} ms {seconds / total:6.1%} {count:6} x {key[:110]}")


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@contextmanager
def _decode(device: torch.device, shapes: "Shapes") -> Iterator[Callable[[], object]]:
    """Decode steps between two synchronisations, halfway through the rows."""
    from tools.bench.gpu_stages import gpu_kernels

    model, count, kernels = shapes.generator().to(device), shapes.slots[-1], gpu_kernels(device)
    draw = DeviceGumbelSampler(Sampling(max_tokens=shapes.tokens), model.config.vocab_size, [], device, kernels=kernels)
    backend = StaticBackend(StaticDecoder(model, torch.bfloat16, draw.columns, kernels), draw, device)
    backend.uses_cuda_graphs = False
    slots = Slots(count, shapes.tokens + 1, model.config.vocab_size - 1, device)
    slots.start([RowRequest(number, [0], shapes.tokens) for number in range(count)])
    with torch.inference_mode(), devices.allow_nondeterministic():
        backend.allocate(slots)
        slots.positions.fill_(shapes.tokens // 2)
        slots.running.zero_()  # positions stay constant
        yield partial(backend.run_steps, slots)


@contextmanager
def _finetune(device: torch.device, shapes: "Shapes") -> Iterator[Callable[[], object]]:
    """Three steps of finetuning with the paper's settings."""
    model, settings = shapes.generator().to(device), Generator()
    freeze(model, settings)
    rows = random_sequences(3, settings.window, model.config)
    devices.set_deterministic(device.type == "cuda")
    try:
        yield partial(finetune_one_epoch, model, rows, settings)
    finally:
        devices.set_deterministic(False)


@contextmanager
def _score(device: torch.device, shapes: "Shapes") -> Iterator[Callable[[], object]]:
    """Rows of about 100 tokens, in bf16."""
    rng = np.random.default_rng(0)
    model: Any = convert_to_bf16(shapes.teacher().to(device))
    sizes = rng.normal(100, 40, min(500, shapes.scored)).clip(8, 256).astype(int)
    encoded = [rng.integers(1000, min(30_000, model.config.vocab_size), size).tolist() for size in sizes]
    with devices.allow_nondeterministic() if device.type == "cuda" else nullcontext():
        yield partial(predict_encoded, model, encoded, pad_id=0, max_length=256, batch_tokens=GPU_BATCH_TOKENS)
