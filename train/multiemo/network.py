"""MultiEMO's network [3.2] and objective [3.6]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor, nn

from pipeline.features.content import UNLABELLED
from pipeline.params import MODALITIES
from train.data import Batch
from train.dropout import Dropout
from train.multiemo.contexts import Contexts
from train.multiemo.fusion import Concat, MultiAttn
from train.multiemo.losses import Memory, training_losses, training_set_weight

if TYPE_CHECKING:
    from train.networks.multiemo import Params


class Output(NamedTuple):
    """What the network says of each utterance of a batch."""

    logits: Tensor
    """[n, classes]: before the softmax of Eq. 16."""
    z: Tensor
    """[n, hidden_size]: Eq. 14, what the SWFC loss contrasts."""
    fused: dict[str, Tensor]
    """[n, hidden_size] per modality: what the Soft-HGR loss correlates."""


class MultiEmo(nn.Module):
    """Context modelling, fusion and classification of the modalities in ``dims`` (name to width D).

    Fused features f^m become one vector (Eq. 13), a fully-connected layer makes z of it (Eq. 14), and an
    MLP makes l of z (Eq. 15) and logits of l (Eq. 16, whose softmax the losses and ``predict`` take).

    Dropout [4.3, which does not say where] is applied to the features, to the context vectors, to the output
    of each stage of MultiAttn before its residual connection, and to l of Eq. 15.
    """

    def __init__(self, params: Params, dims: Mapping[str, int], class_counts: Sequence[int]) -> None:
        super().__init__()
        size = params.hidden_size
        self.loss_params = params.loss
        names = [name for name in MODALITIES if name in dims]
        self.contexts = Contexts({name: dims[name] for name in names}, params)
        self.fusion: nn.Module = (
            MultiAttn(
                names,
                params.layers,
                size,
                params.heads,
                params.feedforward_size,
                params.dropout,
                params.attention_bias,
            )
            if params.fusion == "multiattn"
            else Concat()
        )
        self.dropout = Dropout(params.dropout)
        self.fc_z = nn.Linear(size * len(names), size)  # Eq. 14
        inner = params.mlp_size or size
        self.fc_l = nn.Linear(size, inner)  # Eq. 15
        self.fc_p = nn.Linear(inner, len(class_counts))  # Eq. 16
        self.class_weight: Tensor | None
        self.register_buffer(
            "class_weight",
            training_set_weight(class_counts, params.loss.sample_weight_exponent)
            if params.loss.class_weights == "training"
            else None,
            persistent=False,
        )
        remembered = params.loss.memory_utterances
        self.memory_z: Tensor
        self.memory_label: Tensor
        self.register_buffer("memory_z", torch.zeros(remembered, size), persistent=False)
        self.register_buffer("memory_label", torch.full((remembered,), UNLABELLED), persistent=False)

    def forward(self, batch: Batch) -> Output:
        """Logits, z and fused features of every utterance, in the precision of the weights."""
        contexts = self.context_vectors(batch)
        fused = self.fusion(contexts, batch.observed, batch.packing)
        z = self.fc_z(torch.cat([fused[name] for name in contexts], dim=-1))  # Eq. 13-14
        hidden = self.dropout(torch.relu(self.fc_l(z)))
        logits = self.fc_p(hidden)
        dtype = self.fc_p.weight.dtype
        return Output(
            logits.to(dtype), z.to(dtype), {name: features.to(dtype) for name, features in fused.items()}
        )

    def losses(self, output: Output, label: Tensor) -> dict[str, Tensor]:
        """The training objective [3.6]: ``total``, swfc, soft_hgr and cross_entropy."""
        filled = self.memory_label != UNLABELLED
        memory = Memory(self.memory_z[filled], self.memory_label[filled]) if len(filled) else None
        losses = training_losses(
            output.logits, output.z, output.fused, label, self.loss_params, self.class_weight, memory
        )
        if self.training and len(filled):
            sample = label != UNLABELLED
            kept = slice(-len(filled), None)  # the newest
            self.memory_z = torch.cat([self.memory_z, output.z[sample].detach()])[kept]
            self.memory_label = torch.cat([self.memory_label, label[sample]])[kept]
        return losses

    def context_vectors(self, batch: Batch) -> dict[str, Tensor]:
        """C^m, [n, hidden_size] per modality, as fusion gets them."""
        features = {name: self.dropout(table) for name, table in batch.features.items()}
        contexts = self.contexts(features, batch.observed, batch.speaker, batch.speakers, batch.packing)
        return {name: self.dropout(context) for name, context in contexts.items()}
