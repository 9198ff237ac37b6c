"""What a trained network attends to: the softmax of Eq. 3 and 7 for one dialogue."""

from __future__ import annotations

from collections import defaultdict

import torch
from torch import Tensor

from pipeline.errors import UserError
from train.data import Dialogues
from train.multiemo.fusion import Keys, MultiAttn
from train.multiemo.network import MultiEmo


def attention_maps(network: object, dialogues: Dialogues, span: range) -> dict[tuple[str, str], Tensor]:
    """Attention weights of the dialogue at ``span`` by (modality of the queries, modality of the keys).

    Each is float32 [layers, heads, T, T] on the CPU, for the T utterances of the dialogue in their
    order: entry [l, h, i, j] says how much utterance i takes from utterance j.  Rows add up to 1, and
    j is 0 where its modality was not observed; where no utterance's was, all is 0.  The network is
    used as it predicts, without dropout.  UserError if it has no cross-attention.
    """
    fusion = network.fusion if isinstance(network, MultiEmo) else None
    if not isinstance(network, MultiEmo) or not isinstance(fusion, MultiAttn) or len(fusion.layers) < 2:
        raise UserError(
            "the model has no cross-attention to show: it takes a network of kind multiemo, fusion multiattn"
            " and two modalities or more"
        )
    network.eval()
    maps: dict[tuple[str, str], list[Tensor]] = defaultdict(list)
    with torch.inference_mode():
        batch = dialogues.batch([span])
        contexts = network.context_vectors(batch)
        # A dialogue alone is a lane.
        keys = {name: Keys.of(c, batch.observed[name], batch.packing) for name, c in contexts.items()}
        for name, layers in fusion.layers.items():
            query = contexts[name]
            for layer in layers:  # type: ignore[attr-defined]
                for other, attend in layer.attend.items():
                    (weights,) = attend.weights(query, keys[other])
                    maps[name, other].append(weights * batch.observed[other])
                    query = attend(query, keys[other])
                query = layer.feed_forward(query)
    return {pair: torch.stack(weights).float().cpu() for pair, weights in maps.items()}
