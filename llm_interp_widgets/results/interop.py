"""Results of the peers as ours: what shap and lime found, drawn and saved like any other.

What comes in: a ``shap.Explanation`` of texts, or what lime's ``LimeTextExplainer`` returns;
neither library is imported. What goes out: the fields of an ``Attribution``.

Guarantees: scores are the peer's own, in its own units; what it did not keep (model, seed,
evaluations) is unknown rather than guessed; what is no explanation of a text is a
``ResultError`` that says why.
"""

from __future__ import annotations

from itertools import accumulate
from numbers import Integral
from typing import TYPE_CHECKING, Any

import numpy as np

from llm_interp_widgets.errors import ResultError
from llm_interp_widgets.results._schema import LARGEST
from llm_interp_widgets.text.tokens import Token

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy import ndarray

_MOST_SCORES = 10_000_000
_SHAP, _LIME = "a shap.Explanation", "an explanation by lime's LimeTextExplainer"


def from_shap(explanation: Any, index: int | None) -> dict[str, Any]:  # noqa: ANN401 - a peer's
    """Return the fields that a ``shap.Explanation`` of one text fills.

    Args:
        explanation: Of one text, values (input,) or (input, output); or of several.
        index: Which one, of several.

    Raises:
        ResultError: It is something else, or of no text.
    """
    return _read(_from_shap, explanation, _SHAP, index)


def from_lime(explanation: Any) -> dict[str, Any]:  # noqa: ANN401 - a peer's
    """Return the fields that an explanation by ``LimeTextExplainer`` fills; a row a label.

    Raises:
        ResultError: It is something else.
    """
    return _read(_from_lime, explanation, _LIME)


def _read(
    take: Callable[..., dict[str, Any]],
    given: Any,  # noqa: ANN401 - a peer's
    wanted: str,
    *more: int | None,
) -> dict[str, Any]:
    """Return what ``take`` makes of a peer's object; whatever that does when asked is damage."""
    try:
        return take(given, *more)
    except ResultError:
        raise
    except Exception as error:
        words = " ".join(str(error).split()) or type(error).__name__
        raise ResultError(f"{_not(given, wanted)} This one is damaged: {words}.") from error


def _from_shap(explanation: Any, index: int | None) -> dict[str, Any]:  # noqa: ANN401 - a peer's
    values, data = (getattr(explanation, name, None) for name in ("values", "data"))
    base = getattr(explanation, "base_values", None)
    if values is None or data is None or base is None:
        raise ResultError(_not(explanation, _SHAP))
    names = getattr(explanation, "output_names", None)
    if is_batch(data):
        values, data, base, names = _one_of(values, data, base, names, index)
    elif index not in (None, 0):
        raise ResultError(f"index={index!r} does not exist: this explanation is of one text.")
    texts = _texts(data)
    scores = _numbers("values", values)
    if scores.ndim not in (1, 2):
        raise ResultError(
            f"values have {scores.ndim} dimensions; a text's are (input,) or (input, output). "
            "Interactions of shap cannot be shown as scores of single pieces."
        )
    if scores.shape[1:] == (0,):
        raise ResultError("values are of no output.")
    scores = scores[None] if scores.ndim == 1 else scores.T
    if scores.shape[1] != len(texts):
        raise ResultError(f"There are {scores.shape[1]} values for {len(texts)} pieces of text.")
    bases = _numbers("base_values", base).reshape(-1)
    if len(bases) not in (1, len(scores)):
        raise ResultError(f"There are {len(bases)} base values for {len(scores)} outputs.")
    return _fields(
        scores,
        _tokens(texts, {i for i, text in enumerate(texts) if not text}),
        _names(names, len(scores), "output"),
        np.broadcast_to(bases, len(scores)),
    )


def _from_lime(explanation: Any) -> dict[str, Any]:  # noqa: ANN401 - a peer's
    words: Any = getattr(getattr(explanation, "domain_mapper", None), "indexed_string", None)
    found = getattr(explanation, "local_exp", None)
    if not isinstance(found, dict) or not found or not hasattr(words, "as_list"):
        raise ResultError(_not(explanation, _LIME))
    labels, pieces = sorted(found), [str(piece) for piece in words.as_list]
    places = [np.atleast_1d(np.asarray(at, dtype=int)) for at in words.positions]
    scores = np.zeros((len(labels), len(pieces)))
    for row, label in enumerate(labels):
        for word, weight in found[label]:
            scores[row, places[int(word)]] = float(weight) / len(places[int(word)])
    shared = any(len(at) > 1 for at in places)
    note = "lime switched every place of a word at once; each shows its part. " if shared else ""
    bases = _numbers("intercept", [float(explanation.intercept[label]) for label in labels])
    outputs = _numbers("predict_proba", [float(explanation.predict_proba[i]) for i in labels])
    classes = getattr(explanation, "class_names", None)
    fields = _fields(
        _numbers("local_exp", scores),
        _tokens(pieces, set(range(len(pieces))) - {int(i) for at in places for i in at}),
        _names([classes[label] for label in labels] if classes else None, len(labels), "label"),
        bases,
    )
    return fields | {
        "output_values": outputs,
        "completeness_gap": _gap(scores, bases, outputs),
        "fit": _fit(getattr(explanation, "score", None), labels),
        "additive": False,
        "note": note.strip(),
        "unit": "prob",
        "granularity": "word",
    }


def _fields(
    scores: ndarray, inputs: tuple[Token, ...], outputs: tuple[Token, ...], bases: ndarray
) -> dict[str, Any]:
    values = bases + scores.sum(axis=1)
    return {
        "scores": scores,
        "inputs": inputs,
        "outputs": outputs,
        "base_values": bases,
        "output_values": values,
        "completeness_gap": _gap(scores, bases, values),
        "prompt": "".join(token.text for token in inputs),
        "target": ", ".join(token.text for token in outputs),
    }


def _gap(scores: ndarray, bases: ndarray, outputs: ndarray) -> ndarray:
    wanted = outputs - bases
    size = np.maximum(np.abs(wanted), np.finfo(np.float32).eps)
    gap: ndarray = np.abs(scores.astype(np.float32).sum(axis=1) - wanted) / size
    return gap


def _fit(score: object, labels: Sequence[int]) -> ndarray:
    """Return R² of each label; lime keeps a single one, that of the last label it explained."""
    if isinstance(score, dict):
        return np.array([float(score.get(label, np.nan)) for label in labels])
    known = len(labels) == 1 and isinstance(score, float | int)
    return np.array([float(score)]) if known else np.full(len(labels), np.nan)  # type: ignore[arg-type]


def is_batch(data: object) -> bool:
    """Whether there are several texts: pieces are strings, texts are sequences of these."""
    return not isinstance(data, str) and any(
        isinstance(one, tuple | list | np.ndarray) for one in _items(data)
    )


def _items(data: object) -> list[Any]:
    if isinstance(data, str) or not isinstance(data, tuple | list | np.ndarray):
        raise ResultError(
            f"data is a {type(data).__name__}; what can be shown are the pieces of a text, as "
            "shap.maskers.Text makes them."
        )
    return list(data)


def _one_of(
    values: Any,  # noqa: ANN401 - an array, or a list of arrays of different lengths
    data: Any,  # noqa: ANN401
    base: Any,  # noqa: ANN401
    names: Any,  # noqa: ANN401
    index: int | None,
) -> tuple[Any, Any, Any, Any]:
    count = len(data)
    at = 0 if index is None and count == 1 else index
    if isinstance(at, bool) or not isinstance(at, Integral) or not -count <= at < count:
        raise ResultError(
            f"index={index!r}: this explanation is of {count} texts. Say which one: "
            f"index=0 … {count - 1}."
        )
    is_shared = not isinstance(base, list | tuple) and np.ndim(base) == 0
    bases = [base] * count if is_shared else base
    for name, given in (("values", values), ("base_values", bases)):
        if not hasattr(given, "__len__") or len(given) != count:
            raise ResultError(f"{name} do not fit data, which are of {count} texts.")
    if isinstance(names, list | tuple) and len(names) == count and not isinstance(names[0], str):
        names = names[at]
    return values[at], data[at], bases[at], names


def _texts(data: object) -> list[str]:
    texts = _items(data)
    if not texts:
        raise ResultError("The explanation is of an empty text.")
    for text in texts:
        if not isinstance(text, str):
            raise ResultError(
                f"data holds a {type(text).__name__} ({text!r:.40}); what can be shown are the "
                "pieces of a text, as shap.maskers.Text makes them."
            )
    return [str(text) for text in texts]


def _numbers(name: str, values: object) -> ndarray:
    size = getattr(values, "size", 0)  # of an array: too large a one is refused before it is copied
    try:
        array = np.asarray(values if size <= _MOST_SCORES else (), dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ResultError(f"{name} are not numbers: {error}.") from error
    size = max(size, array.size)
    if size > _MOST_SCORES:
        raise ResultError(f"{name} hold {size:,} numbers; at most {_MOST_SCORES:,} are read.")
    if not (np.abs(array) <= LARGEST).all():
        raise ResultError(f"{name} hold NaN or infinity: the explanation did not succeed.")
    return array


def _tokens(texts: Sequence[str], special: set[int]) -> tuple[Token, ...]:
    ends = list(accumulate(map(len, texts)))
    return tuple(
        Token(
            text=text, id=-1, start=end - len(text), end=end, special=i in special, position=i
        )
        for i, (text, end) in enumerate(zip(texts, ends, strict=True))
    )  # fmt: skip


def _names(names: object, count: int, kind: str) -> tuple[Token, ...]:
    given = [names] if isinstance(names, str) else names
    known = isinstance(given, list | tuple | np.ndarray) and len(given) == count
    listed: Sequence[object] = list(given) if known else []  # type: ignore[call-overload]
    texts = [str(name) for name in listed] or (
        [kind] if count == 1 else [f"{kind} {i}" for i in range(count)]
    )
    return tuple(Token(text=text, id=i, start=0, end=0, position=i) for i, text in enumerate(texts))


def _not(given: object, wanted: str) -> str:
    return f"A {type(given).__name__} cannot be read: give {wanted} of a text."
