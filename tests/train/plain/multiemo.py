"""MultiEMO: the transcription that the benchmark is timed against."""

from __future__ import annotations

from types import SimpleNamespace

import torch
import torch.nn.functional as F

from benchmarks.plain_multiemo import PARTIES, PlainMultiEmo
from pipeline.params import MODALITIES
from tests.train.small import NETWORK
from train.networks.multiemo import Params

SMALL = {"paper": {key: value for key, value in NETWORK.items() if key != "kind"}}
ALL_OBSERVED = True


def logits(network, dialogue):
    dims = {name: table.shape[1] for name, table in dialogue.features.items()}
    plain = PlainMultiEmo(Params.model_validate(NETWORK), dims, network.fc_p.out_features).double()
    with torch.no_grad():
        give_weights(plain, network)
    batch = SimpleNamespace(
        features={name: table[None] for name, table in dialogue.features.items()},
        mask=torch.ones(1, len(dialogue), dtype=torch.bool),
        parties=F.one_hot(torch.tensor([dialogue.speaker]), PARTIES).double(),
    )
    return plain(batch)[0][0]


def give_weights(plain, network):
    """Make the plain network the same function."""
    contexts, rnn = network.contexts, network.contexts.rnn
    for mine, theirs in ((plain.reduce, contexts.reduce), (plain.context, contexts.fc)):
        for name in theirs:
            mine[name].load_state_dict(theirs[name].state_dict())
    for modality, name in enumerate(rnn.utterance):
        target = plain.context[name]
        if name in contexts.project:
            target.project.load_state_dict(contexts.project[name].state_dict())
        for direction, cell in enumerate(target.cells):
            reader, gates = rnn.directions * modality + direction, 3 * rnn.state_size
            weights = rnn.utterance[name][:, direction]
            give_gru(cell.global_gru, rnn.global_gru, reader, weights[:, :gates])
            give_gru(cell.party_gru, rnn.party_gru, reader, weights[:, gates : 2 * gates])
            give_gru(cell.emotion_gru, rnn.emotion_gru, reader, weights[:0, :gates])
            cell.attention.weight.copy_(weights[:, 2 * gates :] if rnn.query is None else rnn.query[reader])
    for layers, name in zip(plain.fusion, MODALITIES, strict=True):
        for target, layer in zip(layers, network.fusion.layers[name], strict=True):
            for stage, attend in zip((target.first, target.second), layer.attend.values(), strict=True):
                for kind in ("query", "key", "value"):
                    for parameter, value in getattr(attend, kind).named_parameters():
                        for head, part in zip(stage.heads, value.chunk(len(stage.heads)), strict=True):
                            getattr(getattr(head, kind), parameter).copy_(part)
                stage.output.load_state_dict(attend.output.state_dict())
                stage.norm.load_state_dict(attend.norm.state_dict())
            target.ffn[0].load_state_dict(layer.feed_forward.inner.state_dict())
            target.ffn[2].load_state_dict(layer.feed_forward.outer.state_dict())
            target.norm.load_state_dict(layer.feed_forward.norm.state_dict())
    for name in ("fc_z", "fc_l", "fc_p"):
        getattr(plain, name).load_state_dict(getattr(network, name).state_dict())


def give_gru(cell, gru, reader, of_utterance):
    cell.weight_ih.copy_(torch.cat([of_utterance, gru.weight_input[reader]]).T)
    cell.weight_hh.copy_(gru.weight_state[reader].T)
    cell.bias_ih.copy_(gru.bias_input[reader, 0])
    cell.bias_hh.copy_(gru.bias_state[reader, 0])
