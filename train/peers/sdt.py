"""SDT's network and its losses: Ma et al., IEEE Transactions on Multimedia 2024."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pipeline.features.content import UNLABELLED
from train.data import Batch
from train.dropout import Dropout
from train.packing import Packing
from train.peers.network import Inputs, WeightedCrossEntropy
from train.peers.transformer import Attention, FeedForward, Keys

if TYPE_CHECKING:
    from train.networks.sdt import Params


class Output(NamedTuple):
    """What the network says of each utterance of a batch."""

    logits: Tensor
    """[n, classes]: the teacher's."""
    students: dict[str, Tensor]
    """[n, classes] of each modality."""


class Sdt(nn.Module):
    """Transformers within and between modalities, gates that put them together, and self-distillation:

        x^m   = W_m u^m + position + speaker                                   [n, size]
        t^mk  = Transformer(queries dropout(x^m), keys dropout(x^k))           for all m, k
        f^m   = W [sigmoid(W_mk t^mk) * t^mk for each k] + b                   unimodal gates
        g     = sum_m softmax_m(W f^m) * f^m                                   multimodal gate, by channel
        logits = W g + b;  those of modality m = W dropout(ReLU(f^m)) + b

    With ``gate: identity``, W_mk is the identity.  Nothing attends to an utterance of a modality that was not
    observed.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__()
        self.inputs = Inputs(dims, params.reduced_sizes)
        self.cross_entropy = WeightedCrossEntropy(class_counts, params.class_weight_exponent)
        size, sizes = params.size, self.inputs.sizes
        self.temperature = params.temperature
        pairs = [f"{query}_{key}" for query in sizes for key in sizes]
        self.encode = nn.ModuleDict({m: nn.Linear(width, size, bias=False) for m, width in sizes.items()})
        self.speaker = nn.Embedding(params.speakers, size)
        self.dropout = Dropout(params.dropout)
        self.attend = nn.ModuleDict(
            {pair: TransformerLayer(size, params.heads, params.dropout) for pair in pairs}
        )
        self.gate = nn.ModuleDict(
            {
                pair: nn.Identity() if params.gate == "identity" else nn.Linear(size, size, bias=False)
                for pair in pairs
            }
        )
        self.unite = nn.ModuleDict({m: nn.Linear(len(sizes) * size, size) for m in sizes})
        self.weigh = nn.Linear(size, size, bias=False)
        self.classify = nn.Linear(size, len(class_counts))
        self.students = nn.ModuleDict(
            {
                m: nn.Sequential(nn.ReLU(), Dropout(params.dropout), nn.Linear(size, len(class_counts)))
                for m in sizes
            }
        )

    def forward(self, batch: Batch) -> Output:
        """Logits of all modalities together, and of each."""
        packing = batch.packing
        speaker = self.speaker(batch.speaker.clamp_max(self.speaker.num_embeddings - 1))
        added = speaker + sinusoids(packing.position.to(speaker.dtype), speaker.shape[1])
        x = {m: self.encode[m](table) + added for m, table in self.inputs(batch).items()}
        keys = {m: Keys.of(batch.observed[m], packing) for m in x}
        united = {}
        for m, unite in self.unite.items():
            attended = []
            for k in x:
                query = self.dropout(x[m])
                context = query if k == m else self.dropout(x[k])
                t = self.attend[f"{m}_{k}"](query, context, keys[k], packing)
                attended.append(torch.sigmoid(self.gate[f"{m}_{k}"](t)) * t)
            united[m] = unite(torch.cat(attended, dim=-1))
        f = torch.stack(list(united.values()))  # [M, n, size]
        g = (torch.softmax(self.weigh(f), dim=0) * f).sum(dim=0)
        dtype = self.cross_entropy.weight.dtype
        students = {m: head(united[m]).to(dtype) for m, head in self.students.items()}
        return Output(self.classify(g).to(dtype), students)

    def losses(self, output: Output, label: Tensor) -> dict[str, Tensor]:
        """``total``: the sum of cross-entropy, that of the students, and what parts them from their teacher.

        The last is KL(teacher || student) at the temperature, of each student.  As in the authors' code it
        moves the teacher too, and is not scaled by the temperature's square.
        """
        sample = label != UNLABELLED
        teacher, *students = (
            (logits[sample] / self.temperature).log_softmax(dim=-1)
            for logits in (output.logits, *output.students.values())
        )
        terms = {
            "cross_entropy": self.cross_entropy(output.logits, label),
            "students": sum_of(self.cross_entropy(logits, label) for logits in output.students.values()),
            "distillation": sum_of(
                F.kl_div(student, teacher, reduction="batchmean", log_target=True) for student in students
            ),
        }
        return {"total": sum_of(terms.values()), **terms}


class TransformerLayer(nn.Module):
    """Attention of one modality to another, then feed-forward, each with a residual.

    A layer norm stands before the second alone: the code skips the first one's in its first layer, and there
    is no other.
    """

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(size, heads)
        self.dropout = Dropout(dropout)
        self.norm = nn.LayerNorm(size)
        self.feed_forward = FeedForward(size, size, nn.GELU(), dropout)

    def forward(self, query: Tensor, context: Tensor, keys: Keys, packing: Packing) -> Tensor:
        """[n, size] from [n, size] of either modality."""
        x = query + self.dropout(self.attention(query, context, keys, packing))
        return x + self.feed_forward(self.norm(x))


def sum_of(terms: Iterable[Tensor]) -> Tensor:
    """Of scalars, of which there is one at least."""
    return torch.stack(list(terms)).sum()


def sinusoids(step: Tensor, size: int) -> Tensor:
    """Positions [n] as vectors [n, size], sines at even places (Vaswani et al., NeurIPS 2017, 3.5)."""
    rate = torch.exp(torch.arange(0, size, 2).to(step) * (-math.log(10_000) / size))
    angle = step.unsqueeze(1) * rate
    return torch.stack([angle.sin(), angle.cos()], dim=-1).flatten(1)
