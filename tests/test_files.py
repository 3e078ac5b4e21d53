"""Files that anyone may have made: each opens as something whole, or raises ResultError."""

from __future__ import annotations

import io
import json
import random
import re
import time
import tracemalloc
import warnings
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import llm_interp_widgets as liw
from llm_interp_widgets.errors import ParameterError, ResultError
from llm_interp_widgets.export._fallback import plain_text
from llm_interp_widgets.jobs import Progress
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.collection import Collection
from llm_interp_widgets.results.interactions import Interactions
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.results.partial import Merged
from llm_interp_widgets.results.result import ModelInfo
from llm_interp_widgets.text.tokens import Token
from llm_interp_widgets.widgets import beeswarm, lime_view
from llm_interp_widgets.widgets._feed import snapshot
from llm_interp_widgets.widgets._texts import Texts

MUTANTS = 1_000
SECONDS = 30
TEXT = "The 👩‍💻 is"
INPUTS = (
    Token("[CLS]", 1, 0, 0, special=True, position=0),
    Token("The", 5, 0, 3, role="user", position=1),
    Token(" 👩‍💻", 6, 3, 7, role="user", position=2, size=4),
    Token(" is", 7, 7, 10, position=6),
)
OUTPUTS = (Token(" Paris", 9, 10, 16, position=7), Token(" Rome", 8, 10, 15, position=7))
COMMON = {
    "inputs": INPUTS,
    "outputs": OUTPUTS,
    "base_values": np.array([-3.0, -2.5]),
    "output_values": np.array([-1.75, -2.0]),
    "completeness_gap": np.array([0.0, 0.5]),
    "off": "“_”",
    "note": "a note",
    "params": {"filler": ["_", " the"], "evaluations": 64, "precision": None, "seconds": 2.5},
    "target": "“Paris”",
    "unit": "log_prob",
    "prompt": TEXT,
    "model": ModelInfo("tiny", "main", "float32", "cpu"),
    "seconds": 1.25,
    "evaluations": 99,
}


def attribution():
    rng = np.random.default_rng(0)
    return Attribution(
        **COMMON,
        scores=rng.normal(size=(2, 4)),
        standard_error=rng.uniform(size=(2, 4)),
        spread=rng.uniform(size=(2, 4)),
        fit=np.array([0.5, np.nan]),
        neighbourhood=Neighbourhood(
            masks=rng.uniform(size=(6, 3)) < 0.5,
            values=rng.normal(size=(6, 2)),
            proximity=rng.uniform(size=6),
            intercept=rng.normal(size=2),
        ),
        without=("Without “The” it would still have said “Paris”.", ""),
        method="lime",
        title="LIME",
        seed=3,
        additive=False,
        converged=True,
    )


def pairs():
    values = np.random.default_rng(0).normal(size=(2, 4, 4))
    return Interactions(**COMMON, values=values + values.swapaxes(1, 2), index="k-SII")


@pytest.fixture(scope="module")
def records(tiny_lm):
    """Every part that a record can have: values, slopes, sinks, biases, tables, masks."""
    import torch

    padded = {"input_ids": torch.arange(9, 21)[None], "attention_mask": torch.ones(1, 12).long()}
    padded["attention_mask"][0, [2, 5]] = 0
    return [
        liw.attention(tiny_lm("llama"), TEXT, " Paris"),
        liw.attention(tiny_lm("gpt_oss"), TEXT),
        liw.attention(tiny_lm("t5"), TEXT, values=True),
        liw.attention(tiny_lm("bloom"), TEXT),
        liw.attention(tiny_lm("llama").model, padded),
    ]


# ── what is whole can be shown, and saved again ───────────────────────────────


def use_attribution(a, folder):
    assert repr(a)
    look = Progress("done", Merged.empty(*a.scores.shape).merge(a.as_partial()), range(0), 0.0)
    state = {"snapshot": snapshot(a.about(), "job", look, 0)}
    json.dumps(state, default=len, allow_nan=False).encode()
    assert plain_text(state)
    lime_view.packed(a.about(), look.merged)
    beeswarm.packed(Collection.of([a, a]))
    again = Attribution.load(a.save(folder / "again"))
    assert np.array_equal(again.scores, a.scores, equal_nan=True)
    assert (again.inputs, again.params, again.seed) == (a.inputs, a.params, a.seed)


def use_interactions(a, folder):
    assert repr(a)
    assert len(a.top(3)) <= 3
    again = Interactions.load(a.save(folder / "again"))
    assert np.array_equal(again.values, a.values, equal_nan=True)


def use_record(r, folder):
    assert repr(r)
    whole = r.weights(-1, 0)
    assert np.isfinite(whole).all()
    assert (whole >= 0).all()
    for how in ("mean", "max"):
        assert np.isfinite(r.aggregate(how)).all()
    assert r.thumbnails(4).shape[:2] == (r.layers, r.heads)
    assert np.isfinite(r.sums(0, -1).received).all()
    r.top_edges(0, 0, 3)
    r.rule(0)
    json.dumps(Texts(r).subject("…"), default=len, allow_nan=False).encode()
    again = liw.AttentionRecord.load(r.save(folder / "again"))
    assert np.array_equal(again.weights(-1, 0), whole)
    assert again.tokens == r.tokens


# ── mutants ───────────────────────────────────────────────────────────────────

WRONG = [
    True, None, -1, 0, 1.5, 10**400, -(2**70), 2**63, 1e300, "", "text", "\ud800", "../../evil",
    [], {}, [[]], {"a": 1}, [None], ["text"], [True, 1],
]  # fmt: skip
RAW = ["NaN", "Infinity", "-Infinity", "1e999", "[" * 100_000 + "]" * 100_000, '{"a": 1, "a": 2}']
DTYPES = ["f2", "f4", "f8", "i8", "u1", "b1", "c16", "U3"]
EXTREMES = [np.nan, np.inf, -np.inf, 3e38, -1e39, 1e10]
PICKLE = b"cos\nsystem\n(S'touch executed'\ntR."


def npy(array, **options):
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asanyarray(array), **options)
    return file.getvalue()


def head(text, data=b""):
    raw = text.encode()
    return b"\x93NUMPY\x01\x00" + len(raw).to_bytes(2, "little") + raw + data


def members(content):
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(one.filename, archive.read(one)) for one in archive.infolist()]


def packed(parts, compression=zipfile.ZIP_DEFLATED, level=1):
    file = io.BytesIO()
    with (
        zipfile.ZipFile(file, "w", compression, compresslevel=level) as archive,
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # a name that stands twice
        for name, data in parts:
            archive.writestr(name, data)
    return file.getvalue()


def paths(value, at=()):
    """Every place of a JSON value."""
    yield at
    if isinstance(value, dict | list):
        for key, one in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths(one, (*at, key))


def header_of(parts):
    return json.loads(np.load(io.BytesIO(dict(parts)["header.npy"])).tobytes())


def with_header(parts, text):
    raw = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
    parts = [(n, npy(raw) if n == "header.npy" else d) for n, d in parts]
    return packed(parts, zipfile.ZIP_STORED)


def replaced(value, path, new):
    """The same JSON with another value in one place; ``KeyError`` takes the place away."""
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    if new is KeyError and len(path) == 1:
        del copy[path[0]]
    else:
        copy[path[0]] = replaced(copy[path[0]], path[1:], new)
    return copy


def bytes_changed(content, rng):
    raw = bytearray(content)
    at = rng.randrange(len(raw))
    match rng.randrange(6):
        case 0:
            for _ in range(rng.choice([1, 1, 2, 20])):
                raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
        case 1:
            del raw[at:]
        case 2:
            del raw[at : at + rng.randrange(1, 200)]
        case 3:
            raw[at:at] = rng.randbytes(rng.randrange(1, 200))
        case 4:
            raw[at : at + rng.randrange(1, 60)] = bytes(rng.randrange(1, 60))
        case 5:  # the table of contents, where sizes and names are
            start = raw.rfind(b"PK\x01\x02")
            raw[rng.randrange(max(0, start), len(raw))] = rng.randrange(256)
    return bytes(raw)


def members_changed(content, rng):
    parts = members(content)
    i, j = rng.randrange(len(parts)), rng.randrange(len(parts))
    (name, data), (other, more) = parts[i], parts[j]
    compression = zipfile.ZIP_DEFLATED
    match rng.randrange(9):
        case 0:
            del parts[i]
        case 1:
            parts[i] = (rng.choice(["../evil.npy", "/etc/evil.npy", "x.npy", "header", " "]), data)
        case 2:
            parts.append((name, rng.choice([data, more])))
        case 3:
            parts[i], parts[j] = (name, more), (other, data)
        case 4:
            parts[i] = (name, b"")
        case 5:
            parts.append((rng.choice(["extra.npy", "calls.0:q:float32.npy", "a/../b.npy"]), data))
        case 6:
            parts[i] = (name, data[: rng.randrange(len(data))])
        case 7:
            parts[i] = (name, rng.choice([PICKLE, b"\x80\x04K\x01.", rng.randbytes(200)]))
        case 8:
            compression = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    return packed(parts, compression)


def arrays_changed(content, rng):
    parts = members(content)
    i = rng.randrange(len(parts))
    name, data = parts[i]
    array = np.load(io.BytesIO(data))
    shape = array.shape
    with np.errstate(all="ignore"):
        new = rng.choice([
            lambda: npy(array.astype(rng.choice(DTYPES))),
            lambda: npy(array.astype(array.dtype.newbyteorder(">"))),
            lambda: npy(np.asfortranarray(array)),
            lambda: npy(array.astype(object), allow_pickle=True),
            lambda: npy(array.T),
            lambda: npy(array.reshape(-1)),
            lambda: npy(array[None]),
            lambda: npy(array[:-1] if array.ndim else array),
            lambda: npy(np.concatenate([array, array]) if array.ndim else array),
            lambda: npy(array[:0] if array.ndim else array),
            lambda: npy(np.array(3, array.dtype)),
            lambda: npy(np.zeros((0,) * 5, array.dtype)),
            lambda: npy(filled(array, rng.choice(EXTREMES), rng)),
            lambda: npy(filled(array, rng.choice([-1, 0, 1, 100, 2**62]), rng)),
            lambda: npy(array.view([("a", array.dtype)])),
            lambda: npy(array, version=(2, 0)),
            lambda: head(f"{{'descr': '<f4', 'fortran_order': False, 'shape': (-1, {2**40}), }}\n"),
            lambda: head(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({2**48},), }}\n"),
            lambda: head(f"{{'descr': '<f8', 'fortran_order': True, 'shape': {shape}, }}\n", data),
            lambda: head("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", PICKLE),
            lambda: head("__import__('os').system('touch executed')\n", data),
            lambda: head("{'descr': '<f4', 'fortran_order': False, 'shape': (1L, 2), }\n", data),
            lambda: head(r"'\d'" + "(" * 900 + "\n"),
        ])()  # fmt: skip
    parts[i] = (name, new)
    return packed(parts)


def filled(array, value, rng):
    copy = np.array(array).reshape(-1)
    if copy.size:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            copy[rng.randrange(copy.size)] = np.array(value).astype(copy.dtype)
    return copy.reshape(array.shape)


def words_changed(content, rng):
    parts = members(content)
    header = header_of(parts)
    path = rng.choice(list(paths(header))[1:])
    match rng.randrange(4):
        case 0:
            marked = json.dumps(replaced(header, path, "@@"))
            return with_header(parts, marked.replace('"@@"', rng.choice(RAW)))
        case 1:
            return with_header(parts, json.dumps(replaced(header, path, KeyError)))
        case 2:
            return with_header(parts, json.dumps(header | {rng.choice(["x", "__class__"]): 1}))
        case _:
            new = json.dumps(replaced(header, path, rng.choice(WRONG)))
            return with_header(parts, new)


CHANGES = (bytes_changed, members_changed, arrays_changed, words_changed)


def opened(load, use, content, path):
    """Return 1 if a file opens, and works; 0 if it is refused."""
    path.write_bytes(content)
    try:
        found = load(path)
    except ResultError:
        return 0
    use(found, path.parent)
    return 1


def check(load, use, contents, path, monkeypatch, count=MUTANTS):
    monkeypatch.chdir(path.parent)
    rng, begun, whole = random.Random(6), time.process_time(), 0
    for content in contents:
        assert opened(load, use, content, path), "the file itself is fine"
    for number in range(count):
        mutant = CHANGES[number % len(CHANGES)](contents[number % len(contents)], rng)
        whole += opened(load, use, mutant, path)
    assert 0 < whole < count / 2  # most are refused, and some changes are harmless
    assert not Path("executed").exists()
    assert {p.name for p in path.parent.iterdir()} <= {path.name, "again"}
    assert time.process_time() - begun < SECONDS


@pytest.fixture
def path(tmp_path):
    return tmp_path / "mutant.npz"


@pytest.mark.slow
def test_a_thousand_mutated_attributions(path, monkeypatch):
    content = attribution().save(path).read_bytes()
    check(Attribution.load, use_attribution, [content], path, monkeypatch)


@pytest.mark.slow
def test_a_thousand_mutated_interactions(path, monkeypatch):
    content = pairs().save(path).read_bytes()
    check(Interactions.load, use_interactions, [content], path, monkeypatch)


@pytest.mark.slow
def test_a_thousand_mutated_records(records, path, monkeypatch):
    contents = [r.save(path).read_bytes() for r in records]
    kinds = {n.split(":")[1] for c in contents for n, _ in members(c) if ":" in n}
    assert kinds >= {"q", "k", "v", "sinks", "table", "slope", "bias", "first", "stop", "seen"}
    check(liw.AttentionRecord.load, use_record, contents, path, monkeypatch)


@pytest.mark.slow
@pytest.mark.parametrize("made", [attribution, pairs])
def test_a_wrong_value_in_every_place_of_the_header(made, path):
    result = made()
    use = use_attribution if made is attribution else use_interactions
    parts = members(result.save(path).read_bytes())
    header = header_of(parts)
    typed, places = 0, list(paths(header))
    for at in places:
        for new in WRONG:
            changed = json.dumps(replaced(header, at, new))
            typed += 1 - opened(type(result).load, use, with_header(parts, changed), path)
    assert typed > len(places) * len(WRONG) / 2


@pytest.mark.parametrize("name", ["format", "seed", "scores", "inputs"])
def test_booleans_are_no_numbers_and_parts_may_not_lack(name, path):
    parts = members(attribution().save(path).read_bytes())
    header = header_of(parts)
    if name in header:
        path.write_bytes(with_header(parts, json.dumps(header | {name: True})))
    else:
        path.write_bytes(packed([one for one in parts if one[0] != f"{name}.npy"]))
    with pytest.raises(ResultError):
        Attribution.load(path)


# ── bombs, and limits that can be raised ──────────────────────────────────────


def bomb(parts, name, size):
    zeros = head(
        f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({size // 4},), }}\n", bytes(size)
    )
    return packed([one for one in parts if one[0] != name] + [(name, zeros)], level=6)


def test_a_zip_bomb_takes_no_memory(path):
    parts = members(attribution().save(path).read_bytes())
    path.write_bytes(bomb(parts, "scores.npy", 300 << 20))
    assert path.stat().st_size < 1 << 20
    tracemalloc.start()
    try:
        with pytest.raises(ResultError, match=r"unpacks to 314,.* are allowed.*limit=314"):
            Attribution.load(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_what_is_large_for_good_opens_with_a_limit(path):
    content = attribution().save(path).read_bytes()
    size = sum(len(data) for _, data in members(content))
    with pytest.raises(ResultError, match=f"limit={size}"):
        Attribution.load(path, limit=size - 1)
    assert Attribution.load(path, limit=size).seed == 3
    for wrong in (0, -1, True, 1.5, "1"):
        with pytest.raises(ParameterError, match="limit="):
            Attribution.load(path, limit=wrong)


def test_a_member_that_says_it_is_larger_than_it_is(path):
    content = bytearray(attribution().save(path).read_bytes())
    at = content.rfind(b"PK\x01\x02")
    content[at + 24 : at + 28] = (250 << 20).to_bytes(4, "little")  # its size, as declared
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(ResultError):
            Attribution.load(path)
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_table_of_contents_of_a_million_members(path):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.npy", b"")
    content = file.getvalue()
    at = content.rfind(b"PK\x01\x02")
    entry, end = content[at:-22], bytearray(content[-22:])
    many = 200_000
    end[8:12] = (0xFFFF).to_bytes(2, "little") * 2
    end[12:16] = (len(entry) * many).to_bytes(4, "little")
    path.write_bytes(content[:at] + entry * many + bytes(end))
    tracemalloc.start()
    try:
        with pytest.raises(ResultError):
            Attribution.load(path)
        assert tracemalloc.get_traced_memory()[1] < 6 << 20
    finally:
        tracemalloc.stop()


def test_texts_of_the_header_have_a_limit_of_their_own(path):
    a = attribution()
    parts = members(a.save(path).read_bytes())
    header = header_of(parts) | {"note": "x" * (17 << 20)}
    path.write_bytes(with_header(parts, json.dumps(header)))
    with pytest.raises(ResultError, match="limit="):
        Attribution.load(path)
    assert len(Attribution.load(path, limit=64 << 20).note) == 17 << 20


def test_what_cannot_be_opened_again_is_not_saved(path):
    from dataclasses import replace

    with pytest.raises(ResultError, match="surrogate"):
        replace(attribution(), note="\udc80").save(path)
    assert not path.exists()
    endless = replace(attribution(), params={"seconds": float("inf"), "of": [float("nan")]})
    assert Attribution.load(endless.save(path)).params == {"seconds": "inf", "of": ["nan"]}


def test_folders_devices_and_locked_files(tmp_path):
    for what in (tmp_path, Path("/dev/null")):
        with pytest.raises(ResultError, match="not a saved attribution"):
            Attribution.load(what)


# ── results of peers ──────────────────────────────────────────────────────────


class Odd:
    """Answers everything, and nothing rightly."""

    def __init__(self, rng):
        self._rng = rng

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return junk(self._rng)


def junk(rng, depth=0):
    """Any value at all."""
    flat = [
        None, True, False, 0, -1, 2**70, 10**400, 1.5, float("nan"), float("inf"), -1e300, "", "a",
        "\ud800", "<script>", b"bytes", object(), np.float32(1), np.zeros((2, 0)), np.array("x"),
        np.array([None, "a"], dtype=object), np.array(["a", "b"]), np.ones((3, 2)), 1j, range(3),
    ]  # fmt: skip
    kind = rng.randrange(8) if depth < 3 else 0
    if kind == 1:
        return [junk(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 2:
        names = ["values", "data", "type", "a", 0, 1, None]
        return {rng.choice(names): junk(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind == 3:
        return tuple(junk(rng, depth + 1) for _ in range(rng.randrange(4)))
    return rng.choice(flat)


def test_a_thousand_odd_explanations_of_peers(tmp_path):
    rng, whole = random.Random(6), 0
    fine = {"values": np.ones(2), "base_values": 0.5, "data": ["a ", "b"], "output_names": None}
    for number in range(MUTANTS):
        given = {**fine, rng.choice(list(fine)): junk(rng)}
        odd = [SimpleNamespace(**given), Odd(rng), junk(rng)][number % 3]
        for take in (liw.Attribution.from_shap, liw.Attribution.from_lime):
            try:
                found = take(odd)
            except ResultError:
                continue
            whole += 1
            use_peers(found)
    assert whole


def use_peers(a):
    assert repr(a)
    look = Progress("done", Merged.empty(*a.scores.shape).merge(a.as_partial()), range(0), 0.0)
    assert plain_text({"snapshot": snapshot(a.about(), "job", look, 0)})
    assert np.isfinite(a.scores).all()


def test_a_thousand_damaged_explanations_by_lime():
    rng, whole = random.Random(6), 0
    for _ in range(MUTANTS):
        words = {"as_list": ["a", " ", "b"], "positions": [0, 2]}
        text = {"local_exp": {1: [(0, 0.5), (1, -0.25)]}, "intercept": {1: 0.5}, "score": 0.5,
                "predict_proba": [0.25, 0.75], "class_names": ["sad", "glad"]}  # fmt: skip
        where = rng.choice([words, text, text])
        where[rng.choice(list(where))] = junk(rng)
        mapper = SimpleNamespace(indexed_string=SimpleNamespace(**words))
        try:
            found = liw.Attribution.from_lime(SimpleNamespace(domain_mapper=mapper, **text))
        except ResultError:
            continue
        whole += 1
        use_peers(found)
    assert whole


# ── nothing in the package unpickles or evaluates ─────────────────────────────

BANNED = {
    "pickles": r"\b(?:cPickle|pickle|dill|cloudpickle|joblib|shelve|marshal)\b",
    "unpickles weights": r"torch\.load\(|weights_only\s*=\s*False",
    "allows pickles": r"allow_pickle\s*=\s*True",
    "evaluates": r"(?<![\w.])(?:eval|exec|compile|__import__)\(",
    "loads yaml": r"\byaml\b",
    "runs a shell": r"\bsubprocess\b|os\.system|os\.popen",
    "extracts by name": r"\.extract(?:all)?\(|unpack_archive|\btarfile\b",
}


def test_nothing_in_the_package_unpickles_evaluates_or_extracts():
    package = Path(liw.__file__).parent
    found = []
    for file in package.rglob("*.py"):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
            code = re.sub(r'#.*|"[^"]*"', "", line)
            found += [
                f"{file.relative_to(package)}:{number} {what}: {line.strip()}"
                for what, pattern in BANNED.items()
                if re.search(pattern, code)
            ]
            if re.search(r"np\.(?:load|fromfile|genfromtxt)\(", code):
                assert "allow_pickle=False" in line, f"{file}:{number}"
    assert not found
