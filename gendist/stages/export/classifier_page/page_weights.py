"""The weights of an exported network as arrays for the page."""

from collections.abc import Iterator

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from safetensors.numpy import load

from gendist.predict.exported_model import LOOKUP_WEIGHTS, ExportedModel
from gendist.predict.lookup_network import load_lookup_network
from gendist.stages.export.classifier_page.unsupported_model_error import UnsupportedModelError
from gendist.stages.export.onnx_network import MIN_QUANTIZED_SIZE, quantize_int8

LAYERS = {
    "bag": {"Gemm": 2},
    "bilstm": {"LSTM": 2, "Gemm": 2},
    "blend": {"Conv": 8, "Gemm": 2},
    "kim": {},  # from its look-up file
    "res": {"Conv": 3, "Gemm": 1},
}
"""Layers of each architecture that the page implements, by ONNX operator."""
KINDS = ("Conv", "Gemm", "LSTM")
EMBEDDING = ("embedding.weight", "embedding.weight.int8")
"""Ends of the name of the embedding's weights."""


def page_weights(model: ExportedModel) -> dict[str, np.ndarray]:
    """Return the weights, int8 with one scale per row where the exported model has int8, else float32.

    Kim has the arrays of its look-up file, with ``bucket_starts`` and ``bucket_biases`` in place of the position
    embedding, and ``sum_scale``. Other networks have ``embedding`` and, numbered by their order in the network,
    ``conv.N``, ``gemm.N`` and ``lstm.N`` with ``.bias``; of quantised arrays also ``.scale``.

    Raises:
        UnsupportedModelError: if the page has no implementation of the architecture.
    """
    if model.architecture not in LAYERS:
        raise UnsupportedModelError(
            f"student architecture '{model.architecture}': a page supports {', '.join(sorted(LAYERS))}"
        )
    if model.lookup_weights is not None:
        network = load_lookup_network(model.lookup_weights, len(model.labels))
        arrays = {
            name: array for name, array in load(model.lookup_weights).items() if not name.startswith("positions.")
        }
        computed = ("sum_scale", "bucket_starts", "bucket_biases")
        return arrays | {name: getattr(network, name) for name in computed}
    if model.architecture == "kim":
        raise UnsupportedModelError(f"student architecture 'kim': no {LOOKUP_WEIGHTS}; export the model again")
    weights = dict(_onnx_weights(model.network))
    found = {kind: sum(name.startswith(kind.lower()) and name.count(".") == 1 for name in weights) for kind in KINDS}
    if "embedding" not in weights or {kind: n for kind, n in found.items() if n} != LAYERS[model.architecture]:
        raise UnsupportedModelError(f"student architecture '{model.architecture}': unexpected layers {found}")
    return weights


def _onnx_weights(content: bytes) -> Iterator[tuple[str, np.ndarray]]:
    model = onnx.load_from_string(content)
    arrays = {weight.name: numpy_helper.to_array(weight) for weight in model.graph.initializer}
    layers = [node for node in model.graph.node if node.op_type in KINDS]
    arrays |= _computed_constants(model, {name for node in layers for name in node.input[1:4] if name} - arrays.keys())
    embedding = next((name for name in arrays if name.endswith(EMBEDDING)), None)
    if embedding is not None:
        yield "embedding", arrays[embedding]
        if embedding.endswith(".int8"):
            yield "embedding.scale", arrays[f"{embedding.removesuffix('.int8')}.scale"].reshape(-1)
    for kind in KINDS:
        for number, node in enumerate(layer for layer in layers if layer.op_type == kind):
            name = f"{kind.lower()}.{number}"
            yield from _as_int8(name, _rows_first(node, arrays[node.input[1]]))
            if kind == "LSTM":
                yield from _as_int8(f"{name}.recurrent", _rows_first(node, arrays[node.input[2]]))
            for bias in filter(None, node.input[3:4] if kind == "LSTM" else node.input[2:3]):  # a bias is optional
                yield f"{name}.bias", arrays[bias].astype(np.float32).reshape(-1)


def _computed_constants(model: ModelProto, names: set[str]) -> dict[str, np.ndarray]:
    """Return the values that the graph computes from its weights alone, such as dequantised or reordered weights."""
    producers = {output: node for node in model.graph.node for output in node.output}
    needed: list[NodeProto] = []
    wanted = sorted(names)
    while wanted:
        node = producers.get(wanted.pop())
        if node is not None and node not in needed:
            needed.append(node)
            wanted += node.input
    nodes = [node for node in model.graph.node if node in needed]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in sorted(names)]
    graph = helper.make_graph(nodes, "constants", [], outputs, model.graph.initializer)
    found = ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import)).run(None, {})
    return dict(zip(sorted(names), found, strict=True))


def _as_int8(name: str, values: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield weights in int8 with their scales if that changes nothing because they were int8, else in float32."""
    quantized, scale = quantize_int8(values, 0)
    if values.size >= MIN_QUANTIZED_SIZE and np.allclose(quantized * scale, values, rtol=1e-6, atol=0):
        yield name, quantized
        yield f"{name}.scale", scale.reshape(-1)
    else:
        yield name, values.astype(np.float32)


def _rows_first(node: NodeProto, values: np.ndarray) -> np.ndarray:
    """Return weights with the output channels as the first axis, which is that of the scales."""
    if node.op_type == "LSTM":
        return values[0]  # one direction
    transposed = node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    return values.T if transposed else values
