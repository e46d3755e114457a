"""Select the precision and the sampling back end of a causal language model."""

import logging
import subprocess
from types import ModuleType
from typing import Any, Literal

import torch

from gendist.config.sampling_settings import Sampling
from gendist.errors import first_line
from gendist.nn.int8_decoder_numba import create_int8_decoder
from gendist.nn.int8_options import NEAREST, Int8Options
from gendist.nn.transformer_parts import supports_decoding
from gendist.stages.synthetic import decode_kernels
from gendist.stages.synthetic.device_gumbel_sampler import DeviceGumbelSampler
from gendist.stages.synthetic.gumbel_sampler import GumbelSampler
from gendist.stages.synthetic.sampling_backend import SamplingBackend
from gendist.stages.synthetic.static_backend import StaticBackend
from gendist.stages.synthetic.static_decoder import StaticDecoder
from gendist.stages.synthetic.stepwise_backends import Int8Backend, TransformersBackend

log = logging.getLogger(__name__)

Precision = Literal["bf16", "float32", "int8"]


def resolve_precision(settings: Sampling, config: Any, device: torch.device, *, int8: bool = False) -> Precision:
    """Return the precision that a model is sampled in.

    GPT-2 and BERT take bf16 on a GPU unless the settings are ``float32``.

    Args:
        settings: ``precision`` is ``auto``, ``float32`` or ``int8``.
        config: the model's configuration.
        device: device of the model.
        int8: whether calibration accepted int8 for this model, so that ``auto`` takes it on a CPU.
    """
    if device.type == "cuda" and supports_decoding(config):
        return "float32" if settings.precision == "float32" else "bf16"
    if settings.precision == "auto":
        return "int8" if int8 and device.type == "cpu" else "float32"
    return settings.precision


def create_backend(
    model: Any, settings: Sampling, *, precision: Precision, forbidden: list[int], int8: Int8Options = NEAREST
) -> SamplingBackend:
    """Return the sampling back end for a model on its device.

    Args:
        model: float32 causal language model in evaluation mode.
        settings: sampling strategy.
        precision: as ``resolve_precision`` returns it.
        forbidden: token ids that are never drawn.
        int8: options of int8.

    Raises:
        GendistError: if ``precision`` is int8 and the architecture is neither GPT-2 nor BERT.
    """
    vocabulary, device = model.config.vocab_size, model.device
    if device.type == "cuda" and supports_decoding(model.config):
        kernels = select_kernels(device)
        device_sampler = DeviceGumbelSampler(settings, vocabulary, forbidden, device, kernels=kernels)
        dtype = torch.bfloat16 if precision == "bf16" else torch.float32
        return StaticBackend(StaticDecoder(model, dtype, device_sampler.columns, kernels), device_sampler, device)
    sampler = GumbelSampler(settings, vocabulary, forbidden)
    if precision == "int8":
        return Int8Backend(create_int8_decoder(model, int8), sampler)
    return TransformersBackend(model, sampler)


def select_kernels(device: torch.device) -> ModuleType:
    """Return ``triton_kernels`` if they run on a device, else ``decode_kernels``."""
    try:
        from gendist.stages.synthetic import triton_kernels

        number = torch.zeros(1, dtype=torch.int64, device=device)
        triton_kernels.draw(torch.zeros(1, 4, device=device), number, number, seed=0, blocks=(2, 2))
    except (ImportError, RuntimeError, OSError, subprocess.CalledProcessError) as error:
        log.warning(
            "Triton's kernels do not run here (%s); generating with slower ones. Triton needs a C compiler and the "
            "headers of Python.",
            first_line(error),
        )
        return decode_kernels
    return triton_kernels
