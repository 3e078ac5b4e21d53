"""How near Shapley estimates come for their evaluations, and whether their errors are honest.

The games are real: what SmolLM2 says of a prompt's coalitions. All of them are scored once, so
that exact values are known, and kept in ``build/games.npz``. Every estimator gets the same games
and at most the same number of distinct coalitions.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from llm_interp_widgets.methods import kernel_shap, shapley
from llm_interp_widgets.methods._enumeration import shapley_values
from llm_interp_widgets.methods._perturbation import Budget
from llm_interp_widgets.models.batches import Coalitions
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces

SAVED = Path(__file__).parents[2] / "build" / "games.npz"
FILLERS = (" the", "_", " something", " ...")
SEEDS = 3
BUDGET = 500
SHORT = (
    "As everyone knows, the capital of France is",
    "In this puzzle, the opposite of hot is",
    "The largest planet in the solar system is",
    "In chemistry, the symbol for gold is",
    "Two apples plus three apples are equal to",
    "Every morning my cat likes to drink some",
    "At sea level water freezes at zero degrees",
    "She was late, so she took a",
    "It was not a bad film; I",
    "He slowly opened the door with his",
    "To be, or not to be, that is the",
    "At dawn the sun rises in the",
    "Roses are red, and violets are",
    "They say an apple a day keeps the",
    "The first month of the year is",
)
LONG = (
    "When John and Mary went to the big store, John gave a",
    "A terrible film with a dull plot: my rating is very",
    "If it rains again tomorrow, we will all have to stay",
    "The old man and his dog walked slowly down to the",
)


class TableGame:
    """A game whose every value is known, as the methods and the peers ask it."""

    def __init__(self, values):
        self.table = values
        self.features = range(len(values).bit_length() - 1)
        self.fillers, self.asked = 1, set()

    @property
    def evaluations(self):
        return len(self.asked)

    def __call__(self, rows):
        which = np.atleast_2d(rows).astype(bool) @ (1 << np.arange(len(self.features)))
        self.asked |= set(which.tolist())
        return self.table[which]

    def each(self, rows, fillers):
        return self(rows)[:, None]

    def values(self, rows, filler=None):
        return self(rows)[:, None]

    def by_filler(self, rows):
        return self.values(rows)[None]

    def full(self):
        return self.table[-1:]

    def empty(self, filler=None):
        return self.table[:1]

    def truth(self):
        return shapley_values(self.table[:, None])[:, 0]


@pytest.fixture(scope="session")
def games(lm):
    """Short games, one a prompt and filler, and a few longer ones."""
    if not SAVED.exists():
        wanted = [(text, filler) for text in SHORT for filler in FILLERS]
        wanted += list(zip(LONG, FILLERS, strict=True))
        SAVED.parent.mkdir(exist_ok=True)
        np.savez(SAVED, *(every_value(lm, text, filler) for text, filler in wanted))
    with np.load(SAVED) as saved:
        return [saved[name] for name in saved.files]


def every_value(lm, text, filler):
    prompt = lm.encode(text)
    readouts = ask(None, lm, prompt).readouts
    game = Coalitions(lm, prompt, pieces(prompt, "token"), readouts, filler=filler)
    n = len(game.features)
    return game.values(((np.arange(2**n)[:, None] >> np.arange(n)) & 1).astype(bool))[:, 0]


# ── estimators: (game, budget, seed) -> Shapley values ────────────────────────


def last_partial(method, game, budget, seed, precision=None):
    task = SimpleNamespace(pieces=[SimpleNamespace(special=False)] * len(game.features), seed=seed)
    *_, last = method._sampled(task, game, Budget(budget, None), precision)
    return last


def ours(method):
    return lambda game, budget, seed: last_partial(method, game, budget, seed).scores[0]


def shap_kernel(game, budget, seed):
    import shap

    n = len(game.features)
    np.random.seed(seed)  # noqa: NPY002 - shap draws from there
    explainer = shap.KernelExplainer(game, np.zeros((1, n)))
    found = explainer.shap_values(np.ones((1, n)), nsamples=budget - 2, l1_reg=False, silent=True)
    return np.asarray(found).reshape(-1)


def shap_permutation(game, budget, seed):
    import shap

    n = len(game.features)
    masker = shap.maskers.Independent(np.zeros((1, n)), max_samples=1)
    explainer = shap.explainers.Permutation(game, masker, seed=seed)
    return explainer(np.ones((1, n)), max_evals=budget, silent=True).values[0]


def shapiqs(name, **options):
    def estimate(game, budget, seed):
        import shapiq.approximator

        home = shapiq.approximator
        kind = getattr(home if hasattr(home, name) else home.regression, name)
        estimator = kind(n=len(game.features), random_state=seed, **options)
        found = estimator.approximate(budget, lambda rows: game(rows) - game.table[0])
        return np.array([found[(i,)] for i in game.features])

    return estimate


ESTIMATORS = {
    "kernel_shap": ours(kernel_shap),
    "shapley": ours(shapley),
    "shap KernelExplainer": shap_kernel,
    "shap Permutation": shap_permutation,
    "shapiq KernelSHAP": shapiqs("KernelSHAP"),
    "shapiq KernelSHAP, paired": shapiqs("KernelSHAP", pairing_trick=True),
    "shapiq kADD-SHAP, order 2, paired": shapiqs("kADDSHAP", max_order=2, pairing_trick=True),
    "shapiq kADD-SHAP, order 3, paired": shapiqs("kADDSHAP", max_order=3, pairing_trick=True),
    "shapiq SVARM": shapiqs("SVARM"),
    "shapiq Unbiased KernelSHAP": shapiqs("UnbiasedKernelSHAP"),
    "shapiq stratified sampling": shapiqs("StratifiedSamplingSV"),
    "shapiq permutation sampling": shapiqs("PermutationSamplingSV"),
}


def _title(games, budget):
    pieces = sorted(len(values).bit_length() - 1 for values in games)
    return f"{len(games)} games of {pieces[0]}–{pieces[-1]} pieces, {budget}"


def error(found, truth):
    return float(np.abs(found - truth).mean() / np.abs(truth).max())


@pytest.fixture(autouse=True)
def _peers_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def test_error_at_equal_evaluations(games, report):
    pytest.importorskip("shap")
    pytest.importorskip("shapiq")
    tables = {
        _title(games[-len(LONG) :], f"{BUDGET} evaluations"): (games[-len(LONG) :], BUDGET),
        _title(games[: -len(LONG)], "half of 2ⁿ"): (games[: -len(LONG)], None),
    }
    lines = [
        "\n### Shapley values of SmolLM2: mean error, in % of the largest value\n",
        f"| estimator | {' | '.join(tables)} | most evaluations |",
        "|---|" + "---|" * (len(tables) + 1),
    ]
    for name, estimate in ESTIMATORS.items():
        cells, used = [], 0.0
        for some, budget in tables.values():
            errors = []
            for values in some:
                limit = budget or len(values) // 2
                for seed in range(SEEDS):
                    game = TableGame(values)
                    errors.append(error(estimate(game, limit, seed), game.truth()))
                    used = max(used, game.evaluations / limit)
            cells.append(f"{100 * np.mean(errors):.2f}")
        lines.append(f"| {name} | {' | '.join(cells)} | {100 * used:.0f} % |")
    report(lines)


def test_intervals_cover(games, report):
    """95 % intervals against exact values: with the budget spent, and stopped early."""
    lines = [
        f"\n### Coverage of 95 % intervals, {len(games)} games of SmolLM2, {SEEDS} seeds\n",
        "| method | a quarter of 2ⁿ | stopped at precision 0.1 | at 0.05 |",
        "|---|---|---|---|",
    ]
    for name, method in {"kernel_shap": kernel_shap, "shapley": shapley}.items():
        cells = []
        for precision in (None, 0.1, 0.05):
            inside = []
            for values in games:
                n = len(values).bit_length() - 1
                budget = max(len(values) // 4, 6 * n + 2) if precision is None else len(values) // 2
                for seed in range(SEEDS):
                    game = TableGame(values)
                    last = last_partial(method, game, budget, seed, precision)
                    if precision is not None and not last.converged:
                        continue
                    off = np.abs(last.scores[0] - game.truth())
                    inside.append(off <= 1.96 * last.standard_error[0] + 1e-6)
            cells.append(f"{100 * np.mean(np.concatenate(inside)):.1f} % of {len(inside)} runs")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    report(lines)
