"""BiLSTM (Tang et al. 2019, Distilling Task-Specific Knowledge from BERT into Simple Neural Networks)."""

import torch
from torch import nn
from torch.nn import functional

from gendist.config.student_settings import Student
from gendist.stages.students.architectures.registry import register

HIDDEN = 200


@register("bilstm")
class BiLstm(nn.Module):
    """One layer of LSTMs in both directions, their last states, a dense ReLU layer, dropout, linear.

    With a 10,000 x 100 embedding and 150 filters (units in each direction), as its paper has:
    1,365,414 parameters at 14 classes.
    """

    def __init__(self, vectors: torch.Tensor, settings: Student, classes: int) -> None:
        """Build over pretrained vectors (vocabulary, width), which are copied and finetuned."""
        super().__init__()
        self.embedding = nn.Embedding.from_pretrained(vectors.clone(), freeze=False)
        # Two LSTMs: the backward half of a bidirectional LSTM would start in the padding.
        self.forwards = nn.LSTM(vectors.shape[1], settings.filters, batch_first=True)
        self.backwards = nn.LSTM(vectors.shape[1], settings.filters, batch_first=True)
        self.hidden = nn.Linear(2 * settings.filters, HIDDEN)
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(HIDDEN, classes)

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Map ids and mask (rows, pieces) to logits (rows, classes)."""
        last = mask.sum(1, keepdim=True).long() - 1  # (rows, 1): position of each row's last piece
        positions = torch.arange(ids.shape[1], device=ids.device)
        reversed_ids = ids.gather(1, (last - positions).clamp(min=0))  # entries after the reversed row are not used
        last_states = [
            _select_states(lstm(self.embedding(pieces))[0], last)
            for lstm, pieces in ((self.forwards, ids), (self.backwards, reversed_ids))
        ]
        return self.classifier(self.dropout(functional.relu(self.hidden(torch.cat(last_states, 1)))))


def _select_states(states: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Select one state per row: (rows, pieces, units) and (rows, 1) to (rows, units)."""
    index = positions[..., None].expand(-1, -1, states.shape[2])
    return states.gather(1, index).squeeze(1)
