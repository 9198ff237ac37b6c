"""QMNN, density matrix by density matrix."""

from __future__ import annotations

import math

import torch

from tests.train.plain import inputs

_SIZES = {"reduced_sizes": {"audio": 8}, "state_size": 6, "classifier_size": 12, "dropout": 0.0}
SMALL = {"code": _SIZES, "phases": _SIZES | {"phase_speakers": 2, "learn_phases": True}}
PAST_ONLY = True


def logits(network, dialogue):
    modalities = inputs(network, dialogue)
    u, v, e = (unitary(x) for x in network.generators)
    size = len(u)
    share = network.share.sigmoid()
    h = torch.eye(size, dtype=u.dtype) / size
    hidden, _, _, last = network.classify
    found = []
    for t, speaker in enumerate(dialogue.speaker):
        observed = [m for m in modalities if dialogue.observed[m][t]]
        rho = density(network, {m: modalities[m][t] for m in observed}, t, speaker)
        h = share * u @ rho @ u.conj().T + (1 - share) * v @ h @ v.conj().T
        p = torch.stack([(row @ h @ row.conj()).real for row in e])
        found.append(last(hidden(p).relu()).tanh())
    return torch.stack(found)


def unitary(x):
    x = torch.complex(*x)
    return torch.matrix_exp(x - x.conj().T)


def density(network, us, t, speaker):
    """rho_t."""
    size = len(network.frequency)
    mixed = torch.eye(size, dtype=network.share.dtype.to_complex())
    if not us:
        return mixed / size
    phase = network.phase[speaker % len(network.phase)]
    angle = t * network.frequency + 2 * math.pi * phase.sigmoid()
    rs = [network.amplitude[m](u).relu() for m, u in us.items()]
    weights = torch.stack([r.norm() for r in rs]).softmax(0)
    rho = 0
    for weight, r in zip(weights, rs, strict=True):
        if r.any():
            psi = r / r.norm() * torch.exp(1j * angle)
            rho = rho + weight * torch.outer(psi, psi.conj())
        else:
            rho = rho + weight * mixed / size
    return rho
