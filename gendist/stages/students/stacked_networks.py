"""Networks of one kind as one: their weights stacked, and each layer computed for all of them at once."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from gendist.stages.students.architectures.kim import Kim
from gendist.stages.students.piece_ids import Encoded, pack


class StackedNetworks:
    """The weights of several networks of one architecture, (networks, ...) each, on one device.

    A GPU is idle most of the time with one small network, whose kernels end sooner than the next is started.
    Of several, each kernel computes all.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        """Copy the weights of networks that have been built alike."""
        weights, buffers = stack_module_state(list(networks))
        self.weights = {name: value.detach().to(device).requires_grad_() for name, value in weights.items()}
        self._buffers = {name: value.to(device) for name, value in buffers.items()}
        self._skeleton = _meta_copy(networks[0])
        self.device = device

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (networks, rows, pieces) to logits (networks, rows, classes), in training."""
        self._skeleton.train()
        each: torch.Tensor = vmap(self._one, randomness="different")(self._state, ids, mask)
        return each

    @torch.inference_mode()
    def logits(self, encoded: Encoded, batch_size: int = 256) -> np.ndarray:
        """Return float32 logits (networks, rows, classes) of the same rows, in their order."""
        self._skeleton.eval()
        rows = pack(encoded)
        order = np.argsort(rows.lengths, kind="stable")
        parts = []
        for i in range(0, len(order), batch_size):
            ids, mask = (part.to(self.device) for part in rows.padded(order[i : i + batch_size]))
            parts.append(vmap(self._one, in_dims=(0, None, None))(self._state, ids, mask))
        return torch.cat(parts, 1).cpu().numpy()[:, np.argsort(order)]

    def copy_to(self, networks: Sequence[nn.Module]) -> None:
        """Give each network its weights."""
        for i, network in enumerate(networks):
            network.load_state_dict({name: value[i].detach().cpu() for name, value in self._state.items()})

    @property
    def _state(self) -> dict[str, torch.Tensor]:
        return self.weights | self._buffers

    def _one(self, state: dict[str, torch.Tensor], ids: torch.Tensor, mask: torch.Tensor) -> Any:
        return functional_call(self._skeleton, state, (ids, mask))


def can_stack(network: nn.Module) -> bool:
    """Say whether networks like this one can be stacked: PyTorch has no rule for some layers, such as LSTMs."""
    ids = torch.zeros(1, 2, 3, dtype=torch.long)
    try:
        StackedNetworks([network], torch.device("cpu")).forward(ids, torch.ones(ids.shape))
    except (RuntimeError, ValueError):
        return False
    return True


class MatrixConv1d(nn.Conv1d):
    """A convolution as one matrix product over windows.

    Stacked, that is one batched product; convolutions would be one grouped convolution, whose backward pass is slow.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, channels in, places) to (rows, channels out, places)."""
        kind = x.device.type
        if torch.is_autocast_enabled(kind):
            x = x.to(torch.get_autocast_dtype(kind))  # before each place is copied into several windows
        x = functional.pad(x, [int(self.padding[0])] * 2)
        windows = x.unfold(2, self.kernel_size[0], 1).permute(0, 2, 3, 1).flatten(2)  # (rows, places, window x in)
        return functional.linear(windows, self.weight.transpose(1, 2).flatten(1), self.bias).transpose(1, 2)


def _meta_copy(network: nn.Module) -> nn.Module:
    """Return the network without weights, in the form that is fast when stacked."""
    bare = copy.deepcopy(network).to("meta")
    for name, layer in list(bare.named_modules()):
        if isinstance(layer, Kim):
            layer.dense = True
        if type(layer) is nn.Conv1d and _is_convertible(layer):
            size, padding = layer.kernel_size[0], layer.padding[0]
            bias = layer.bias is not None
            bare.set_submodule(
                name,
                MatrixConv1d(layer.in_channels, layer.out_channels, size, 1, padding, bias=bias, device="meta"),
            )
    return bare


def _is_convertible(layer: nn.Conv1d) -> bool:
    changed = layer.stride != (1,) or layer.dilation != (1,) or layer.groups != 1
    return not changed and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
