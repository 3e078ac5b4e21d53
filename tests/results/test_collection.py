"""Collection: what words do across many texts, against pandas and by hand."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.results.attribution import Attribution, ModelInfo
from llm_interp_widgets.results.collection import Collection
from llm_interp_widgets.text.tokens import Token

GOLDEN = Path(__file__).resolve().parent / "golden_collection.json"
WORDS = ["good", "Bad", "film", "a", "👩‍💻", "</script>", "не", "funny"]


def attribution(words, scores, errors=None, special=(), **more):
    tokens, at = [], 0
    for i, word in enumerate(words):
        text = word if i == 0 else f" {word}"
        tokens.append(Token(text, i, at, at + len(text), special=i in special, position=i))
        at += len(text)
    outputs = tuple(Token(name, i, at, at, position=i) for i, name in enumerate(("no", "yes")))
    scores = np.array(scores, dtype=np.float32)
    given = {
        "scores": scores, "inputs": tuple(tokens), "outputs": outputs[: len(scores)],
        "base_values": np.zeros(len(scores)), "output_values": scores.sum(1),
        "completeness_gap": np.zeros(len(scores)), "standard_error": errors,
        "method": "owen", "title": "Owen values", "target": "yes", "unit": "logit",
        "prompt": "".join(token.text for token in tokens),
        "model": ModelInfo("m", None, "float32", "cpu"), "seed": 0, "seconds": 1.0,
        "evaluations": 10, "converged": True,
    }  # fmt: skip
    return Attribution(**given | more)


@pytest.fixture
def many():
    rng = np.random.default_rng(0)
    found = []
    for _ in range(60):
        words = list(rng.choice(WORDS, rng.integers(3, 12)))
        scores = rng.normal(size=(2, len(words)))
        errors = np.abs(rng.normal(scale=0.3, size=(2, len(words)))).astype(np.float32)
        found.append(attribution(words, scores, errors, special={0}))
    return found


@pytest.mark.parametrize("output", [0, 1])
def test_words_against_pandas(many, output):
    frame = pd.concat(a.to_frame().assign(text_id=i) for i, a in enumerate(many))
    frame = frame[(frame.output == output) & ~frame.special]
    frame["word"] = frame.text.str.strip().str.lower()
    dots = frame.groupby(["word", "text_id"]).score.agg(["sum", "count"]).reset_index()
    size = dots.assign(size=dots["sum"].abs()).groupby("word")["size"]
    wanted = pd.DataFrame({"size": size.mean(), "margin": 1.96 * size.sem(), "n": size.count()})
    found = Collection.of(many).groups(output=output, least=1)
    assert [g.name for g in found] == list(wanted.sort_values("size", ascending=False).index)
    for group in found:
        row = wanted.loc[group.name]
        assert group.mean_size == pytest.approx(row["size"], rel=1e-6)
        assert group.margin == pytest.approx(row["margin"], rel=1e-6)
        own = dots[dots.word == group.name]
        assert group.texts.tolist() == own.text_id.tolist()
        np.testing.assert_allclose(group.scores, own["sum"], rtol=1e-6)
        assert group.counts.tolist() == own["count"].tolist()


def test_positions_cover_every_piece_once(many):
    collection = Collection.of(many)
    groups = collection.groups("position")
    whole = sum(group.scores.sum() for group in groups)
    features = np.where(collection.special, 0, collection.scores[0]).sum()
    assert whole == pytest.approx(float(features), rel=1e-5)
    assert {group.name.split()[0] for group in groups} <= {
        f"{a}–{a + 10}" for a in range(0, 100, 10)
    }


def test_groups_of_words_add_up_within_a_text():
    a = attribution(["good", "film", "Funny", "bad"], [[1, 2, 3, -5]])
    praise, rest = Collection.of([a]).groups({"praise": ["Good", " funny"], "blame": ["bad"]})[::-1]
    assert (praise.name, praise.scores.tolist(), praise.counts.tolist()) == ("praise", [4.0], [2])
    assert (rest.name, rest.scores.tolist()) == ("blame", [-5.0])
    assert np.isnan(praise.margin)


def test_rare_words_are_left_out_by_default(many):
    rare = attribution(["unique", "good"], [[99, 0], [99, 0]], np.zeros((2, 2), np.float32))
    collection = Collection.of([*many, rare])
    assert "unique" not in {group.name for group in collection.groups()}
    assert collection.groups(least=1)[0].name == "unique"


def test_facts_say_how_many_did_not_converge(many):
    off = attribution(["a", "b"], [[1, 2], [3, 4]], converged=False)
    facts = {label: (value, level) for label, value, level in Collection.of([*many, off]).facts}
    assert facts["did not converge"] == ("1 of 61", "warn")
    assert facts["converged"] == ("60 of 61", "plain")


def test_bad_input(many):
    one = many[0]
    for others, words in [
        ([attribution(["a"], [[1.0]])], "number of outputs"),
        ([attribution(["a"], [[1.0], [2.0]], unit="prob")], "unit"),
        ([attribution(["a"], [[1.0], [2.0]], method="lime")], "method"),
        ([attribution(["a"], [[1.0], [2.0]], target="no")], "target"),
    ]:
        with pytest.raises(ResultError, match=words):
            Collection.of([one, *others])
    with pytest.raises(ResultError, match="at least one"):
        Collection.of([])
    collection = Collection.of(many)
    for by, words in [("letter", "position"), ({}, "groups"), ({"a": "good"}, "list of words")]:
        with pytest.raises(ParameterError, match=words):
            collection.groups(by)
    with pytest.raises(ParameterError, match="output"):
        collection.groups(output=2)


def test_the_browsers_golden_file(many):
    """What vitest holds the front end's grouping to."""
    from base64 import b64encode

    from llm_interp_widgets.widgets.beeswarm import packed

    collection = Collection.of(many)
    data = {
        key: b64encode(value).decode() if isinstance(value, bytes) else value
        for key, value in packed(collection).items()
    }
    by = {"word": "word", "position": "position", "group": {"praise": ["good", "funny"]}}
    rows = {
        name: [
            [g.name, len(g.texts), round(g.mean, 6), round(g.mean_size, 6), round(g.margin, 6)]
            for g in collection.groups(how, output=1, least=2)
        ]
        for name, how in by.items()
    }
    text = json.dumps({"data": data, "rows": rows}, ensure_ascii=True, indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == text
