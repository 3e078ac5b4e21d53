"""From arguments to a job: every check at the border, and nothing run yet.

What comes in: what the user passed. What goes out: what is explained, with everything that was
automatic decided, and the job that explains it.

Guarantees: whatever is wrong with the arguments is raised here, on the caller's thread; the
model is read only where a target must be asked for first (``None``, ``Generate``, a callable).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import fields, replace
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar

from llm_interp_widgets.errors import CancelledJobError, InterpError, ParameterError
from llm_interp_widgets.jobs import Job
from llm_interp_widgets.methods import make
from llm_interp_widgets.methods._interactions import ADDS_UP
from llm_interp_widgets.methods._without import said_without
from llm_interp_widgets.methods.base import Task
from llm_interp_widgets.models.baselines import settle
from llm_interp_widgets.models.baselines import words as baseline_words
from llm_interp_widgets.models.fillers import fillers
from llm_interp_widgets.models.language_model import LanguageModel
from llm_interp_widgets.models.memory import fitting
from llm_interp_widgets.results import describe
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.results.describe import About
from llm_interp_widgets.results.interactions import Interactions, completeness_gap
from llm_interp_widgets.results.partial import Merged
from llm_interp_widgets.results.redaction import covering
from llm_interp_widgets.targets import ask
from llm_interp_widgets.text.features import pieces, require_features

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator, Sequence

    from llm_interp_widgets.jobs import Progress
    from llm_interp_widgets.methods.interactions import PairInteractions
    from llm_interp_widgets.models.batches import Known
    from llm_interp_widgets.models.tokenize import PromptLike
    from llm_interp_widgets.results.partial import Partial
    from llm_interp_widgets.results.redaction import Cover, What
    from llm_interp_widgets.targets import Question
    from llm_interp_widgets.targets.kinds import TargetLike
    from llm_interp_widgets.text.features import Granularity
    from llm_interp_widgets.text.tokens import Token


class _Preparable(Protocol):
    """A dataclass of parameters: a method of the table, or ``PairInteractions``."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def prepare(self, features: int, fillers: tuple[str, ...]) -> Self: ...


P = TypeVar("P", bound=_Preparable)


def plan(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike,
    method: str,
    granularity: Granularity,
    seed: int,
    params: dict[str, Any],
    memo: Known | None = None,
    redact: What | None = None,
) -> tuple[About, Job[Attribution]]:
    """Check everything at the border; return what is explained, and the job, not yet submitted.

    Args:
        lm: The model.
        prompt: As ``attribute`` takes it.
        target: As ``attribute`` takes it.
        method: Its name.
        granularity: What is switched off together.
        seed: Of every random draw.
        params: The method's parameters.
        memo: Values of coalitions that are shared with other jobs of the same question.
        redact: What of the text is covered in all that comes out; see ``Attribution.redacted``.

    Raises:
        InterpError: Whatever ``attribute`` says it raises.
    """
    check_model(lm)
    if isinstance(seed, bool) or not isinstance(seed, Integral) or seed < 0:
        raise ParameterError(f"seed={seed!r} must be a whole number, 0 or above.")
    with covering(redact, prompt) as cover:
        chosen = make(method, params)
        question, columns = read(lm, prompt, target, granularity)
        chosen, stands_in, note = prepared(chosen, lm, columns)
    settings = settings_of(chosen)
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
    shown = about if cover is None else cover.over(about)
    if cover is not None:
        cover.check()

    def run(stop: threading.Event) -> Iterator[Partial]:
        with nullcontext() if cover is None else cover.errors():
            for partial in scored(stop):
                told = partial.without if cover is None else cover.plain(partial.without)
                yield replace(partial, without=told)

    def scored(stop: threading.Event) -> Iterator[Partial]:
        shared = {} if memo is None else memo
        task = Task(lm.stoppable(stop), question.prompt, columns, question, int(seed), shared)
        merged = Merged.empty(len(about.outputs), len(about.inputs))
        with fitting(lm.device, "What this method works on"):
            for partial in chosen.run(task):
                merged = merged.merge(partial)
                told = _told(task, about, merged, settings) if partial.final else ()
                yield replace(partial, without=told)

    shape = (len(question.outputs), len(columns))
    return shown, Job(run, shape, lambda look: _result(shown, look))


def plan_pairs(
    lm: LanguageModel,
    prompt: PromptLike,
    target: TargetLike,
    chosen: PairInteractions,
    granularity: Granularity,
    cover: Cover | None,
) -> Job[Interactions]:
    """Return a job, not submitted, that finds out what pairs do together.

    Args:
        lm: Which model.
        prompt: Of the user.
        target: Of the user.
        chosen: The game's parameters.
        granularity: What is switched off together.
        cover: Of the text; what it should cover must be there. The job's result is not covered.

    Raises:
        InterpError: Something cannot be used; see ``api.interactions``.
    """
    check_model(lm)
    question, columns = read(lm, prompt, target, granularity)
    chosen, stands_in, note = prepared(chosen, lm, columns)
    settings = settings_of(chosen)
    if cover is not None:  # what is nowhere is said before the work
        text = question.prompt.text
        cover.prompt(text)
        cover.tokens(columns, of=text)
        cover.tokens(question.outputs, answer=True)
        cover.plain([question.words, stands_in, question.note, note, settings])
        cover.name(lm.info.name)
        cover.check()

    def run(stop: threading.Event) -> Iterator[Partial]:
        task = Task(lm.stoppable(stop), question.prompt, columns, question, seed=0)
        with fitting(lm.device, f"What {2 ** len(columns):,} coalitions take"):
            yield from chosen.run(task)

    def build(look: Progress) -> Interactions:
        merged = look.merged
        if not merged.last.final:
            raise CancelledJobError("Cancelled before every coalition was scored.")
        base, output = merged.base_values, merged.output_values
        values = merged.scores.reshape(-1, len(columns), len(columns))
        adds_up = chosen.index in ADDS_UP
        return Interactions(
            values=values,
            inputs=columns,
            outputs=question.outputs,
            base_values=base,
            output_values=output,
            completeness_gap=completeness_gap(values, base, output) if adds_up else None,
            index=chosen.index,
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

    return Job(run, (len(question.outputs), len(columns) ** 2), build)


def _told(task: Task, about: About, merged: Merged, settings: dict[str, Any]) -> tuple[str, ...]:
    """Return what the model would have said; the scores are there, whatever happens here."""
    try:
        return said_without(task, about, merged, settings)
    except CancelledJobError:
        return ()
    except InterpError as error:
        what = "What it would have said without the pieces that matter most could not be asked"
        return (f"{what}: {error}",) * len(about.outputs)


def check_model(lm: object) -> None:
    """Raise ``ParameterError`` unless this is a model from ``load`` or ``wrap``."""
    if not isinstance(lm, LanguageModel):
        raise ParameterError(
            f"The first argument is a {type(lm).__name__}; what is explained is a model from "
            "lm = load(…), or one of yours as lm = wrap(model, tokenizer)."
        )


def read(
    lm: LanguageModel, prompt: PromptLike, target: TargetLike, granularity: Granularity
) -> tuple[Question, tuple[Token, ...]]:
    """Return what is asked of the model, and the prompt's pieces, some of them features."""
    question = ask(target, lm, lm.encode(prompt))
    columns = pieces(question.prompt, granularity)
    require_features(columns)
    return question, columns


def prepared(chosen: P, lm: LanguageModel, columns: Sequence[Token]) -> tuple[P, str, str]:
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
        neighbourhood=merged.neighbourhood,
        without=merged.without,
        exact=last.exact and last.final,
        converged=last.converged,
        seconds=look.seconds,
        evaluations=last.evaluations,
        cancelled=look.status == "cancelled",
        preview=last.preview,
    )


def _parameters(method: _Preparable) -> dict[str, Any]:
    return {field.name: getattr(method, field.name) for field in fields(method)}


def settings_of(method: _Preparable) -> dict[str, Any]:
    """Return a method's parameters as plain values, fit for a file."""
    return {name: _plain(value) for name, value in _parameters(method).items()}


def _plain(value: Any) -> Any:  # noqa: ANN401 - whatever a method's parameter may be
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, str | int | float):
        return value
    return f"{type(value).__name__} of shape {tuple(value.shape)}"
