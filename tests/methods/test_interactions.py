"""Pairwise interactions against closed forms, their definitions, shapiq, and a bare model."""

from __future__ import annotations

import _thread
import math
import signal
import threading
import time
from itertools import combinations

import numpy as np
import pytest
import torch

import llm_interp_widgets as liw
from llm_interp_widgets import jobs
from llm_interp_widgets.errors import CancelledJobError, ParameterError
from llm_interp_widgets.methods._enumeration import shapley_values
from llm_interp_widgets.methods._interactions import INDICES, dividends
from llm_interp_widgets.methods.base import Task
from llm_interp_widgets.methods.interactions import PairInteractions
from llm_interp_widgets.models.batches import Coalitions
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces

indices = pytest.mark.parametrize("index", sorted(INDICES))
TEXT = "The capital of France is"
LONG = "The capital of France is Paris, and the capital of Japan is Tokyo"  # 14 tokens


def game_values(n, value):
    """(2ⁿ, 1) values of a game given as a function of a set."""
    sets = ({i for i in range(n) if mask >> i & 1} for mask in range(2**n))
    return np.array([[value(s)] for s in sets], dtype=float)


def random_games(n, games=2):
    return np.random.default_rng(n).normal(size=(2**n, games))


def pairs_of(matrix):
    return matrix[np.triu_indices(len(matrix), 1)]


def subsets(items):
    return (set(some) for k in range(len(items) + 1) for some in combinations(items, k))


def by_definition(values, index):
    """Second differences averaged with the weights of the papers, set by set."""
    n = len(values).bit_length() - 1

    def v(some):
        return values[sum(1 << i for i in some)]

    out = np.zeros((n, n, values.shape[1]))
    for i, j in combinations(range(n), 2):
        for s in subsets([k for k in range(n) if k not in (i, j)]):
            joint = v(s | {i, j}) - v(s | {i}) - v(s | {j}) + v(s)
            if index == "STII":
                weight = 2 / (n * math.comb(n - 1, len(s)))
            else:
                orders = math.factorial(len(s)) * math.factorial(n - len(s) - 2)
                weight = orders / math.factorial(n - 1)
            out[i, j] += weight * joint
        out[j, i] = out[i, j]
    for i in range(n):
        if index == "STII":
            out[i, i] = v({i}) - v(set())
        else:
            out[i, i] = shapley_values(values)[i]
            if index == "k-SII":
                out[i, i] -= sum(out[i, j] for j in range(n) if j != i) / 2
    return out


# ── the indices ───────────────────────────────────────────────────────────────


@indices
def test_a_pair_game_is_that_pair_alone(index):
    matrix = INDICES[index](game_values(4, lambda s: 3 + 2.0 * ({1, 3} <= s)))[..., 0]
    expected = np.zeros((4, 4))
    expected[1, 3] = expected[3, 1] = 2
    if index == "SII":
        expected[1, 1] = expected[3, 3] = 1  # Shapley values: halves of the pair
    assert matrix == pytest.approx(expected, abs=1e-12)


@indices
def test_an_additive_game_has_no_interactions(index):
    weights = np.array([3.0, -1.0, 0.0, 0.5])
    matrix = INDICES[index](game_values(4, lambda s: 7 + sum(weights[i] for i in s)))[..., 0]
    assert matrix == pytest.approx(np.diag(weights), abs=1e-12)


@pytest.mark.parametrize(
    ("index", "pair", "single"),
    [("SII", 1 / 2, 1 / 3), ("k-SII", 1 / 2, -1 / 6), ("STII", 1 / 3, 0)],
)
def test_a_triple_is_shared_among_its_pairs(index, pair, single):
    matrix = INDICES[index](game_values(3, lambda s: float(len(s) == 3)))[..., 0]
    expected = np.full((3, 3), pair) + np.eye(3) * (single - pair)
    assert matrix == pytest.approx(expected, abs=1e-12)


@indices
def test_one_player_takes_all(index):
    assert INDICES[index](np.array([[2.0], [5.0]])) == pytest.approx(np.array([[[3.0]]]))


def test_dividends_add_up_to_values():
    values = random_games(5)
    found = dividends(values)
    for mask in range(2**5):
        below = [sub for sub in range(2**5) if sub & mask == sub]
        assert found[below].sum(axis=0) == pytest.approx(values[mask])


@indices
@pytest.mark.parametrize("n", [2, 3, 6])
def test_random_games_against_the_definitions(index, n):
    values = random_games(n)
    assert INDICES[index](values) == pytest.approx(by_definition(values, index), abs=1e-12)


@pytest.mark.parametrize("index", ["k-SII", "STII"])
@pytest.mark.parametrize("n", [1, 2, 5, 10])
def test_diagonal_and_pairs_add_up(index, n):
    values = random_games(n)
    matrices = INDICES[index](values)
    total = np.einsum("iio->o", matrices) + pairs_of(matrices).sum(axis=0)
    assert total == pytest.approx(values[-1] - values[0], abs=1e-10)


def from_shapiq(score, n, index):
    """(n, n) matrix of shapiq's exact computer; ``score`` takes boolean rows."""
    shapiq = pytest.importorskip("shapiq")
    found = shapiq.ExactComputer(score, n_players=n)(index=index, order=2)
    matrix = np.zeros((n, n))
    for i in range(n):
        matrix[i, i] = found[(i,)]
        for j in range(i + 1, n):
            matrix[i, j] = matrix[j, i] = found[(i, j)]
    return matrix


@indices
@pytest.mark.parametrize("n", [5, 6, 7])
def test_random_games_against_shapiq(index, n):
    values = random_games(n, games=1)

    def score(rows):
        return values[np.asarray(rows) @ (1 << np.arange(n)), 0]

    assert INDICES[index](values)[..., 0] == pytest.approx(from_shapiq(score, n, index), abs=1e-10)


# ── on models ─────────────────────────────────────────────────────────────────


def brute_force(lm, text, token, filler):
    """Values of all coalitions by nothing but the model, one row at a time."""
    ids = lm.tokenizer(text).input_ids
    (off,) = lm.tokenizer(filler, add_special_tokens=False).input_ids
    values = np.empty((2 ** len(ids), 1))
    with torch.inference_mode():
        for mask in range(len(values)):
            row = [t if mask >> i & 1 else off for i, t in enumerate(ids)]
            values[mask] = float(lm.model(torch.tensor([row])).logits[0, -1].log_softmax(-1)[token])
    return values


@indices
def test_tiny_models_against_brute_force(tiny_lm, index):
    lm = tiny_lm("gpt2")
    r = liw.interactions(lm, TEXT, 7, index=index, filler=" is")
    values = brute_force(lm, TEXT, 7, " is")
    assert r.values[0] == pytest.approx(by_definition(values, index)[..., 0], abs=1e-4)
    assert r.base_values == pytest.approx(values[0], abs=1e-5)
    assert r.output_values == pytest.approx(values[-1], abs=1e-5)
    assert r.evaluations == 2 ** len(r.inputs)
    assert [t.text for t in r.inputs] == ["The", " capital", " of", " France", " is"]
    assert np.abs(pairs_of(r.values[0])).max() > 0.01
    if index == "SII":
        assert r.completeness_gap is None
    else:
        assert r.completeness_gap < 1e-5


@indices
def test_the_real_model_against_shapiq(lm, index):
    r = liw.interactions(lm, TEXT, " Paris", index=index, filler=" the")
    question = ask(" Paris", lm, lm.encode(TEXT))
    columns = pieces(question.prompt)
    game = Coalitions(lm, question.prompt, columns, question.readouts, filler=" the")

    def score(rows):
        return game.values(np.asarray(rows, dtype=bool))[:, 0]

    assert r.values[0] == pytest.approx(from_shapiq(score, 5, index), abs=1e-4)
    assert r.unit == "log_prob"
    assert r.off == "“the”"


def test_sii_holds_the_shapley_values(tiny_lm):
    lm = tiny_lm()
    r = liw.interactions(lm, TEXT, 7, index="SII", filler=[" is", " of"])
    a = liw.attribute(lm, TEXT, 7, evaluations="all", filler=[" is", " of"])
    assert np.diag(r.values[0]) == pytest.approx(a.scores[0], abs=1e-5)


def test_fillers_are_averaged(tiny_lm):
    lm = tiny_lm()
    both = liw.interactions(lm, TEXT, 7, filler=[" is", " of"])
    single = [liw.interactions(lm, TEXT, 7, filler=filler).values for filler in (" is", " of")]
    assert both.values == pytest.approx(np.mean(single, axis=0), abs=1e-5)
    assert both.evaluations == 2 * (2**5 - 1) + 1
    assert both.params["filler"] == [" is", " of"]
    assert both.off == "“is”, “of”, averaged"


def test_removing_is_another_game(tiny_lm):
    lm = tiny_lm("gpt2")
    r = liw.interactions(lm, TEXT, 7, off="remove")
    without = lm.tokenizer("The of France is").input_ids
    assert r.evaluations == 2**5
    assert r.off == "removing the tokens"
    question = ask(7, lm, lm.encode(TEXT))
    game = Coalitions(lm, question.prompt, pieces(question.prompt), question.readouts, off="remove")
    with torch.inference_mode():
        own = lm.model(torch.tensor([without])).logits[0, -1].log_softmax(-1)[7]
    assert game.values(np.array([[1, 0, 1, 1, 1]], dtype=bool))[0] == pytest.approx(
        float(own), 1e-4
    )
    order = np.arange(2**5)[:, None] >> np.arange(5) & 1
    expected = by_definition(game.values(order.astype(bool)), "k-SII")[..., 0]
    assert r.values[0] == pytest.approx(expected, abs=1e-4)


def test_each_output_has_its_matrix(tiny_lm):
    lm = tiny_lm()
    r = liw.interactions(lm, TEXT, liw.Generate(2), filler=" of")
    assert r.values.shape == (2, 5, 5)
    one = liw.interactions(lm, TEXT, r.outputs[0].id, filler=" of")
    assert r.values[0] == pytest.approx(one.values[0], abs=1e-4)
    assert r.values[1] != pytest.approx(one.values[0], abs=1e-2)


def test_special_pieces_take_no_part(tiny_model, pair_tokenizer):
    r = liw.interactions(liw.wrap(tiny_model("bert"), pair_tokenizer), "The capital of", "glad")
    assert [t.special for t in r.inputs] == [True, False, False, False, True]
    assert not r.values[0, [0, -1]].any()
    assert not r.values[0, :, [0, -1]].any()
    assert r.values[0, 1:-1, 1:-1].all()
    assert r.completeness_gap < 1e-5


def test_words_are_features(tiny_lm):
    r = liw.interactions(tiny_lm(), "a laughing Löwe", 7, granularity="word", filler=" of")
    assert [t.text for t in r.inputs] == ["a", " laughing", " Löwe"]
    assert r.evaluations == 2**3
    assert r.granularity == "word"


# ── as a job ──────────────────────────────────────────────────────────────────


def task_of(lm, text, target):
    question = ask(target, lm, lm.encode(text))
    return Task(lm, question.prompt, pieces(question.prompt), question, seed=0)


def test_partials_say_how_far_it_is(tiny_lm):
    task = task_of(tiny_lm(), " ".join(LONG.split()[:9]), 7)
    method = PairInteractions(filler=[" is", " of"])
    looks = list(method.run(task))
    n = len(task.pieces)
    total = 2 * (2**n - 1) + 1
    done = [look.done for look in looks]
    assert len(looks) > 3
    assert done == sorted(set(done))
    assert done[0] < 10
    assert done[-1] == total
    assert {look.total for look in looks} == {total}
    assert all(look.evaluations == look.done for look in looks)
    assert all(np.isnan(look.scores).all() and not look.final for look in looks[:-1])
    assert np.isfinite(looks[-1].scores).all()
    assert looks[-1].final
    assert looks[-1].exact


@pytest.fixture
def interruptible():
    """A process that was started in the background ignores interrupts; this one does not."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_an_interrupt_stops_it_within_a_second(tiny_lm):
    lm = tiny_lm()
    interrupted = []

    def interrupt():
        for _ in range(1000):
            for job in jobs.live():
                if job.progress.merged.last.evaluations > 100:
                    interrupted.extend([time.monotonic(), job])
                    _thread.interrupt_main()
                    return
            time.sleep(0.01)

    helper = threading.Thread(target=interrupt)
    helper.start()
    with pytest.raises(KeyboardInterrupt):
        liw.interactions(lm, LONG, 7, filler=" of")
    asked, job = interrupted
    assert job.wait(5)
    assert time.monotonic() - asked < 1
    assert job.progress.status == "cancelled"
    with pytest.raises(CancelledJobError):
        job.result()
    helper.join()


# ── what is refused ───────────────────────────────────────────────────────────


def test_too_many_pieces_say_how_many_evaluations(tiny_lm):
    lm = tiny_lm()
    with pytest.raises(ParameterError, match=r"15 pieces are 32,768 evaluations.*'word'.*spans\.$"):
        liw.interactions(lm, LONG + ".", 7, filler=" of")
    with pytest.raises(
        ParameterError, match=r"with 2 fillers are 32,767 .*filler=' is' \(16,384\)"
    ):
        liw.interactions(lm, LONG, 7, filler=[" is", " of"])
    with pytest.raises(ParameterError, match=r"5\.07e\+30 evaluations"):
        PairInteractions().prepare(102, ())


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"index": "k-SI"}, "Did you mean 'k-SII'"),
        ({"index": 2}, "index=2 does not exist"),
        ({"off": "mask"}, "off='mask' does not exist"),
        ({"seconds": 0}, "seconds=0 must be a positive number"),
        ({"seconds": 1e-9, "filler": " of"}, r"ran out after 2 of 32 evaluations.*Allow more"),
        ({"filler": "two words"}, "must be one token"),
        ({"granularity": "words"}, "Did you mean 'word'"),
    ],
)
def test_parameters_out_of_range(tiny_lm, given, message):
    with pytest.raises(ParameterError, match=message):
        liw.interactions(tiny_lm(), TEXT, 7, **given)


def test_something_else_than_a_model():
    with pytest.raises(ParameterError, match="first argument is a str"):
        liw.interactions("gpt2", TEXT)
