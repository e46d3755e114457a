"""The weights of an exported network as arrays for the page."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import NodeProto, numpy_helper
from safetensors.numpy import load

from gendist.predict.exported_model import ExportedModel
from gendist.predict.lookup_network import load_lookup_network
from gendist.stages.export.classifier_page.unsupported_model import UnsupportedModel

LAYERS = {
    "bag": {"Gemm": 2},
    "bilstm": {"LSTM": 2, "Gemm": 2},
    "blend": {"Conv": 8, "Gemm": 2},
    "kim": {"Conv": 3, "Gemm": 1},
    "res": {"Conv": 3, "Gemm": 1},
}
"""Layers of each architecture that the page implements, by ONNX operator."""


def page_weights(model: ExportedModel) -> dict[str, np.ndarray]:
    """Return the weights, int8 with one scale per row where the exported model has int8, else float32.

    Kim has the arrays of its look-up file and ``sum_scale``; other networks have ``embedding`` and, numbered by their
    order in the network, ``conv.N``, ``gemm.N`` and ``lstm.N`` with ``.bias``; of quantised arrays also ``.scale``.

    Raises:
        UnsupportedModel: if the page has no implementation of the architecture.
    """
    if model.architecture not in LAYERS:
        raise UnsupportedModel(
            f"student architecture '{model.architecture}': a page supports {', '.join(sorted(LAYERS))}"
        )
    if model.lookup_weights is not None:
        network = load_lookup_network(model.lookup_weights, len(model.labels))
        return {**load(model.lookup_weights), "sum_scale": network.sum_scale}
    weights = dict(_onnx_weights(model.network))
    found = {kind: sum(name.startswith(kind.lower()) and name.count(".") == 1 for name in weights) for kind in _KINDS}
    if "embedding" not in weights or {kind: n for kind, n in found.items() if n} != LAYERS[model.architecture]:
        raise UnsupportedModel(f"student architecture '{model.architecture}': the network has other layers: {found}")
    return weights


_KINDS = ("Conv", "Gemm", "LSTM")


def _onnx_weights(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    graph = onnx.load_from_string(content).graph
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    dequantised = {node.output[0]: node.input for node in graph.node if node.op_type == "DequantizeLinear"}
    numbers = dict.fromkeys(_KINDS, 0)
    has_embedding = False

    def scaled(name: str) -> tuple[np.ndarray, np.ndarray | None]:
        if name in dequantised:
            values, scale = dequantised[name][:2]
            return arrays[values], arrays[scale]
        return arrays[name], None

    for node in graph.node:
        if node.op_type == "Gather" and not has_embedding and getattr(arrays.get(node.input[0]), "ndim", 0) == 2:
            has_embedding = True
            yield "embedding", arrays[node.input[0]]
            if node.input[0].endswith(".int8"):
                yield "embedding.scale", arrays[f"{node.input[0].removesuffix('.int8')}.scale"].reshape(-1)
        if node.op_type in numbers:
            name = f"{node.op_type.lower()}.{numbers[node.op_type]}"
            numbers[node.op_type] += 1
            parts = {name: node.input[1]}
            if node.op_type == "LSTM":
                parts |= {f"{name}.recurrent": node.input[2]}
            for part, source in parts.items():
                values, scale = scaled(source)
                yield part, _rows_first(node, values)
                if scale is not None:
                    yield f"{part}.scale", scale
            bias = _bias_name(node)
            if bias is not None:
                values, scale = scaled(bias)
                yield f"{name}.bias", (values if scale is None else values * scale).astype(np.float32).reshape(-1)


def _bias_name(node: NodeProto) -> str | None:
    """Return the name of a layer's bias, None for a layer without one (bias zero)."""
    index = 3 if node.op_type == "LSTM" else 2
    return node.input[index] if len(node.input) > index and node.input[index] else None


def _rows_first(node: NodeProto, values: np.ndarray) -> np.ndarray:
    """Return weights with the output channels as the first axis, which is that of the scales."""
    if node.op_type == "LSTM":
        return values[0]  # one direction
    transposed = node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    return values.T if transposed else values
