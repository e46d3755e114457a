"""Run several networks of one architecture as one: stacked weights, vectorised with ``torch.func.vmap``."""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, stack_module_state, vmap
from torch.nn import functional

from gendist.stages.students.architectures.kim import Kim
from gendist.stages.students.piece_ids import Encoded, as_piece_ids
from gendist.stages.students.wide_kim import WideKim


class StackedNetworks:
    """Weights of several networks of one architecture, each (networks, ...), on one device.

    Kernel launches limit the speed of one small network on a GPU; here each kernel computes all networks.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device) -> None:
        """Stack copies of the weights of identically built networks."""
        weights, buffers = stack_module_state(list(networks))
        self.weights = {name: value.detach().to(device).requires_grad_() for name, value in weights.items()}
        self._buffers = {name: value.to(device) for name, value in buffers.items()}
        self._module = _meta_copy(networks[0])
        self.device = device

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (networks, rows, pieces) to logits (networks, rows, classes), in training mode."""
        self._module.train()
        logits: torch.Tensor = vmap(self._forward_one, randomness="different")(self._state, ids, mask)
        return logits

    @torch.inference_mode()
    def logits(self, encoded: Encoded, batch_size: int = 256) -> np.ndarray:
        """Return float32 logits (networks, rows, classes) for the same rows, in input order."""
        self._module.eval()
        rows = as_piece_ids(encoded)
        order = np.argsort(rows.lengths, kind="stable")
        parts = []
        for i in range(0, len(order), batch_size):
            ids, mask = (part.to(self.device) for part in rows.padded(order[i : i + batch_size]))
            parts.append(vmap(self._forward_one, in_dims=(0, None, None))(self._state, ids, mask))
        return torch.cat(parts, 1).cpu().numpy()[:, np.argsort(order)]

    def copy_weights_to(self, networks: Sequence[nn.Module]) -> None:
        """Copy the weights back to the networks."""
        for i, network in enumerate(networks):
            network.load_state_dict({name: value[i].detach().cpu() for name, value in self._state.items()})

    @property
    def _state(self) -> dict[str, torch.Tensor]:
        return self.weights | self._buffers

    def _forward_one(self, state: dict[str, torch.Tensor], ids: torch.Tensor, mask: torch.Tensor) -> Any:
        return functional_call(self._module, state, (ids, mask))


def can_stack(network: nn.Module) -> bool:
    """Return whether ``vmap`` supports this network; it lacks batching rules for some layers, such as LSTMs."""
    ids = torch.zeros(1, 2, 3, dtype=torch.long)
    try:
        StackedNetworks([network], torch.device("cpu")).forward(ids, torch.ones(ids.shape))
    except (RuntimeError, ValueError):
        return False
    return True


class MatrixConv1d(nn.Conv1d):
    """A convolution as a matrix product over windows.

    Stacked, this is one batched product; ``Conv1d`` would become a grouped convolution with a slow backward pass.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (rows, input channels, positions) to (rows, output channels, positions)."""
        device_type = x.device.type
        if torch.is_autocast_enabled(device_type):
            x = x.to(torch.get_autocast_dtype(device_type))  # cast before unfolding copies each position
        x = functional.pad(x, [int(self.padding[0])] * 2)
        windows = x.unfold(2, self.kernel_size[0], 1).permute(0, 2, 3, 1).flatten(2)  # (rows, positions, window x in)
        return functional.linear(windows, self.weight.transpose(1, 2).flatten(1), self.bias).transpose(1, 2)


def _meta_copy(network: nn.Module) -> nn.Module:
    """Return a copy on the meta device, with layers that are fast under ``vmap``."""
    module = copy.deepcopy(network).to("meta")
    for name, layer in list(module.named_modules()):
        if isinstance(layer, Kim | WideKim):
            layer.dense_training = True
        if type(layer) is nn.Conv1d and _is_convertible(layer):
            size, padding = layer.kernel_size[0], layer.padding[0]
            bias = layer.bias is not None
            module.set_submodule(
                name,
                MatrixConv1d(layer.in_channels, layer.out_channels, size, 1, padding, bias=bias, device="meta"),
            )
    return module


def _is_convertible(layer: nn.Conv1d) -> bool:
    modified = layer.stride != (1,) or layer.dilation != (1,) or layer.groups != 1
    return not modified and layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
