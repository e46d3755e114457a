"""The stages of ``tools.bench.gpu``: functions of figures, device and shapes."""

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gendist.config.generator_settings import Generator
from gendist.config.sampling_settings import Sampling
from gendist.jobs import out_of_memory
from gendist.nn import devices
from gendist.nn.pretrained import load_causal_lm, load_classifier
from gendist.stages.generator.cuda_graph_backward import CudaGraphBackward, can_capture
from gendist.stages.generator.finetune_generator import freeze
from gendist.stages.logits.batched_logits import predict_encoded
from gendist.stages.logits.score_texts import GPU_BATCH_TOKENS, convert_to_bf16
from gendist.stages.synthetic import decode_kernels
from gendist.stages.synthetic.backend_selection import select_kernels
from gendist.stages.synthetic.batch_slots import RowRequest, Slots
from gendist.stages.synthetic.device_gumbel_sampler import DeviceGumbelSampler
from gendist.stages.synthetic.sampler import Sampler
from gendist.stages.synthetic.static_backend import StaticBackend
from gendist.stages.synthetic.static_decoder import StaticDecoder
from tools.bench.finetuning import finetune_one_epoch, plain_loop, random_sequences
from tools.bench.generation import generate_with_transformers, sample_rows
from tools.bench.gpu_shapes import Shapes
from tools.bench.large_generation import bytes_and_operations_per_token, rows_changed_by_slots
from tools.bench.roofline import roofline as measured_roofline
from tools.bench.timed_pairs import rate

if TYPE_CHECKING:
    from tools.bench.gpu import Figures

MAX_DIVERGENCE = 0.005
"""Accepted KL divergence of bf16 from float32, in nats per token."""


def release_memory(device: torch.device) -> None:
    """Release the memory of a stage."""
    out_of_memory.release_memory()
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


def _seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the mean seconds of ``repeats`` calls after a warm-up call."""

    def repeated() -> float:
        for _ in range(repeats):
            work()
        return float(repeats)

    return 1 / rate(repeated)


def _sampler(shapes: Shapes, device: torch.device, forbidden: tuple[int, ...] = (), **settings: Any) -> Sampler:
    model = shapes.generator().to(device)
    end = model.config.vocab_size - 1
    sampling = Sampling(**{"max_tokens": shapes.tokens, **settings})
    return Sampler(model, sampling, start=end, end=end, forbidden=forbidden)


def roofline(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Memory bandwidth and bf16 throughput of the GPU, and the rate of generation that they allow."""
    found = measured_roofline(device, *shapes.bounds)
    figures.add("copies", found.bytes_per_second / 1e12, "TB/s")
    figures.add("bf16 products", found.operations_per_second / 1e12, "TFLOP/s")
    config = shapes.generator().config
    for slots in shapes.slots:
        least = found.seconds(*bytes_and_operations_per_token(config, slots))
        figures.add(f"maximum rate, {slots} slots, {shapes.tokens} tokens a row", 1 / least, "tokens/s")


@torch.inference_mode()
def check(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Whether decode steps give the logits of a forward pass, and rows depend on their numbers alone."""
    model = shapes.generator().to(device)
    vocabulary, length = model.config.vocab_size, min(48, model.config.max_position_embeddings)
    ids = torch.randint(0, vocabulary, (8, length), device=device, generator=torch.Generator(device).manual_seed(0))
    expected = torch.log_softmax(model(input_ids=ids).logits.double(), 2)
    for kernels in dict.fromkeys((gpu_kernels(device), decode_kernels)):
        name = kernels.__name__.rpartition(".")[2]
        for dtype in (torch.float32, torch.bfloat16):
            decoder, total = StaticDecoder(model, dtype, vocabulary, kernels), 0.0
            cache = decoder.empty_cache(len(ids), length)
            for place in range(length):
                at = torch.full((len(ids),), place, device=device)
                ours, exact = torch.log_softmax(decoder.step(ids[:, place], at, cache).double(), 1), expected[:, place]
                total += float((exact.exp() * (exact - ours)).sum(1).mean())
            figures.add(f"KL to transformers, {name}, {dtype}", total / length, "nats per token", most=MAX_DIVERGENCE)
        figures.add(
            f"tokens of 4,096 drawn otherwise, {name}", _drawn_otherwise(vocabulary, kernels, device), "", most=4
        )
    del model, expected, cache, decoder
    sampler = _sampler(shapes, device)
    together = list(sampler.sample(range(min(shapes.rows, 2048))))
    figures.add(
        f"rows of {len(together):,} changed by other slots",
        rows_changed_by_slots(sampler, together),
        "rows",
        most=0,
    )


def _drawn_otherwise(vocabulary: int, kernels: ModuleType, device: torch.device) -> float:
    """Count the tokens that differ from those of the plain kernels on a CPU, of 4,096 random distributions."""
    draw = DeviceGumbelSampler(Sampling(seed=2**32 - 5), vocabulary, [3], devices.CPU)
    scores = 2 * torch.randn(4096, draw.columns, generator=torch.Generator().manual_seed(0))
    numbers, steps = torch.arange(4096) * 10**7, torch.arange(4096) % 101 - 1
    found = DeviceGumbelSampler(draw.settings, vocabulary, [3], device, kernels=kernels)(
        *(part.to(device, copy=True) for part in (scores, numbers, steps))
    )
    return float((found.cpu() != draw(scores, numbers, steps)).sum())


def generation(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Rate of generation for rows of a fixed length, and time to the first tokens."""
    began = time.perf_counter()
    sampler = _sampler(shapes, device)
    figures.add("weights created, moved and converted", time.perf_counter() - began, "s")
    began = time.perf_counter()
    first = sample_rows(sampler, range(sampler.batch_size))
    figures.add(f"first {first:,.0f} tokens, captures included", time.perf_counter() - began, "s", most=15)
    began = time.perf_counter()
    tokens = sample_rows(sampler, range(10**6, 10**6 + shapes.rows))
    seconds = time.perf_counter() - began
    figures.add(f"{shapes.rows:,} rows of {shapes.tokens} tokens", tokens / seconds, "tokens/s", least=250_000)
    figures.add(f"{shapes.pool_rows:,} rows", shapes.pool_rows * shapes.tokens * seconds / tokens, "s", most=10)
    if device.type == "cuda":
        figures.add("peak memory", torch.cuda.max_memory_allocated(device) / 1e9, "GB")


def lengths(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Rows of varying length, 80 tokens on average and at most 256, with continuous batching."""
    vocabulary = shapes.generator().config.vocab_size
    sampler = _sampler(shapes, device, tuple(range(80, vocabulary - 1)), max_tokens=256)
    began = time.perf_counter()
    tokens = sample_rows(sampler, range(min(5000, shapes.rows)))
    seconds = time.perf_counter() - began
    figures.add("a job of 5,000 rows of all lengths", tokens / seconds, "tokens/s")
    figures.add("length of its rows", tokens / min(5000, shapes.rows), "tokens on average")


def top_p(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Generation with top-p, which sorts the logits."""
    sampler = _sampler(shapes, device, top_p=0.95)
    figures.add(
        "rows with top_p 0.95",
        rate(lambda: sample_rows(sampler, range(min(shapes.rows, sampler.batch_size)))),
        "tokens/s",
    )


def step(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Time of a decode step by number of slots and position, as a CUDA graph, and of the draw."""
    model = shapes.generator().to(device)
    vocabulary, kernels = model.config.vocab_size, gpu_kernels(device)
    draw = DeviceGumbelSampler(Sampling(max_tokens=max(shapes.lengths)), vocabulary, [], device, kernels=kernels)
    decoder = StaticDecoder(model, torch.bfloat16, draw.columns, kernels)
    for count in shapes.slots:
        slots = Slots(count, max(shapes.lengths), vocabulary - 1, device)
        slots.start([RowRequest(number, [0], max(shapes.lengths) - 1) for number in range(count)])
        slots.running.zero_()  # positions stay constant
        backend = StaticBackend(decoder, draw, device)
        with torch.inference_mode(), devices.allow_nondeterministic():
            backend.allocate(slots)
            for length in shapes.lengths:
                slots.positions.fill_(length - 1)
                seconds = _seconds(partial(backend.run_steps, slots, 10), 3) / 10
                figures.add(f"{count} slots, {length} positions", 1000 * seconds, "ms a step")
                figures.add("which is", count / seconds, "tokens/s")
            scores = torch.randn(count, draw.columns, device=device)
            drawn = partial(draw, scores, slots.numbers, slots.generated)
            figures.add(f"{count} slots, draw, eager", 1000 * _seconds(drawn, 10), "ms a step")
        del backend, slots
        release_memory(device)


def gpu_kernels(device: torch.device) -> ModuleType:
    """Return the kernels that a job would use."""
    return select_kernels(device) if device.type == "cuda" else decode_kernels


def finetuning(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Finetuning with the paper's settings against a plain bf16 loop, with and without gradient checkpointing."""
    devices.set_deterministic(device.type == "cuda")  # as in a finetuning job
    model, settings = shapes.generator().to(device), Generator()
    rows = random_sequences(shapes.windows, settings.window, model.config)
    amount = float(sum(map(len, rows)))

    def plain() -> float:
        with devices.allow_nondeterministic():
            plain_loop(model.train(), rows, settings.learning_rate)
        return amount

    freeze(model, settings.model_copy(update={"gradient_checkpointing": False}))
    theirs = rate(plain)
    figures.add("plain loop, bf16 autocast", theirs, "tokens/s")
    if can_capture(model):
        captured = CudaGraphBackward(model.train())
        captured(torch.tensor(rows[:1]))
        figures.add("captures with the loss and gradient of an eager step", captured.enabled, "of 1", least=1)
        model.zero_grad()
        del captured
    release_memory(device)
    for checkpointing in ("auto", True):
        freeze(model, chosen := settings.model_copy(update={"gradient_checkpointing": checkpointing}))
        ours = rate(partial(finetune_one_epoch, model, rows, chosen))
        goal = theirs if checkpointing == "auto" else None
        figures.add(f"ours, gradient_checkpointing {checkpointing}", ours, "tokens/s", least=goal)
        if device.type == "cuda":
            figures.add("its peak memory", torch.cuda.max_memory_allocated(device) / 1e9, "GB", most=12)
        release_memory(device)
    devices.set_deterministic(False)


def scoring(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Scoring rows of about 100 tokens, in bf16 and in float32."""
    rng = np.random.default_rng(0)
    sizes = rng.normal(100, 40, shapes.scored).clip(8, 256).astype(int)
    model = shapes.teacher().to(device)
    encoded = [rng.integers(1000, min(30_000, model.config.vocab_size), size).tolist() for size in sizes]
    config = model.config
    weights = 12 * config.num_hidden_layers * config.hidden_size**2
    with devices.allow_nondeterministic():
        for name, rows_to_score in (("float32", encoded[: max(1, len(encoded) // 50)]), ("bf16", encoded)):
            model = convert_to_bf16(model) if name == "bf16" else model
            score = partial(
                predict_encoded, model, rows_to_score, pad_id=0, max_length=256, batch_tokens=GPU_BATCH_TOKENS
            )
            rows = rate(partial(_counted, score))
            figures.add(f"{name}, rows of {np.mean(sizes):.0f} tokens", rows, "rows/s")
            figures.add("which is", 2e-12 * weights * float(np.mean(sizes)) * rows, "TFLOP/s")
    figures.add("26,000 rows in bf16", 26_000 / rows, "s", most=15)


def _counted(score: Callable[[], np.ndarray]) -> float:
    return float(len(score()))


def loading(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Loading weights from a folder to the device, compared with reading the file."""
    names = [str(i) for i in range(6)]
    for name, model, load in (
        ("generator", shapes.generator(), load_causal_lm),
        ("teacher", shapes.teacher(), lambda folder: load_classifier(folder, names)),
    ):
        with tempfile.TemporaryDirectory(prefix="gendist-") as folder:
            model.save_pretrained(folder)
            began = time.perf_counter()
            size = len(Path(folder, "model.safetensors").read_bytes())
            figures.add(f"{name}: {size / 1e9:.2f} GB read", time.perf_counter() - began, "s")
            began = time.perf_counter()
            loaded = load(folder)
            figures.add(f"{name}: loaded", time.perf_counter() - began, "s")
            loaded.to(device)
            figures.add(f"{name}: loaded and moved", time.perf_counter() - began, "s")
        del model, loaded


def generate(figures: "Figures", device: torch.device, shapes: Shapes) -> None:
    """Transformers' ``generate`` in bf16, for comparison."""
    model = shapes.generator().to(device).bfloat16()
    end, rows = model.config.vocab_size - 1, min(1024, shapes.rows)
    tokens = min(32, shapes.tokens)  # it is fastest with short rows
    found = rate(lambda: generate_with_transformers(model, (end, end), rows, tokens))
    figures.add(f"transformers generate, bf16, {rows} rows of {tokens} tokens", found, "tokens/s")
