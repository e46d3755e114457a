"""Export a network to ONNX in float32 and with int8 weights; the bytes are reproducible."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx
import torch
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from gendist.errors import GendistError

OPSET = 20
PRODUCER = "gendist"
MIN_QUANTIZED_SIZE = 1024
"""Weights with fewer elements stay float32."""


class _IntegerMaskNetwork(torch.nn.Module):
    """Wrap a network to accept the integer mask of tokenizers."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.network(ids, mask.float())


def to_onnx(network: torch.nn.Module) -> ModelProto:
    """Return the network as ONNX: (ids, mask), both (rows, pieces) int64, to logits (rows, classes).

    Raises:
        GendistError: if ONNX does not support the network.
    """
    # Distinct tensors: the exporter merges identical inputs.
    ids, mask = torch.zeros(2, 7, dtype=torch.long), torch.ones(2, 7, dtype=torch.long)
    sizes = {0: torch.export.Dim("rows"), 1: torch.export.Dim("pieces")}
    try:
        with _silence_exporter():
            program = torch.onnx.export(
                _IntegerMaskNetwork(network.eval()),
                (ids, mask),
                input_names=["ids", "mask"],
                output_names=["logits"],
                dynamic_shapes=(sizes, sizes),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many types
        reason = str(error).strip().splitlines()
        kind = type(network).__name__
        raise GendistError(f"network '{kind}' cannot be exported to ONNX ({reason[0] if reason else error})") from None
    assert program is not None
    return _strip_metadata(program.model_proto)


@contextmanager
def _silence_exporter() -> Iterator[None]:
    """Suppress log messages and warnings of the exporter."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _strip_metadata(model: ModelProto) -> ModelProto:
    """Remove tracing metadata: file names, stack traces and intermediate shapes."""
    model.producer_name, model.producer_version, model.doc_string = PRODUCER, "", ""
    del model.metadata_props[:]
    graph = model.graph
    graph.name, graph.doc_string = PRODUCER, ""
    del graph.value_info[:]
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.initializer, *graph.input, *graph.output):
        part.doc_string = ""
        del part.metadata_props[:]
    for node in graph.node:
        node.name = ""
    return model


def quantize_weights(model: ModelProto) -> ModelProto:
    """Return a copy with large weights in int8, one float32 scale per row or channel.

    Only weights are quantised; the network computes in float32. Dynamic activation scales would make results
    depend on the batch. Embeddings are dequantised after the lookup.
    """
    quantized = ModelProto()
    quantized.CopyFrom(model)
    graph = quantized.graph
    for weight in [w for w in graph.initializer if w.data_type == TensorProto.FLOAT and len(w.dims) > 1]:
        values = numpy_helper.to_array(weight)
        users = [node for node in graph.node if weight.name in node.input]
        if values.size < MIN_QUANTIZED_SIZE or not users:
            continue
        if all(_is_lookup(node, weight.name) for node in users):
            _quantize_lookup(quantized, weight.name, values, users)
        else:
            _quantize_multiplied(quantized, weight.name, values, users)
        graph.initializer.remove(weight)
    onnx.checker.check_model(quantized)
    return quantized


def serialise(model: ModelProto) -> bytes:
    """Serialise a model deterministically."""
    return bytes(model.SerializeToString(deterministic=True))


def _is_lookup(node: NodeProto, name: str) -> bool:
    """Return whether a node gathers rows of a weight."""
    axis = next((a.i for a in node.attribute if a.name == "axis"), 0)
    return node.op_type == "Gather" and node.input[0] == name and axis == 0


def quantize_int8(values: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Quantise symmetrically to int8; returns the values and one scale per entry along ``axis``."""
    others = tuple(i for i in range(values.ndim) if i != axis)
    scale = np.abs(values).max(others, keepdims=True) / np.float32(127)
    scale[scale == 0] = 1  # all-zero entry
    return np.rint(values / scale).astype(np.int8), scale.astype(np.float32)


def _quantize_lookup(model: ModelProto, name: str, values: np.ndarray, users: list[NodeProto]) -> None:
    int8_values, scale = quantize_int8(values, 0)
    scale = scale.reshape(-1, *[1] * (values.ndim - 1))
    _add_initializer(model, f"{name}.int8", int8_values)
    _add_initializer(model, f"{name}.scale", scale)
    for node in users:
        result = node.output[0]
        nodes = [
            helper.make_node("Gather", [f"{name}.int8", node.input[1]], [f"{result}.int8"]),
            helper.make_node("Cast", [f"{result}.int8"], [f"{result}.whole"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}.scale", node.input[1]], [f"{result}.scale"]),
            helper.make_node("Mul", [f"{result}.whole", f"{result}.scale"], [result]),
        ]
        position = list(model.graph.node).index(node)
        model.graph.node.remove(node)
        for offset, new in enumerate(nodes):
            model.graph.node.insert(position + offset, new)


def _quantize_multiplied(model: ModelProto, name: str, values: np.ndarray, users: list[NodeProto]) -> None:
    axis = _channel_axis(users[0], values.ndim)
    int8_values, scale = quantize_int8(values, axis)
    _add_initializer(model, f"{name}.int8", int8_values)
    _add_initializer(model, f"{name}.scale", scale.reshape(-1))
    dequantize = helper.make_node("DequantizeLinear", [f"{name}.int8", f"{name}.scale"], [f"{name}.float"], axis=axis)
    model.graph.node.insert(0, dequantize)
    for node in users:
        for i, input_name in enumerate(node.input):
            if input_name == name:
                node.input[i] = f"{name}.float"


def _channel_axis(node: NodeProto, dimensions: int) -> int:
    """Return the axis of the output channels of a weight."""
    if node.op_type in ("LSTM", "GRU", "RNN"):  # (directions, gates x hidden, inputs)
        return 1
    if node.op_type == "MatMul" or (
        node.op_type == "Gemm" and not any(a.name == "transB" and a.i for a in node.attribute)
    ):
        return dimensions - 1
    return 0


def _add_initializer(model: ModelProto, name: str, values: np.ndarray) -> None:
    model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
