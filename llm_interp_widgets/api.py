"""The public functions: the only room where all layers meet.

Each function checks its arguments at the border, then hands strict values inward. What
is wrong is raised here, in the caller's cell, before any work has started.
"""

from __future__ import annotations

from dataclasses import fields, replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from llm_interp_widgets.errors import CancelledJobError, ModelError, ParameterError
from llm_interp_widgets.jobs import Job, submit
from llm_interp_widgets.methods import make
from llm_interp_widgets.methods._interactions import ADDS_UP
from llm_interp_widgets.methods.base import Task
from llm_interp_widgets.methods.interactions import PairInteractions
from llm_interp_widgets.models.baselines import settle
from llm_interp_widgets.models.baselines import words as baseline_words
from llm_interp_widgets.models.fillers import fillers
from llm_interp_widgets.models.language_model import LanguageModel
from llm_interp_widgets.models.load import load
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.describe import About
from llm_interp_widgets.results.interactions import Interactions, completeness_gap
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces, require_features

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from llm_interp_widgets.jobs import Progress
    from llm_interp_widgets.methods._interactions import Index
    from llm_interp_widgets.models.fillers import Off
    from llm_interp_widgets.models.tokenize import PromptLike
    from llm_interp_widgets.results.partial import Partial
    from llm_interp_widgets.targets import Question
    from llm_interp_widgets.targets.kinds import TargetLike
    from llm_interp_widgets.text.features import Granularity
    from llm_interp_widgets.text.tokens import Token
    from llm_interp_widgets.widgets.base import ResultWidget
    from llm_interp_widgets.widgets.shap_bar import ShapBar
    from llm_interp_widgets.widgets.shap_force import ShapForce
    from llm_interp_widgets.widgets.shap_waterfall import ShapWaterfall
    from llm_interp_widgets.widgets.token_highlighter import TokenHighlighter

__all__ = ["attribute", "bar", "explain", "force", "interactions", "load", "waterfall", "wrap"]


class _Preparable(Protocol):
    """A dataclass of parameters: a method of the table, or ``PairInteractions``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self: ...


P = TypeVar("P", bound=_Preparable)
W = TypeVar("W", bound="ResultWidget")


def wrap(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str | None = None
) -> LanguageModel:
    """Explain a transformers model that is already in memory.

    The model is left exactly as it is: mode, hooks, ``requires_grad``, dtype, attention
    implementation, vocabulary.

    Args:
        model: A decoder, an encoder-decoder, a masked language model, a sequence classifier or
            a plain encoder.
        tokenizer: The tokenizer that goes with it.
        name: For provenance; where it was loaded from, or its class, by default.

    Raises:
        UnsupportedModelError: Another kind of model.

    Example:
        >>> lm = wrap(model, tokenizer)  # doctest: +SKIP
    """
    if not hasattr(model, "get_input_embeddings") or not hasattr(model, "config"):
        raise ModelError(
            f"wrap needs a transformers model, not a {type(model).__name__}. "
            "Use load('…') for a name or a path."
        )
    if not callable(tokenizer) or not hasattr(tokenizer, "decode"):
        raise ModelError(
            f"wrap needs the model's tokenizer as its second argument, not a "
            f"{type(tokenizer).__name__}. Load it with AutoTokenizer.from_pretrained(…)."
        )
    source = str(getattr(model, "name_or_path", ""))
    known = Path(source).name if Path(source).is_dir() else source  # a folder's place is private
    return LanguageModel(model, tokenizer, name=name or known or type(model).__name__)


def attribute(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike = None,
    method: str = "shapley",
    *,
    granularity: Granularity = "token",
    seed: int = 0,
    **params: Any,  # noqa: ANN401 - checked against the method's fields
) -> Attribution:
    """Return how much each piece of the prompt pushed the target; blocks, no widget.

    Args:
        lm: From ``load`` or ``wrap``.
        prompt: A text, token ids, a chat (a list of ``{"role", "content"}``), or two texts for
            models that read pairs.
        target: What is explained. ``None``: the model's own top next token, its predicted label,
            or its guess at the masked token. A text: that continuation (its leading space belongs
            to it: " Paris"), that answer of an encoder-decoder, the label of that name, or a text
            to compare an encoder's embedding with. A number: that token id, or that label. Or
            ``LogProb``, ``Logit``, ``Prob``, ``Contrast``, ``Generate``, ``Masked``,
            ``Similarity``, or a callable from logits (row, vocabulary) to one scalar a row.
        method: A name from ``methods()``.
        granularity: ``"token"``, ``"word"``, ``"sentence"``, ``"turn"``, or character spans.
        seed: Of every random draw.
        **params: The method's parameters.

    Returns:
        Scores of shape (output, input) with everything needed to trust them.

    Raises:
        PromptError: The prompt is empty, too long, or of a kind that cannot be read.
        TargetError: The target does not fit the model.
        UnknownMethodError: No such method.
        ParameterError: No such parameter, or out of range.
        ModelError: The model cannot do what the method needs.

    Example:
        >>> a = attribute(lm, "The capital of France is", " Paris")  # doctest: +SKIP
    """
    job, _ = _plan(lm, prompt, target, method, granularity, seed, params)
    return submit(job, str(lm.device)).result()


def explain(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike = None,
    method: str = "shapley",
    *,
    granularity: Granularity = "token",
    seed: int = 0,
    **params: Any,  # noqa: ANN401 - checked against the method's fields
) -> TokenHighlighter:
    """Return a live view of ``attribute``: returns at once, streams, can be cancelled.

    Takes the arguments of ``attribute`` and raises the same errors for bad input; what goes
    wrong later is shown in the widget and raised by ``result()``.

    Example:
        >>> w = explain(lm, "The capital of France is", " Paris")  # doctest: +SKIP
        >>> w.result()  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.token_highlighter import (  # noqa: PLC0415 - Jupyter on demand
        TokenHighlighter,
    )

    job, about = _plan(lm, prompt, target, method, granularity, seed, params)
    widget = TokenHighlighter(about, job)
    submit(job, str(lm.device))
    return widget


def interactions(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike = None,
    *,
    index: Index = "k-SII",
    granularity: Granularity = "token",
    seconds: float | None = None,
    off: Off = "replace",
    filler: str | Sequence[str] = "auto",
) -> Interactions:
    """Return what each pair of pieces does together that neither does by itself; blocks.

    Exact, from every coalition of the pieces: 2ⁿ forward passes for n pieces and one filler.

    Args:
        lm: From ``load`` or ``wrap``.
        prompt: As in ``attribute``.
        target: As in ``attribute``.
        index: How what three pieces and more do together is shared out among their pairs.
            ``"k-SII"`` (Bordt & von Luxburg 2023) has the pairs of ``"SII"`` and a diagonal
            such that all adds up to output − base. ``"SII"``, the Shapley interaction index
            (Grabisch & Roubens 1999), has the Shapley values on its diagonal and does not add
            up. ``"STII"``, Shapley-Taylor (Sundararajan et al. 2020), adds up; its diagonal is
            what each piece does with all others off.
        granularity: ``"token"``, ``"word"``, ``"sentence"``, ``"turn"``, or character spans.
        seconds: Wall-clock limit; running into it is an error, as no pair is known before all
            coalitions are.
        off: ``"replace"`` puts a filler where a piece was, ``"remove"`` drops its tokens.
        filler: ``"auto"``, a text of one token, or several whose games are averaged.

    Returns:
        Symmetric matrices of shape (output, input, input).

    Raises:
        PromptError: The prompt is empty, too long, or of a kind that cannot be read.
        TargetError: The target does not fit the model.
        ParameterError: Too many pieces, an unknown index, too few seconds, or another
            parameter out of range.
        ModelError: The model cannot be read, or its scores are not finite.

    Example:
        >>> pairs = interactions(lm, "It is not bad", " good", filler=" the")  # doctest: +SKIP
        >>> pairs.top(3)  # doctest: +SKIP
    """
    _check_model(lm)
    chosen = PairInteractions(index=index, seconds=seconds, off=off, filler=filler)
    question, columns = _read(lm, prompt, target, granularity)
    chosen, stands_in, note = _prepared(chosen, lm, columns)
    settings = _settings(chosen)

    def run(stop: threading.Event) -> Iterator[Partial]:
        return chosen.run(Task(lm.stoppable(stop), question.prompt, columns, question, seed=0))

    def build(look: Progress) -> Interactions:
        merged = look.merged
        if not merged.last.final:
            raise CancelledJobError("Cancelled before every coalition was scored.")
        base, output = merged.base_values, merged.output_values
        values = merged.scores.reshape(-1, len(columns), len(columns))
        return Interactions(
            values=values,
            inputs=columns,
            outputs=question.outputs,
            base_values=base,
            output_values=output,
            completeness_gap=completeness_gap(values, base, output) if index in ADDS_UP else None,
            index=index,
            off=stands_in,
            note=" ".join(filter(None, (question.note, note))),
            params=settings,
            granularity=granularity if isinstance(granularity, str) else "spans",
            target=question.words,
            unit=question.unit,
            prompt=question.prompt.text,
            model=lm.info,
            seconds=look.seconds,
            evaluations=merged.last.evaluations,
        )

    job = Job(run, (len(question.outputs), len(columns) ** 2), build)
    return submit(job, str(lm.device)).result()


def waterfall(source: Any, *, index: int | None = None, output: int = 0) -> ShapWaterfall:  # noqa: ANN401
    """Show how the pieces lead from everything switched off to what the model says.

    Args:
        source: A widget from ``explain``, live while it streams; an ``Attribution`` whose scores
            add up; or a ``shap.Explanation`` of texts.
        index: Which text of an explanation of several.
        output: Which output is shown first.

    Raises:
        ResultError: The scores do not add up, or the explanation is of no text.
        ParameterError: Something else was passed.

    Example:
        >>> waterfall(attribute(lm, "The capital of France is", " Paris"))  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.shap_waterfall import (  # noqa: PLC0415 - Jupyter on demand
        ShapWaterfall,
    )

    return _shown(ShapWaterfall, source, index, output)


def force(source: Any, *, index: int | None = None, output: int = 0) -> ShapForce:  # noqa: ANN401
    """Show on one line what raises the output against what lowers it.

    Takes the arguments of ``waterfall`` and raises the same errors.

    Example:
        >>> force(attribute(lm, "The capital of France is", " Paris"))  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.shap_force import (  # noqa: PLC0415 - Jupyter on demand
        ShapForce,
    )

    return _shown(ShapForce, source, index, output)


def bar(source: Any, *, index: int | None = None, output: int = 0) -> ShapBar:  # noqa: ANN401
    """Show the pieces of one text as bars, those of largest score first.

    Args:
        source: A widget from ``explain``, live while it streams; an ``Attribution`` of any method;
            or a ``shap.Explanation`` of texts.
        index: Which text of an explanation of several.
        output: Which output is shown first.

    Raises:
        ResultError: The explanation is of no text.
        ParameterError: Something else was passed.

    Example:
        >>> bar(attribute(lm, "The capital of France is", " Paris", "lime"))  # doctest: +SKIP
    """
    from llm_interp_widgets.widgets.shap_bar import (  # noqa: PLC0415 - Jupyter on demand
        ShapBar,
    )

    return _shown(ShapBar, source, index, output)


def _shown(kind: type[W], source: Any, index: int | None, output: int) -> W:  # noqa: ANN401
    from llm_interp_widgets.widgets.sources import view_of  # noqa: PLC0415 - Jupyter on demand

    widget = view_of(kind, source, index)
    widget.output = output
    return widget


def _plan(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike,
    method: str,
    granularity: Granularity,
    seed: int,
    params: dict[str, Any],
) -> tuple[Job[Attribution], About]:
    """Check everything at the border and return the job, not yet submitted."""
    _check_model(lm)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ParameterError(f"seed={seed!r} must be a whole number, 0 or above.")
    chosen = make(method, params)
    question, columns = _read(lm, prompt, target, granularity)
    chosen, stands_in, note = _prepared(chosen, lm, columns)
    settings = _settings(chosen)
    about = About(
        prompt=question.prompt.text,
        inputs=columns,
        outputs=question.outputs,
        target=question.words,
        unit=question.unit,
        method=method,
        title=chosen.CARD.title,
        caution=chosen.CARD.caution,
        off=stands_in,
        granularity=granularity if isinstance(granularity, str) else "spans",
        params=settings,
        model=lm.info,
        seed=int(seed),
        note=" ".join(filter(None, (question.note, note))),
        additive=chosen.CARD.additive,
        effect=chosen.CARD.effect,
    )

    def run(stop: threading.Event) -> Iterator[Partial]:
        task = Task(lm.stoppable(stop), question.prompt, columns, question, int(seed))
        return chosen.run(task)

    shape = (len(question.outputs), len(columns))
    return Job(run, shape, lambda look: _result(about, look)), about


def _check_model(lm: object) -> None:
    if not isinstance(lm, LanguageModel):
        raise ParameterError(
            f"The first argument is a {type(lm).__name__}; what is explained is a model from "
            "lm = load(…), or one of yours as lm = wrap(model, tokenizer)."
        )


def _read(
    lm: LanguageModel, prompt: PromptLike, target: TargetLike, granularity: Granularity
) -> tuple[Question, tuple[Token, ...]]:
    """Return what is asked of the model, and the prompt's pieces, some of them features."""
    question = ask(target, lm, lm.encode(prompt))
    columns = pieces(question.prompt, granularity)
    require_features(columns)
    return question, columns


def _prepared(chosen: P, lm: LanguageModel, columns: Sequence[Token]) -> tuple[P, str, str]:
    """Return the method with what was automatic decided, what stands in, in words, and a note."""
    given, features = _parameters(chosen), len(require_features(columns))
    if "baseline" in given:
        baselines, note = settle(lm, given["baseline"])
        chosen = replace(chosen, baseline=baselines).prepare(features, ())
        return chosen, baseline_words(baselines), note
    if "filler" not in given:
        return chosen.prepare(features, ()), "", ""
    names = fillers(lm, given["filler"], given["off"])[1]
    if given["off"] == "remove":
        return chosen.prepare(features, ()), describe.off_words(given, names), ""
    chosen = chosen.prepare(features, names)
    return chosen, describe.off_words(given, _parameters(chosen)["filler"]), ""


def _result(about: About, look: Progress) -> Attribution:
    merged, last = look.merged, look.merged.last
    return Attribution(
        **{f.name: getattr(about, f.name) for f in fields(About)},
        scores=merged.scores,
        base_values=merged.base_values,
        output_values=merged.output_values,
        completeness_gap=merged.completeness_gap,
        standard_error=merged.standard_error,
        spread=merged.spread,
        fit=merged.fit,
        exact=last.exact and last.final,
        converged=last.converged,
        seconds=look.seconds,
        evaluations=last.evaluations,
        cancelled=look.status == "cancelled",
        preview=last.preview,
    )


def _parameters(method: _Preparable) -> dict[str, Any]:
    return {field.name: getattr(method, field.name) for field in fields(method)}


def _settings(method: _Preparable) -> dict[str, Any]:
    """Return a method's parameters as plain values, fit for a file."""
    return {name: _plain(value) for name, value in _parameters(method).items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a method's parameter may be
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return f"{type(value).__name__} of shape {tuple(value.shape)}"
