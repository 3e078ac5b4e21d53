"""Collection: what words do across many texts, against pandas and by hand."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.collection import Collection
from llm_interp_widgets.results.result import ModelInfo
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


def test_numbers_of_texts_against_pandas(many):
    rng = np.random.default_rng(1)
    sums = [float(np.where([t.special for t in a.inputs], 0, a.scores[1]).sum()) for a in many]
    stars = np.round(np.array(sums) + rng.normal(size=60)).tolist()
    stars[3] = None
    noise = rng.normal(size=60)
    noise[4] = np.nan
    found = Collection.of(many).groups({"noise": noise, "stars": pd.Series(stars)}, output=1)
    frame = pd.DataFrame({"sum": sums, "stars": stars, "noise": noise}).astype(float)
    assert [g.name for g in found] == ["stars", "noise"]
    for group in found:
        own = frame.dropna(subset=[group.name])
        wanted = own["sum"].rank().corr(own[group.name].rank())
        assert group.correlation == pytest.approx(wanted, abs=1e-9)
        assert group.texts.tolist() == own.index.tolist()
        np.testing.assert_allclose(group.values, own[group.name])
        np.testing.assert_allclose(group.scores, own["sum"], rtol=1e-5)


def test_a_number_that_never_changes_goes_with_nothing(many):
    (row,) = Collection.of(many).groups({"year": [1999] * 60})
    assert np.isnan(row.correlation)
    assert np.isnan(Collection.of(many).groups()[0].correlation)


def test_texts_of_different_targets_go_by_no_name_of_one(many):
    """As by default, where each text is asked about its own label."""
    rome = Token("Rome", 1, 0, 0, position=0)
    one, two = (attribution(["a", "b"], [[1.0, 2.0]]) for _ in range(2))
    other = replace(two, outputs=(rome,), target="“Rome”", model=ModelInfo("n", None, "", ""))
    mixed = Collection.of([one, other])
    facts = {label: (value, level) for label, value, level in mixed.facts}
    assert mixed.outputs == ("",)
    assert facts["targets"] == ("2 different ones", "warn")
    assert facts["models"] == ("m, n", "warn")
    assert "target" not in facts
    alike = Collection.of([one, two])
    assert alike.outputs == ("no",)
    assert ("target", "yes", "plain") in alike.facts
    several = replace(many[0], outputs=(many[0].outputs[0], replace(rome, position=1)))
    assert Collection.of([many[1], several]).outputs == ("no", "output 2")


def test_bad_input(many):
    one = many[0]
    for others, words in [
        ([attribution(["a"], [[1.0]])], "number of outputs"),
        ([attribution(["a"], [[1.0], [2.0]], unit="prob")], "unit"),
        ([attribution(["a"], [[1.0], [2.0]], method="lime")], "method"),
    ]:
        with pytest.raises(ResultError, match=words):
            Collection.of([one, *others])
    with pytest.raises(ResultError, match="at least one"):
        Collection.of([])
    collection = Collection.of(many)
    for by, words in [
        ("letter", "position"), ({}, "groups"), ({"a": "good"}, "list of words"),
        ({"a": [1, "good"]}, "list of words"), ({1: ["good"]}, "list of words"),
        ({"a": ["good"], "b": [1.0] * 60}, "both"), ({"a": [1.0] * 59}, "59 numbers for 60"),
        ({"a": [None] * 60}, "no number"),
    ]:  # fmt: skip
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
    sizes = [None if i == 5 else len(a.inputs) // 2 for i, a in enumerate(many)]
    by = {
        "word": "word", "position": "position", "group": {"praise": ["good", "funny"]},
        "value": {"constant": [1.5] * 60, "length": sizes, "place": list(range(60))},
    }  # fmt: skip
    rows = {
        name: [
            [g.name, len(g.texts), *(round(float(np.nan_to_num(x)), 6) for x in (
                g.mean, g.mean_size, g.margin, g.correlation))]
            for g in collection.groups(how, output=1, least=2)
        ]
        for name, how in by.items()
    }  # fmt: skip
    golden = {"data": data, "values": by["value"], "rows": rows}
    text = json.dumps(golden, ensure_ascii=True, indent=1) + "\n"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        GOLDEN.write_text(text, encoding="utf-8")
    assert GOLDEN.read_text(encoding="utf-8") == text


def test_words_lose_at_their_ends_what_the_view_takes_off():
    words = ["\ufeffOne", "two\u2028", "\x1cthree", "four\x85", "\u3000"]
    found = Collection.of([attribution(words, [[1.0, 2.0, 3.0, 4.0, 5.0]])]).groups(least=1)
    assert {group.name for group in found} == {"one", "two", "\x1cthree", "four\x85"}
