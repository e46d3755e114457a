"""Quantised weights of a Kim student for the lookup tables of ``gendist.predict``."""

import numpy as np
import torch
from safetensors.numpy import save

from gendist.stages.export.onnx_network import quantize_int8
from gendist.stages.students.architectures.kim import Kim
from gendist.stages.students.architectures.position_buckets import BUCKET_STARTS


def lookup_weights(network: torch.nn.Module) -> bytes | None:
    """Return int8 weights for ``gendist.predict.lookup_network`` as safetensors; None for other architectures.

    Quantisation is the same as in the int8 ONNX file.
    """
    if not isinstance(network, Kim):
        return None
    embedding, scale = quantize_int8(_to_numpy(network.embedding.weight), 0)
    weights = {"embedding": embedding, "embedding.scale": scale.reshape(-1)}
    for convolution in network.convolutions:
        parameters = dict(convolution.named_parameters())
        name = f"filters.{parameters['weight'].shape[2]}"
        filters, scale = quantize_int8(_to_numpy(parameters["weight"]), 0)
        weights |= {name: filters, f"{name}.scale": scale.reshape(-1), f"{name}.bias": _to_numpy(parameters["bias"])}
    if network.is_general:
        weights["positions.embedding"] = _to_numpy(network.position_embedding)
        weights["positions.starts"] = np.array(BUCKET_STARTS, np.int32)
    weights["classifier"] = _to_numpy(network.classifier.weight)
    weights["classifier.bias"] = _to_numpy(network.classifier.bias)
    return save({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)})


def _to_numpy(parameter: torch.Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().numpy())
