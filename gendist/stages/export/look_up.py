"""Kim's weights as the file that prediction makes its tables from."""

import numpy as np
import torch
from safetensors.numpy import save

from gendist.stages.export.network import rounded
from gendist.stages.students.architectures.kim import Kim


def look_up_weights(network: torch.nn.Module) -> bytes | None:
    """Return the weights for ``gendist.predict.lookup_network`` as safetensors; None for networks without that form.

    They are rounded to 8 bits as those of the ONNX file are.
    """
    if not isinstance(network, Kim):
        return None
    embedding, scale = rounded(_values(network.embedding.weight), 0)
    weights = {"embedding": embedding, "embedding.scale": scale.reshape(-1)}
    for convolution in network.convolutions:
        own = dict(convolution.named_parameters())
        name = f"filters.{own['weight'].shape[2]}"
        filters, scale = rounded(_values(own["weight"]), 0)
        weights |= {name: filters, f"{name}.scale": scale.reshape(-1), f"{name}.bias": _values(own["bias"])}
    weights["classifier"] = _values(network.classifier.weight)
    weights["classifier.bias"] = _values(network.classifier.bias)
    return save({name: np.ascontiguousarray(weights[name]) for name in sorted(weights)})


def _values(parameter: torch.Tensor) -> np.ndarray:
    return np.asarray(parameter.detach().numpy())
