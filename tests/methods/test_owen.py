"""Owen values against an average over all orders of a tree, shap's Partition, and the model."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.methods import owen
from llm_interp_widgets.methods._perturbation import Budget
from llm_interp_widgets.methods.base import Task
from llm_interp_widgets.methods.owen import Owen, divide, evaluations_to_the_end
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces
from llm_interp_widgets.text.tree import TextTree

TEXT = "The opposite of hot is"  # five words, five tokens
NESTED = ((0, 1), (2, (3, 4)))  # its tree: one phrase, halved
LONG = "The capital of France is Paris, and the capital of Japan is Tokyo"


class TableGame:
    """Stands in for the model: any value for any set, the same for all fillers when all is on."""

    def __init__(self, n, fillers=1, outputs=1, seed=0):
        self.fillers, self.n = fillers, n
        self.table = np.random.default_rng(seed).normal(size=(fillers, 2**n, outputs))
        self.table[:, -1] = self.table[0, -1]
        self.asked = set()

    def by_filler(self, coalitions):
        at = coalitions @ (1 << np.arange(self.n))
        last = 2**self.n - 1
        self.asked |= {(k if m < last else 0, m) for m in at for k in range(self.fillers)}
        return self.table[:, at]

    @property
    def evaluations(self):
        return len(self.asked)


def random_nested(low, high, random):
    """A tree over features low … high - 1, split anywhere."""
    if high - low == 1:
        return low
    cut = int(random.integers(low + 1, high))
    return (random_nested(low, cut, random), random_nested(cut, high, random))


def leaves(nested):
    return [nested] if isinstance(nested, int) else [i for half in nested for i in leaves(half)]


def text_tree_of(nested):
    """The same tree in the layout of ``TextTree``."""
    n = len(leaves(nested))
    children, spans = [], [(i, i + 1) for i in range(n)]

    def add(node):
        if isinstance(node, int):
            return node
        pair = tuple(add(half) for half in node)
        children.append(pair)
        spans.append((leaves(node)[0], leaves(node)[-1] + 1))
        return n + len(children) - 1

    add(nested)
    return TextTree(
        np.array(children, dtype=int).reshape(n - 1, 2),
        np.array(spans),
        np.zeros(n - 1, dtype=int),
    )


def orders(nested):
    """All orders in which every node's leaves stay together: each inner node may be flipped."""
    if isinstance(nested, int):
        return [[nested]]
    found = []
    for left, right in product(*map(orders, nested)):
        found += [left + right, right + left]
    return found


def brute_force(nested, values):
    """Mean marginal contribution over these orders; values (set, output) by bit mask."""
    every = orders(nested)
    shares = np.zeros((len(every[0]), values.shape[1]))
    for order in every:
        mask = 0
        for i in order:
            shares[i] += values[mask | 1 << i] - values[mask]
            mask |= 1 << i
    return shares / len(every)


def unlimited(game, tree):
    return list(divide(game, tree, Budget(evaluations_to_the_end(tree, game.fillers), None)))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 7, 9])
@pytest.mark.parametrize("seed", range(4))
def test_random_game_on_a_random_tree_against_all_its_orders(n, seed):
    nested = random_nested(0, n, np.random.default_rng([n, seed]))
    assert len(orders(nested)) == 2 ** (n - 1)
    game = TableGame(n, fillers=2, outputs=3, seed=seed)
    last = unlimited(game, text_tree_of(nested))[-1]
    assert last.exact
    for k in range(2):
        expected = brute_force(nested, game.table[k])
        assert last.shares[k] == pytest.approx(expected, abs=1e-12)
    assert last.full == pytest.approx(game.table[0, -1])
    assert last.empty == pytest.approx(game.table[:, 0].mean(0))


@pytest.mark.parametrize("seed", range(4))
def test_the_cost_is_as_announced(seed):
    tree = text_tree_of(random_nested(0, 8, np.random.default_rng(seed)))
    game = TableGame(8, fillers=3, seed=seed)
    last = unlimited(game, tree)[-1]
    assert last.exact
    assert game.evaluations == last.evaluations == evaluations_to_the_end(tree, 3)


@pytest.mark.parametrize("n", [2, 5, 10])
def test_agrees_with_shap_partition(n):
    shap = pytest.importorskip("shap")
    random = np.random.default_rng(n)
    for seed in range(3):
        tree = text_tree_of(random_nested(0, n, random))
        game = TableGame(n, seed=seed)

        class OwnTree(shap.maskers.Masker):
            shape, clustering = (1, n), tree.linkage()

            def __call__(self, mask, x):
                return (np.asarray(mask, dtype=float)[None],)

        def model(masks, game=game):
            return game.table[0][masks.astype(int) @ (1 << np.arange(n)), 0]

        explainer = shap.explainers.PartitionExplainer(model, OwnTree())
        theirs = explainer(np.ones((1, n)), max_evals=10**6, batch_size=10, silent=True)
        ours = unlimited(game, tree)[-1]
        assert ours.shares[0, :, 0] == pytest.approx(theirs.values[0], rel=1e-9, abs=1e-12)
        assert ours.empty[0] == pytest.approx(float(np.ravel(theirs.base_values)[0]))


@pytest.mark.parametrize("fillers", [1, 3])
@pytest.mark.parametrize("budget", [8, 9, 17, 40, 100, 1000])
def test_every_step_adds_up_and_no_budget_is_exceeded(fillers, budget):
    tree = text_tree_of(random_nested(0, 10, np.random.default_rng(budget)))
    game = TableGame(10, fillers=fillers, outputs=2, seed=budget)
    steps = list(divide(game, tree, Budget(budget, None)))
    for step in steps:
        total = step.shares.mean(0).sum(0)
        assert total == pytest.approx(step.full - step.empty, abs=1e-12)
        assert step.evaluations <= budget
    assert game.evaluations <= budget
    assert [step.final for step in steps] == [False] * (len(steps) - 1) + [True]
    assert steps[-1].exact == (budget >= evaluations_to_the_end(tree, fillers))
    least_left = budget - game.evaluations
    assert steps[-1].exact or least_left < 2 * fillers  # the budget is used


def test_what_is_not_divided_is_spread_evenly():
    game = TableGame(8)
    tree = text_tree_of(NESTED_OF_EIGHT)
    (last,) = divide(game, tree, Budget(4, None))  # all, nothing, each half of the text
    left, right = game.table[0, 0b00000111, 0], game.table[0, 0b11111000, 0]
    full, empty = game.table[0, -1, 0], game.table[0, 0, 0]
    assert last.shares[0, :3, 0] == pytest.approx((left - empty + full - right) / 2 / 3)
    assert last.shares[0, 3:, 0] == pytest.approx((right - empty + full - left) / 2 / 5)
    assert not last.exact


NESTED_OF_EIGHT = ((0, (1, 2)), ((3, 4), (5, (6, 7))))


class HalfGame(TableGame):
    """Only the last eight of 16 features matter."""

    def __init__(self):
        super().__init__(8)
        self.rows = []

    def by_filler(self, coalitions):
        self.rows += list(coalitions)
        return super().by_filler(coalitions[:, 8:])

    @property
    def evaluations(self):
        return len({row.tobytes() for row in self.rows})


def halves(low, high):
    if high - low == 1:
        return low
    middle = (low + high) // 2
    return (halves(low, middle), halves(middle, high))


def test_where_the_effect_is_comes_first(monkeypatch):
    monkeypatch.setattr(owen, "_ROWS_A_STEP", 2)  # one node a step
    game = HalfGame()
    within = evaluations_to_the_end(text_tree_of(halves(0, 8)), 1) - 2  # of eight features
    # In both contexts of the half that does not matter, each of them asked once.
    tree = text_tree_of(halves(0, 16))
    steps = []
    for step in divide(game, tree, Budget(10**6, None)):
        steps.append(step)
        if len(game.rows) >= 2 + 2 + 2 * within:
            break
    assert len(game.rows) == 2 + 2 + 2 * within
    cut = [row for row in game.rows if 0 < row[:8].sum() < 8]
    assert not cut  # the idle half has not been looked into
    expected = brute_force(halves(0, 8), game.table[0])
    assert steps[-1].shares[0, 8:] == pytest.approx(expected, abs=1e-12)
    assert steps[-1].shares[0, :8] == pytest.approx(0)


def test_a_full_step_takes_the_largest_effects():
    # Budget for two of the four nodes below the root: both go to the half that matters.
    game = HalfGame()
    list(divide(game, text_tree_of(halves(0, 16)), Budget(8, None)))
    assert len(game.rows) == 8
    assert all(row[:8].all() or not row[:8].any() for row in game.rows)
    assert sum(0 < row[8:].sum() < 8 for row in game.rows) == 4


def real_values(lm, prompt, target, filler):
    """Every subset's log-probability by nothing but the model, one row at a time."""
    ids = lm.tokenizer(prompt).input_ids
    (off,) = lm.tokenizer(filler, add_special_tokens=False).input_ids
    values = np.empty((2 ** len(ids), 1))
    with torch.inference_mode():
        for mask in range(len(values)):
            row = [t if mask >> i & 1 else off for i, t in enumerate(ids)]
            logits = lm.model(torch.tensor([row])).logits[0, -1].double()
            values[mask] = float(logits.log_softmax(-1)[target])
    return values


@pytest.mark.parametrize(("family", "filler"), [("llama", " of"), ("gpt2", ".")])
def test_whole_tree_equals_brute_force_on_a_model(tiny_lm, family, filler):
    lm = tiny_lm(family)
    a = liw.attribute(lm, TEXT, 7, "owen", evaluations="all", filler=filler)
    values = real_values(lm, TEXT, 7, filler)
    assert len(a.inputs) == 5
    assert a.scores[0] == pytest.approx(brute_force(NESTED, values)[:, 0], abs=1e-4)
    assert a.base_values[0] == pytest.approx(values[0, 0], abs=1e-4)
    assert a.exact
    assert a.verdict == "exact"
    assert a.evaluations == evaluations_to_the_end(text_tree_of(NESTED), 1)


def test_a_budget_above_the_tree_is_exact(tiny_lm):
    every = liw.attribute(tiny_lm(), TEXT, 7, "owen", evaluations="all", filler=" of")
    default = liw.attribute(tiny_lm(), TEXT, 7, "owen", filler=" of")
    assert default.exact
    assert np.array_equal(default.scores, every.scores)
    assert default.evaluations == every.evaluations


def test_fillers_are_averaged(tiny_lm):
    lm = tiny_lm()
    both = liw.attribute(lm, TEXT, None, "owen", evaluations="all", filler=[" of", "."])
    each = [
        liw.attribute(lm, TEXT, None, "owen", evaluations="all", filler=f) for f in (" of", ".")
    ]
    stacked = np.stack([a.scores for a in each])
    assert both.scores == pytest.approx(stacked.mean(0), abs=1e-5)
    assert both.spread == pytest.approx(stacked.std(0), abs=1e-5)
    assert each[0].spread is None


def test_removing_equals_brute_force(tiny_lm):
    lm = tiny_lm()
    a = liw.attribute(lm, TEXT, 7, "owen", evaluations="all", off="remove")
    ids = lm.tokenizer(TEXT).input_ids
    values = np.empty((2**5, 1))
    with torch.inference_mode():
        for mask in range(2**5):
            row = [t for i, t in enumerate(ids) if mask >> i & 1] or [lm.tokenizer.bos_token_id]
            logits = lm.model(torch.tensor([row])).logits[0, -1].double()
            values[mask] = float(logits.log_softmax(-1)[7])
    assert a.scores[0] == pytest.approx(brute_force(NESTED, values)[:, 0], abs=1e-4)


@pytest.mark.parametrize("params", [{"evaluations": 60}, {"evaluations": 61, "filler": [".", ","]}])
def test_partials_of_a_run(tiny_lm, params):
    lm = tiny_lm()
    prompt = lm.encode(LONG)
    task = Task(lm, prompt, pieces(prompt, "token"), ask(None, lm, prompt), 0)
    partials = list(Owen(**({"filler": " of"} | params)).run(task))
    assert len(partials) > 2
    assert partials[0].evaluations <= 1 + 3 * 2  # all, nothing and two halves for each filler
    for p in partials:
        assert p.scores.sum() == pytest.approx((p.output_values - p.base_values)[0], abs=1e-4)
        assert p.done <= p.total <= params["evaluations"]
        assert p.evaluations <= params["evaluations"]
        assert p.converged is False
    assert [p.final for p in partials] == [False] * (len(partials) - 1) + [True]


def test_out_of_time_is_not_exact(tiny_lm):
    a = liw.attribute(tiny_lm(), LONG, None, "owen", evaluations="all", seconds=1e-9, filler=".")
    assert not a.exact
    assert a.verdict == "did not converge"
    assert np.isfinite(a.scores).all()
    assert (a.completeness_gap < 1e-3).all()


def test_one_piece_takes_all(tiny_lm):
    a = liw.attribute(tiny_lm(), "hot", None, "owen", granularity="sentence", filler=".")
    assert a.scores[0].sum() == pytest.approx(a.output_values[0] - a.base_values[0], abs=1e-5)
    assert a.evaluations == 2
    assert a.exact


def test_fillers_that_the_budget_does_not_reach_are_not_claimed(tiny_lm):
    n = len(liw.attribute(tiny_lm(), LONG, method="saliency").inputs)
    fillers = [" of", ".", " is", ","]
    a = liw.attribute(
        tiny_lm(), LONG, None, "owen", evaluations=1 + 2 * (2 * n - 1), filler=fillers
    )
    assert a.params["filler"] == [" of", "."]


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"evaluations": 0}, "positive"),
        ({"evaluations": 2.5}, "whole number"),
        ({"evaluations": 3}, "dividing the text once takes 4"),
        ({"seconds": -1}, "positive"),
        ({"off": "erase"}, "Available: remove, replace"),
        ({"filler": "The capital of"}, "must be one token"),
    ],
)
def test_bad_parameters(tiny_lm, params, message):
    with pytest.raises(ParameterError, match=message):
        liw.attribute(tiny_lm(), LONG, None, "owen", **params)


def test_an_endless_tree_is_refused_before_any_work():
    assert Owen(evaluations="all").prepare(800, ()).evaluations == "all"
    with pytest.raises(ParameterError, match=r"at most 500,000 .*evaluations=2000"):
        Owen(evaluations="all").prepare(900, ())
    with pytest.raises(ParameterError, match="granularity='word'"):
        Owen(evaluations="all").prepare(800, (".", ","))


def test_an_endless_tree_is_refused_when_it_is_known(tiny_lm, monkeypatch):
    monkeypatch.setattr(owen, "_MOST_TO_THE_END", 27)
    lopsided = "The, opposite, of, hot"
    with pytest.raises(ParameterError, match=r"evaluations or more; at most 27"):
        liw.attribute(tiny_lm(), lopsided, None, "owen", evaluations="all", filler=".")


@pytest.mark.parametrize("n", range(1, 40))
def test_no_tree_is_cheaper_than_announced(n):
    balanced = evaluations_to_the_end(text_tree_of(halves(0, n)), 2)
    assert owen._least_to_the_end(n, 2) <= balanced
    random = text_tree_of(random_nested(0, n, np.random.default_rng(n)))
    assert owen._least_to_the_end(n, 2) <= evaluations_to_the_end(random, 2)
