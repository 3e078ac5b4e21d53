"""A game with known Shapley values, which stands in for the model."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.methods._enumeration import shapley_values


class SyntheticGame:
    """Weights, pairs and triples of random size, each filler with its own."""

    def __init__(self, n, fillers, seed):
        random = np.random.default_rng(seed)
        self.fillers, self.features = fillers, range(n)
        self.weights = random.normal(size=(fillers, n))
        self.pairs = random.normal(size=(fillers, n, n)) * 0.7
        self.triples = random.normal(size=(n, n, n)) * 0.3
        self.evaluations = 0

    def values(self, coalitions, filler):
        return self.each(coalitions, np.full(len(coalitions), filler))

    def by_filler(self, coalitions):
        return np.stack([self.values(coalitions, k) for k in range(self.fillers)])

    def each(self, coalitions, fillers):
        x = np.asarray(coalitions, dtype=float)
        self.evaluations += len(x)
        linear = np.einsum("ri,ri->r", x, self.weights[fillers])
        linear += np.einsum("ri,rj,rij->r", x, x, self.pairs[fillers])
        linear += np.einsum("ri,rj,rk,ijk->r", x, x, x, self.triples)
        return linear[:, None]

    def full(self):
        return self.values(np.ones((1, len(self.features)), bool), 0)[0]

    def empty(self, filler=None):
        return np.zeros(1)

    def exact(self):
        n = len(self.features)
        masks = (np.arange(2**n)[:, None] >> np.arange(n)) & 1
        return np.mean([shapley_values(self.values(masks, k)) for k in range(self.fillers)], 0)


@pytest.fixture
def synthetic():
    """Return ``make(n, fillers, seed)`` -> the game, its task, its exact Shapley values."""

    def make(n, fillers, seed):
        game = SyntheticGame(n, fillers, seed)
        truth = game.exact()[:, 0]
        game.evaluations = 0
        return game, SimpleNamespace(pieces=[SimpleNamespace(special=False)] * n, seed=seed), truth

    return make


@pytest.fixture(scope="session")
def jupiter(lm):
    """A question to the real model, and its exact Shapley values: 256 evaluations."""
    question = {"prompt": "The largest planet in the solar system is", "target": " Jupiter"}
    return question, liw.attribute(lm, **question, evaluations="all", filler=" the")
