"""Graph layers over the utterances of dialogues, as dense blocks.

The graphs of a batch lie in the lanes of its packing: nodes are [L, T, size], edges [L, T, T], where
[l, i, j] is the edge into i from j, 0 or False where there is none.  No utterance hears what stands at the
empty places of a lane.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from train.packing import Packing


def modality_nodes(rows: Tensor, packing: Packing) -> Tensor:
    """[n, M, ...] to [L, M * T, ...]: in each lane the utterances of one modality after the other."""
    return packing.to_lanes(rows).transpose(1, 2).flatten(1, 2)


def modality_rows(nodes: Tensor, packing: Packing) -> Tensor:
    """[L, M * T, ...] to [n, M, ...]."""
    lanes, places = packing.lanes
    return packing.from_lanes(nodes.view(lanes, -1, places, *nodes.shape[2:]).transpose(1, 2))


def window_edges(packing: Packing, past: int, future: int) -> Tensor:
    """bool [L, T, T]: each utterance hears itself, ``past`` utterances before and ``future`` after it."""
    place = torch.arange(packing.lanes[1], device=packing.together.device)
    ahead = place[None, :] - place[:, None]
    return packing.together & (ahead >= -past) & (ahead <= future)


class RelationalConvolution(nn.Module):
    """R-GCN (Schlichtkrull et al., ESWC 2018, Eq. 2) whose relations are those of DialogueGCN:

        y_i = W_0 x_i + b + sum_j a_ij W_{s_j, s_i, j < i} x_j

    for the speakers s of both utterances and their order, with W_r = sum_k c_rk V_k where there are bases
    (its Eq. 3).  With ``mean``, what arrives by each relation is divided by how much does: sum_j becomes a
    mean for each relation, as in its Eq. 2 with c_{i,r} = |N_i^r|.
    """

    def __init__(self, size: int, out_size: int, speakers: int, bases: int | None, mean: bool) -> None:
        super().__init__()
        self.speakers, self.mean = speakers, mean
        relations = 2 * speakers * speakers
        self.itself = nn.Linear(size, out_size)
        nn.init.zeros_(self.itself.bias)
        bound = math.sqrt(6 / (size + out_size))
        self.weight = nn.Parameter(torch.empty(bases or relations, size, out_size).uniform_(-bound, bound))
        """V [bases, size, out_size], or W of each relation; these are ordered by j < i, s_j, s_i."""
        self.coefficients = (
            nn.Parameter(nn.init.xavier_uniform_(torch.empty(relations, bases))) if bases else None
        )

    def forward(self, nodes: Tensor, edges: Tensor, speaker: Tensor) -> Tensor:
        """[L, T, size] to [L, T, out_size]; edges a [L, T, T], speaker int64 [L, T] below ``speakers``."""
        spoken = F.one_hot(speaker, self.speakers).to(nodes.dtype)  # [L, T, S]
        by_speaker = (spoken.unsqueeze(-1) * nodes.unsqueeze(-2)).flatten(2)  # [L, T, S * size]
        edges = edges.to(nodes.dtype)
        orders = (edges.triu(), edges.tril(-1))  # j >= i, j < i
        arriving = torch.stack([order @ by_speaker for order in orders], dim=2)  # [L, T, 2, S * size]
        arriving = arriving.unflatten(-1, (self.speakers, -1))
        if self.mean:
            count = torch.stack([order @ spoken for order in orders], dim=2)
            arriving = arriving / count.clamp_min(1).unsqueeze(-1)
        weight = self.weight
        if self.coefficients is not None:
            weight = (self.coefficients @ weight.flatten(1)).unflatten(1, weight.shape[1:])
        # For whichever speaker hears it, of whom each utterance has one.
        weight = weight.unflatten(0, (-1, self.speakers)).transpose(1, 2)  # [2 * S, size, S, out_size]
        heard = (arriving.flatten(2) @ weight.flatten(0, 1).flatten(1)).unflatten(-1, (self.speakers, -1))
        return self.itself(nodes) + (spoken.unsqueeze(-1) * heard).sum(dim=2)


class GraphConvolution(nn.Module):
    """GraphConv (Morris et al., AAAI 2019, Eq. 5 before its nonlinearity):

    y_i = W_1 x_i + W_2 sum_j a_ij x_j + b
    """

    def __init__(self, size: int, out_size: int) -> None:
        super().__init__()
        self.itself = nn.Linear(size, out_size, bias=False)
        self.neighbours = nn.Linear(size, out_size)

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """[L, T, size] to [L, T, out_size]; edges [L, T, T]."""
        return self.itself(nodes) + self.neighbours(edges.to(nodes.dtype) @ nodes)


class TransformerConvolution(nn.Module):
    """Graph transformer (Shi et al., IJCAI 2021, Eq. 3-4 without edge features), heads side by side:

        y_i = W_1 x_i + b_1 + [sum_j a_ij (W_2 x_j + b_2)]
        a_ij = softmax_j((W_3 x_i + b_3) . (W_4 x_j + b_4) / sqrt(size of a head))

    with the softmax over the edges into i.
    """

    def __init__(self, size: int, head_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.itself, self.value, self.query, self.key = (nn.Linear(size, heads * head_size) for _ in range(4))

    def forward(self, nodes: Tensor, edges: Tensor) -> Tensor:
        """[L, T, size] to [L, T, heads * head_size]; edges bool [L, T, T], one at least into each node."""
        q, k, v = (
            project(nodes).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for project in (self.query, self.key, self.value)
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=edges.unsqueeze(1))
        return self.itself(nodes) + attended.transpose(1, 2).flatten(2)


def modality_graph(nodes: Tensor, observed: Tensor, packing: Packing) -> Tensor:
    """The graph of MMGCN (Hu et al., ACL 2021, section 3.3), normalised: P = D^-1/2 A D^-1/2.

    From nodes x [L, M * T, size] and observed, bool [L, M * T], to [L, M * T, M * T].  Within a modality all
    utterances of a dialogue are connected, across modalities those that are one utterance.  An edge weighs
    a_ij = 1 - arccos(0.99999 cos(x_i, x_j)) / pi, that of a node to itself too.  What was not observed is no
    node: it has no edges.  In no lower precision than float32, as arccos has no slope at 1.
    """
    places = packing.lanes[1]
    modalities = nodes.shape[1] // places
    same_modality = torch.eye(modalities, dtype=torch.bool, device=nodes.device)[:, None, :, None]
    same_utterance = torch.eye(places, dtype=torch.bool, device=nodes.device)[:, None, :]
    dialogue = packing.together[:, None, :, None, :]  # [L, 1, T, 1, T], to become [L, M, T, M, T]
    connected = ((dialogue & same_modality) | same_utterance).flatten(3, 4).flatten(1, 2)
    connected = connected & observed.unsqueeze(-1) & observed.unsqueeze(-2)
    with torch.autocast(nodes.device.type, enabled=False):
        unit = F.normalize(nodes.to(torch.promote_types(nodes.dtype, torch.float32)), dim=-1)
        cosine = unit @ unit.transpose(-1, -2)
        adjacency = (1 - torch.arccos(0.99999 * cosine) / math.pi) * connected
        scale = adjacency.sum(dim=-1).masked_fill(~observed, 1).rsqrt()
        return scale.unsqueeze(-1) * adjacency * scale.unsqueeze(-2)


class InitialResidual(nn.Module):
    """Layers of GCNII as MMGCN has them (Chen et al., ICML 2020, Eq. 5, with a W for each of two parts):

        h_l = ReLU(theta_l [P h_{l-1}, h_0] W_l + (1 - theta_l) ((1 - alpha) P h_{l-1} + alpha h_0))
        theta_l = ln(lambda / l + 1)

    for the graph's matrix P.  Both products are linear in P h and h_0, so each has one matrix in a layer.
    """

    def __init__(self, size: int, layers: int, alpha: float, decay: float) -> None:
        """``decay``: lambda."""
        super().__init__()
        bound = size**-0.5
        self.weight = nn.Parameter(torch.empty(layers, 2 * size, size).uniform_(-bound, bound))
        theta = torch.log(decay / torch.arange(1, layers + 1) + 1)[:, None, None]
        identity = torch.eye(size)
        self.theta: Tensor
        self.residual: Tensor
        self.register_buffer("theta", theta, persistent=False)
        self.register_buffer(
            "residual", (1 - theta) * torch.cat([(1 - alpha) * identity, alpha * identity]), persistent=False
        )

    def of(self, first: Tensor) -> list[tuple[Tensor, Tensor]]:
        """For h_0 [L, N, size], each layer's matrix for P h, [size, size], and what h_0 adds, as h_0."""
        weight = self.theta * self.weight + self.residual
        for_arriving, for_first = weight.chunk(2, dim=1)
        added = (first.flatten(0, 1) @ for_first).unflatten(1, first.shape[:2])
        return list(zip(for_arriving.unbind(), added.unbind(), strict=True))
