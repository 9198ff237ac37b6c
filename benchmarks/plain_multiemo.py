"""MultiEMO as one would first write it down from the paper, to be compared with ``train/`` in speed.

Every batch is padded to its longest dialogue and all of the network works on the padding too;
DialogueRNN goes utterance by utterance, one modality and one direction after the other, and updates
the states of all parties at every step; attention heads are a list of modules; the SWFC loss is a
loop over samples.  Equations are those of the MultiEMO paper unless DialogueRNN's are named.
"""

from __future__ import annotations

import math

import torch
from torch import nn

from pipeline.features.content import UNLABELLED
from train.data import Dialogues
from train.networks.multiemo import LossParams, Params

PARTIES = 9  # MELD's most


class PaddedBatch:
    """Features [B, T, D] per modality, mask [B, T], speaker one-hot [B, T, parties], label [B, T]."""

    def __init__(self, dialogues: Dialogues, spans: list[range]) -> None:
        def pad(table: torch.Tensor, value: float) -> torch.Tensor:
            rows = [table[span.start : span.stop] for span in spans]
            return nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=value)

        self.features = {name: pad(table, 0) for name, table in dialogues.features.items()}
        self.label = pad(dialogues.label, UNLABELLED)
        self.mask = pad(torch.ones_like(dialogues.label, dtype=torch.bool), False)
        self.parties = nn.functional.one_hot(pad(dialogues.speaker, 0), PARTIES).float()


class DialogueRNNCell(nn.Module):
    def __init__(self, input_size: int, state: int, attention: str) -> None:
        super().__init__()
        self.state = state
        self.global_gru = nn.GRUCell(input_size + state, state)
        self.party_gru = nn.GRUCell(input_size + state, state)
        self.emotion_gru = nn.GRUCell(state, state)
        self.attention = nn.Linear(state, input_size if attention == "general" else 1, bias=False)

    def forward(self, u, speaks, past, party, e):
        """u [B, D], speaks [B, parties], past g's [t, B, S], party [B, parties, S], e [B, S]."""
        who = speaks.argmax(dim=1)
        own = torch.stack([states[index] for states, index in zip(party, who, strict=True)])
        g_last = past[-1] if len(past) else torch.zeros_like(e)
        g = self.global_gru(torch.cat([u, own], dim=1), g_last)
        if len(past):
            scores = self.attention(past)  # of the utterance's size, or the scores themselves
            scores = (u * scores if scores.shape[-1] > 1 else scores).sum(dim=-1).T.softmax(dim=1)
            c = torch.einsum("bt,tbs->bs", scores, past)
        else:
            c = torch.zeros_like(e)
        everyone = torch.cat([u, c], dim=1).unsqueeze(1).expand(-1, PARTIES, -1)
        updated = self.party_gru(everyone.flatten(0, 1), party.flatten(0, 1)).view_as(party)
        party = party * (1 - speaks.unsqueeze(2)) + updated * speaks.unsqueeze(2)
        own = torch.stack([states[index] for states, index in zip(party, who, strict=True)])
        return g, party, self.emotion_gru(own, e)


class DialogueRNN(nn.Module):
    def __init__(self, input_size: int, params: Params) -> None:
        super().__init__()
        kind = params.dialogue_rnn
        directions = 1 if kind.directions == "forward" else 2
        state = kind.state_size or params.hidden_size // directions
        self.cells = nn.ModuleList(
            DialogueRNNCell(input_size, state, kind.attention) for _ in range(directions)
        )
        self.output = kind.output
        self.project = nn.Linear(directions * state, params.hidden_size)

    def forward(self, features, parties, mask):
        states = self.states(features, parties, mask)
        if self.output == "linear_relu":
            states = self.project(states)
        return states if self.output == "states" else states.relu()

    def states(self, features, parties, mask):
        forward = self.one_direction(self.cells[0], features, parties)
        if len(self.cells) == 1:
            return forward
        lengths = mask.sum(dim=1).tolist()
        backward = self.one_direction(
            self.cells[1], self.reverse(features, lengths), self.reverse(parties, lengths)
        )
        return torch.cat([forward, self.reverse(backward, lengths)], dim=-1)

    @staticmethod
    def one_direction(cell, features, parties):
        past = features.new_zeros(0, len(features), cell.state)
        party = features.new_zeros(len(features), PARTIES, cell.state)
        e = features.new_zeros(len(features), cell.state)
        emotions = []
        for t in range(features.shape[1]):
            g, party, e = cell(features[:, t], parties[:, t], past, party, e)
            past = torch.cat([past, g.unsqueeze(0)])
            emotions.append(e)
        return torch.stack(emotions, dim=1)

    @staticmethod
    def reverse(padded, lengths):
        rows = [row[:length].flip(0) for row, length in zip(padded, lengths, strict=True)]
        return nn.utils.rnn.pad_sequence(rows, batch_first=True)


class Head(nn.Module):
    """Eq. 2-3."""

    def __init__(self, size: int, width: int, bias: bool) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(size, width, bias=bias) for _ in range(3))

    def forward(self, query, context, mask):
        q, k, v = self.query(query), self.key(context), self.value(context)
        scores = q @ k.transpose(1, 2) / math.sqrt(q.shape[-1])
        return scores.masked_fill(~mask[:, None, :], -torch.inf).softmax(dim=-1) @ v


class MultiHead(nn.Module):
    """Eq. 2-5."""

    def __init__(self, size: int, heads: int, dropout: float, bias: bool) -> None:
        super().__init__()
        self.heads = nn.ModuleList(Head(size, size // heads, bias) for _ in range(heads))
        self.output = nn.Linear(size, size, bias=bias)
        self.dropout, self.norm = nn.Dropout(dropout), nn.LayerNorm(size)

    def forward(self, query, context, mask):
        attended = torch.cat([head(query, context, mask) for head in self.heads], dim=-1)
        return self.norm(query + self.dropout(self.output(attended)))


class Layer(nn.Module):
    """Eq. 2-12."""

    def __init__(self, params: Params) -> None:
        super().__init__()
        size, inner = params.hidden_size, params.feedforward_size
        self.first, self.second = (
            MultiHead(size, params.heads, params.dropout, params.attention_bias) for _ in range(2)
        )
        self.ffn = nn.Sequential(nn.Linear(size, inner), nn.ReLU(), nn.Linear(inner, size))
        self.dropout, self.norm = nn.Dropout(params.dropout), nn.LayerNorm(size)

    def forward(self, query, first, second, mask):
        query = self.second(self.first(query, first, mask), second, mask)
        return self.norm(query + self.dropout(self.ffn(query)))


class PlainMultiEmo(nn.Module):
    def __init__(self, params: Params, dims: dict[str, int], classes: int) -> None:
        super().__init__()
        size = params.hidden_size
        self.reduce, self.context = nn.ModuleDict(), nn.ModuleDict()
        for name, dim in dims.items():
            if name in params.reduced_sizes:
                self.reduce[name] = nn.Linear(dim, params.reduced_sizes[name])
                dim = params.reduced_sizes[name]
            recurrent = getattr(params.context, name) == "dialogue_rnn"
            self.context[name] = DialogueRNN(dim, params) if recurrent else nn.Linear(dim, size)
        self.fusion = nn.ModuleList(
            nn.ModuleList(Layer(params) for _ in range(params.layers)) for _ in range(3)
        )
        self.dropout = nn.Dropout(params.dropout)
        inner = params.mlp_size or size
        self.fc_z, self.fc_l = nn.Linear(3 * size, size), nn.Linear(size, inner)
        self.fc_p = nn.Linear(inner, classes)

    def forward(self, batch: PaddedBatch):
        """Logits, z and the three fused features, each [B, T, ...]."""
        contexts = {}
        for name, context in self.context.items():
            features = batch.features[name]
            if name in self.reduce:
                features = self.reduce[name](features)
            recurrent = isinstance(context, DialogueRNN)
            features = context(features, batch.parties, batch.mask) if recurrent else context(features)
            contexts[name] = self.dropout(features)
        t, a, v = (contexts[name] for name in ("text", "audio", "visual"))
        fused = []
        for layers, (query, first, second) in zip(
            self.fusion, ((t, a, v), (a, t, v), (v, t, a)), strict=True
        ):
            for layer in layers:
                query = layer(query, first, second, batch.mask)
            fused.append(query)
        z = self.fc_z(torch.cat(fused, dim=-1))
        return self.fc_p(self.dropout(torch.relu(self.fc_l(z)))), z, fused


def plain_loss(logits, z, fused, label, params: LossParams, class_counts):
    """Eq. 18-22; what the authors' code does otherwise, in its words."""
    sample = label != UNLABELLED
    label, logits, z = label[sample], logits[sample], z[sample]
    fused, count = [features[sample] for features in fused], len(label)
    if params.normalise_z:
        z = z / z.norm(dim=1, keepdim=True)
    in_batch = torch.tensor([(label == each).sum() for each in range(len(class_counts))])
    counts = torch.tensor(class_counts) if params.class_weights == "training" else in_batch
    weight = (counts.sum() / counts.to(z.dtype)) ** params.sample_weight_exponent
    if params.class_weights == "training":
        weight = weight / weight.sum()
    swfc = plain_swfc(z, label, weight.to(z.device), params.temperature, params.focus)
    soft_hgr = plain_soft_hgr(fused) if params.soft_hgr == "paper" else plain_authors_soft_hgr(fused)
    cross_entropy = nn.functional.cross_entropy(
        logits, label, reduction="sum", label_smoothing=params.label_smoothing
    )
    rest = 1 - params.swfc_weight - params.soft_hgr_weight
    total = params.swfc_weight * swfc + params.soft_hgr_weight * soft_hgr + rest * cross_entropy
    return total / count


def plain_swfc(z, label, class_weight, temperature, gamma):
    """Eq. 18-19, one sample after the other."""
    total, count = z.new_zeros(()), len(z)
    for j in range(count):
        others = torch.arange(count, device=z.device) != j
        positive = others & (label == label[j])
        if not positive.any():
            continue
        similarity = z @ z[j] / temperature
        log_s = similarity[positive] - torch.logsumexp(similarity[others], dim=0)
        total = total - class_weight[label[j]] * ((1 - log_s.exp()) ** gamma * log_s).mean()
    return total


def plain_authors_soft_hgr(fused):
    """Not centred, each pair once, covariance of samples, the trace divided by their number."""
    total = fused[0].new_zeros(())
    for q, v in ((0, 1), (0, 2), (1, 2)):
        trace = (torch.cov(fused[q]) @ torch.cov(fused[v])).trace() / len(fused[q])
        total = total - ((fused[q] * fused[v]).sum(dim=1).mean() - trace / 2)
    return total


def plain_soft_hgr(fused):
    """Eq. 20, pair by pair."""
    total = fused[0].new_zeros(())
    centred = [features - features.mean(dim=0) for features in fused]
    for i, q in enumerate(centred):
        for k, v in enumerate(centred):
            if i != k:
                trace = (torch.cov(q.T) @ torch.cov(v.T)).trace()
                total = total - ((q * v).sum(dim=1).mean() - 0.5 * trace)
    return total
