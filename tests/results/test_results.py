"""Results: merging, saving, words; every number that goes in comes out."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.partial import Merged, Partial
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token

INPUTS = (
    Token("[CLS]", 1, 0, 0, special=True, position=0),
    Token("The", 5, 0, 3, position=1),
    Token(" 👩‍💻", 6, 3, 7, position=2, size=4),
)
OUTPUT = Token(" Paris", 9, 7, 13, position=6)


def attribution(**changes):
    numbers = {
        "scores": np.array([[0, 1.5, -0.25]], dtype=np.float32),
        "base_values": np.array([-3.0]),
        "output_values": np.array([-1.75]),
        "completeness_gap": np.array([0.0]),
        "standard_error": np.array([[0, 0.1, np.nan]], dtype=np.float32),
    }
    return Attribution(
        **(numbers | changes),
        inputs=INPUTS,
        outputs=(OUTPUT,),
        converged=True,
        method="shapley",
        params={"evaluations": 100, "filler": "auto"},
        target="“Paris”",
        unit="log_prob",
        prompt="The 👩‍💻",
        model=ModelInfo("tiny", None, "float32", "cpu"),
        seed=3,
        seconds=1.25,
        evaluations=99,
    )


def test_save_and_load_give_the_same(tmp_path):
    a = attribution()
    b = Attribution.load(a.save(tmp_path / "result"))
    for name in ("scores", "base_values", "output_values", "completeness_gap", "standard_error"):
        assert np.array_equal(getattr(a, name), getattr(b, name), equal_nan=True)
        assert getattr(a, name).dtype == getattr(b, name).dtype
    for name in ("inputs", "outputs", "method", "params", "target", "unit", "prompt", "model",
                 "seed", "seconds", "evaluations", "converged", "exact", "spread"):  # fmt: skip
        assert getattr(a, name) == getattr(b, name)
    assert list(tmp_path.iterdir()) == [tmp_path / "result"]


def test_a_saved_result_opens_without_torch(tmp_path):
    path = attribution().save(tmp_path / "a.npz")
    code = (
        "import sys, llm_interp_widgets as liw;"
        f"a = liw.Attribution.load({str(path)!r}); print(a);"
        "assert not {'torch', 'transformers', 'anywidget'} & set(sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "+1.5" in out.stdout


def test_a_result_is_a_view_again(tmp_path):
    a = attribution(exact=True)
    view = Attribution.load(a.save(tmp_path / "a")).as_partial()
    assert Merged.empty(1, 3).merge(view).scores.tolist() == a.scores.tolist()
    assert a.about().target == a.target


def test_saving_respects_the_umask(tmp_path):
    (tmp_path / "plain").write_text("x")
    saved = attribution().save(tmp_path / "a")
    assert saved.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_results_are_immutable():
    a = attribution()
    with pytest.raises(ValueError, match="read-only"):
        a.scores[0, 0] = 1
    with pytest.raises(AttributeError):
        a.seed = 4


def test_arrays_must_fit_the_tokens():
    with pytest.raises(ResultError, match=r"scores has shape \(1, 2\); the tokens need \(1, 3\)"):
        attribution(scores=np.zeros((1, 2)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 rubbish", b"\x80\x04K\x01."])
def test_damaged_files_are_refused(tmp_path, content):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(ResultError, match="not a saved attribution"):
        Attribution.load(tmp_path / "bad")


def test_missing_and_unwritable_say_so(tmp_path):
    with pytest.raises(ResultError, match="There is no file"):
        Attribution.load(tmp_path / "missing")
    with pytest.raises(ResultError, match="Choose another folder"):
        attribution().save(tmp_path / "no" / "such" / "folder")


def test_a_newer_format_is_refused(tmp_path):
    path = attribution().save(tmp_path / "a.npz")
    with np.load(path) as archive:
        data = dict(archive)
    header = json.loads(data["header"].tobytes()) | {"format": 99}
    data["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez(tmp_path / "new.npz", **data)
    with pytest.raises(ResultError, match="newer"):
        Attribution.load(tmp_path / "new.npz")


def test_pickles_are_never_read(tmp_path):
    np.savez(tmp_path / "evil.npz", header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ResultError):
        Attribution.load(tmp_path / "evil.npz")


def test_the_file_is_an_ordinary_archive(tmp_path):
    with zipfile.ZipFile(attribution().save(tmp_path / "a")) as archive:
        assert "header.npy" in archive.namelist()


def test_to_shap():
    pytest.importorskip("shap")
    e = attribution().to_shap()
    assert e.values.tolist() == [0, 1.5, -0.25]
    assert e.base_values == -3
    assert list(e.data) == [t.text for t in INPUTS]


def test_to_frame():
    pytest.importorskip("pandas")
    frame = attribution().to_frame()
    assert len(frame) == 3
    assert frame.loc[2, ["text", "score", "position"]].tolist() == [" 👩‍💻", -0.25, 2]
    assert frame["standard_error"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"exact": True}, "exact"),
        ({"converged": True}, "converged"),
        ({"converged": False}, "did not converge"),
        ({"converged": None}, "unknown"),
        ({"cancelled": True}, "still moving"),
    ],
)
def test_verdict(changes, verdict):
    assert replace(attribution(), **changes).verdict == verdict


# ── merging ───────────────────────────────────────────────────────────────────


def rows(*values, **more):
    return Partial(scores=np.array(values, dtype=np.float32), **more)


def test_rows_replace_and_a_replay_is_harmless():
    merged = Merged.empty(3, 2)
    assert np.isnan(merged.scores).all()
    once = merged.merge(rows([1, 2], row=1))
    twice = once.merge(rows([1, 2], row=1))
    assert np.array_equal(once.scores, twice.scores, equal_nan=True)
    assert np.isnan(once.scores[[0, 2]]).all()
    assert np.isnan(merged.scores).all()
    assert once.merge(rows([5, 6], [7, 8], row=1)).scores[1:].tolist() == [[5, 6], [7, 8]]


def test_completeness_gap():
    merged = Merged.empty(1, 2).merge(
        rows([1, 2], base_values=np.array([1.0]), output_values=np.array([5.0]))
    )
    assert merged.completeness_gap == pytest.approx([0.25])


# ── words ─────────────────────────────────────────────────────────────────────

ABOUT = describe.About(
    prompt="The 👩‍💻", inputs=INPUTS, outputs=(OUTPUT,), target="“Paris”", unit="log_prob",
    method="shapley", title="Shapley values", caution="", off="“_”", granularity="token", params={},
    model=ModelInfo("tiny", None, "float32", "cpu"), seed=0,
)  # fmt: skip


def test_sentence_names_the_strongest_and_its_opponent():
    merged = Merged.empty(1, 3).merge(rows([0, 1.5, -0.4]))
    text = describe.sentence(ABOUT, merged)
    assert text.startswith("“The” pushed hardest towards “Paris” (+1.5 log-probability)")
    assert "the other way (−0.4)" in text


def test_sentence_keeps_silent_while_a_score_is_missing_and_about_special_tokens():
    partial = Merged.empty(1, 3).merge(rows([0, 1.5, np.nan]))
    assert describe.sentence(ABOUT, partial) == ""
    special = Merged.empty(1, 3).merge(rows([9, 1.5, 0.1]))
    assert describe.sentence(ABOUT, special).startswith("“The” pushed hardest")


def test_sentence_names_no_winner_where_intervals_overlap():
    error = np.array([[0, 0.2, 0.2]], dtype=np.float32)
    merged = Merged.empty(1, 3).merge(rows([0, 1.5, 1.4], standard_error=error))
    assert describe.sentence(ABOUT, merged) == "“The” and “👩‍💻” pushed most towards “Paris”."


def test_sentence_claims_nothing_the_noise_does_not_allow():
    error = np.array([[0, 1.0, 1.0]], dtype=np.float32)
    merged = Merged.empty(1, 3).merge(rows([0, 1.5, -0.4], standard_error=error))
    assert "pushed" not in describe.sentence(ABOUT, merged)
    preview = Merged.empty(1, 3).merge(rows([0, 1.5, -0.4], preview=True))
    assert describe.sentence(ABOUT, preview) == ""
    assert describe.sentence(ABOUT, Merged.empty(1, 3)) == ""


@pytest.mark.parametrize(
    ("gap", "level"), [(0.0, "plain"), (0.05, "plain"), (0.06, "warn"), (0.21, "bad")]
)
def test_gap_levels(gap, level):
    assert describe.gap_level(gap) == level


@pytest.mark.parametrize(
    ("value", "text"), [(-1.2345, "−1.23"), (0.00012345, "0.000123"), (float("nan"), "unknown")]
)
def test_numbers_have_three_digits(value, text):
    assert describe.number(value) == text


def test_facts_tell_the_whole_story():
    merged = Merged.empty(1, 3).merge(
        rows(
            [0, 1, 2],
            base_values=np.array([-4.0]),
            output_values=np.array([0.0]),
            evaluations=50,
            total=50,
        )
    )
    facts = {label: (value, level) for label, value, level in describe.facts(ABOUT, merged)}
    assert facts["completeness gap"] == ("25 %", "bad")
    assert facts["model evaluations"][0] == "50"
    assert set(facts) >= {"method", "target", "switched off by", "seed", "model"}
