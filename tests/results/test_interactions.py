"""Interaction results: what goes in comes out, in memory, in a table and from a file."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.interactions import Interactions, completeness_gap
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token

INPUTS = (
    Token("[CLS]", 1, 0, 0, special=True, position=0),
    Token("not", 5, 0, 3, position=1),
    Token(" bad", 6, 3, 7, position=2),
    Token(" film", 7, 7, 12, position=3, size=4),
)
VALUES = np.array([[[0, 0, 0, 0], [0, 1, -3, 0.5], [0, -3, 2, 2.5], [0, 0.5, 2.5, 0.25]]])
ARRAYS = ("values", "base_values", "output_values", "completeness_gap")


def interactions(**changes):
    given = {
        "values": VALUES,
        "inputs": INPUTS,
        "outputs": (Token(" good", 9, 11, 16, position=7),),
        "base_values": np.array([-3.0]),
        "output_values": np.array([0.25]),
        "completeness_gap": np.array([0.0]),
        "index": "k-SII",
        "off": "“the”",
        "params": {"index": "k-SII", "filler": [" the"]},
        "target": "“good”",
        "unit": "log_prob",
        "prompt": "not bad film",
        "model": ModelInfo("tiny", None, "float32", "cpu"),
        "seconds": 1.25,
        "evaluations": 8,
    }
    return Interactions(**(given | changes))


@pytest.mark.parametrize("gap", [np.array([0.5]), None])
def test_save_and_load_give_the_same(tmp_path, gap):
    a = interactions(completeness_gap=gap, note="check")
    b = Interactions.load(a.save(tmp_path / "result"))
    for name in a.__dataclass_fields__:
        if name in ARRAYS and getattr(a, name) is not None:
            assert np.array_equal(getattr(a, name), getattr(b, name))
            assert getattr(a, name).dtype == getattr(b, name).dtype
        else:
            assert getattr(a, name) == getattr(b, name)
    assert list(tmp_path.iterdir()) == [tmp_path / "result"]


def test_saved_interactions_open_without_torch(tmp_path):
    path = interactions().save(tmp_path / "a.npz")
    code = (
        "import sys, llm_interp_widgets as liw;"
        f"a = liw.Interactions.load({str(path)!r}); print(a.top(1));"
        "assert not {'torch', 'transformers', 'anywidget'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout == "[(1, 2, -3.0)]\n"


def test_a_file_of_another_kind_is_refused(tmp_path):
    path = interactions().save(tmp_path / "a")
    with pytest.raises(ResultError, match=r"another kind \(interaction matrix\)"):
        Attribution.load(path)
    (tmp_path / "bad").write_bytes(b"PK\x03\x04 rubbish")
    with pytest.raises(ResultError, match="not a saved interaction matrix"):
        Interactions.load(tmp_path / "bad")


def test_top_lists_each_pair_once_strongest_first():
    a = interactions()
    assert a.top(2) == [(1, 2, -3.0), (2, 3, 2.5)]
    assert a.top() == [(1, 2, -3.0), (2, 3, 2.5), (1, 3, 0.5)]
    two = interactions(
        values=np.concatenate([VALUES, 2 * VALUES]),
        outputs=a.outputs * 2,
        base_values=np.zeros(2),
        output_values=np.ones(2),
        completeness_gap=None,
    )
    assert two.top(1, output=1) == [(1, 2, -6.0)]


@pytest.mark.parametrize(
    "given", [{"n": 0}, {"n": 1.5}, {"n": True}, {"output": 1}, {"output": -1}]
)
def test_top_refuses_what_is_not_there(given):
    with pytest.raises(ParameterError, match=r"must be|does not exist"):
        interactions().top(**given)


def test_to_frame_has_a_row_for_each_pair():
    pytest.importorskip("pandas")
    frame = interactions().to_frame()
    assert frame["value"].tolist() == [1, -3, 0.5, 2, 2.5, 0.25]
    assert frame.loc[1, ["input", "text", "other", "other_text"]].tolist() == [1, "not", 2, " bad"]


def test_repr_is_one_line():
    assert repr(interactions()) == (
        "<Interactions k-SII of “good” (log_prob): 'not' × ' bad' -3, ' bad' × ' film' +2.5, "
        "'not' × ' film' +0.5; exact, 8 evaluations>"
    )
    one = interactions(values=np.ones((1, 1, 1)), inputs=INPUTS[1:2])
    assert "no pairs" in repr(one)


def test_results_are_immutable():
    a = interactions()
    with pytest.raises(ValueError, match="read-only"):
        a.values[0, 0, 0] = 1
    with pytest.raises(AttributeError):
        a.index = "SII"
    assert replace(a, seconds=2.0).seconds == 2


def test_arrays_must_fit_and_be_symmetric():
    with pytest.raises(ResultError, match=r"values has shape \(1, 2, 2\); the tokens need"):
        interactions(values=np.zeros((1, 2, 2)))
    with pytest.raises(ResultError, match="symmetric"):
        interactions(values=np.arange(16.0).reshape(1, 4, 4))


def test_completeness_counts_each_pair_once():
    # Diagonal 3.25 and pairs 0: 3.25 of the 3.25 between base and output, then of 6.5.
    values = VALUES.astype(np.float32)
    assert completeness_gap(values, np.array([-3.0]), np.array([0.25])) == pytest.approx([0])
    assert completeness_gap(values, np.array([-3.0]), np.array([3.5])) == pytest.approx([0.5])
    assert completeness_gap(values + 1, np.array([0.0]), np.array([13.25])) == pytest.approx([0])
