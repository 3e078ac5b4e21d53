"""What a view can be made of: another view, a result, or what shap found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from llm_interp_widgets.errors import ParameterError
from llm_interp_widgets.results.attribution import Attribution
from llm_interp_widgets.widgets.base import ResultWidget, finished

if TYPE_CHECKING:
    from typing import Any

    from llm_interp_widgets.jobs import Job
    from llm_interp_widgets.results.describe import About

W = TypeVar("W", bound=ResultWidget)


def view_of(kind: type[W], source: Any, index: int | None = None) -> W:  # noqa: ANN401 - checked
    """Return a view of this kind.

    Args:
        kind: Which view.
        source: A widget, live or finished; an ``Attribution``; or a ``shap.Explanation`` of texts.
        index: Which text of an explanation of several.

    Raises:
        ResultError: An explanation of something else than a text.
        ParameterError: Anything else.
    """
    if isinstance(source, ResultWidget):
        return kind.beside(source)
    return kind.of(_result(source, index))


def job_of(source: Any) -> tuple[About, Job[Attribution]]:  # noqa: ANN401 - checked
    """Return what a source is about, and its job; that of a result is still to be run.

    Raises:
        ResultError: An explanation of something else than a text.
        ParameterError: Anything else.
    """
    if isinstance(source, ResultWidget):
        return source.about, source.job
    result = _result(source, None)
    return result.about(), finished(result)


def results_of(sources: Any) -> list[Attribution]:  # noqa: ANN401 - checked
    """Return the results of many sources; waits for those that are still running.

    Args:
        sources: A sequence of what ``view_of`` takes, or a ``shap.Explanation`` of several texts.

    Raises:
        ResultError: An explanation of something else than texts.
        ParameterError: Anything else.
    """
    if hasattr(sources, "values") and hasattr(sources, "base_values"):
        return [Attribution.from_shap(sources, index=i) for i in range(len(sources.data))]
    if not isinstance(sources, Sequence) or isinstance(sources, str | bytes):
        raise ParameterError(
            f"A {type(sources).__name__} is not several explanations. Pass a list of results from "
            "attribute(), or a shap.Explanation of several texts."
        )
    return [
        one.result() if isinstance(one, ResultWidget) else _result(one, None) for one in sources
    ]


def _result(source: Any, index: int | None) -> Attribution:  # noqa: ANN401 - checked
    if isinstance(source, Attribution):
        return source
    if hasattr(source, "values") and hasattr(source, "base_values"):
        return Attribution.from_shap(source, index=index)
    raise ParameterError(
        f"A {type(source).__name__} cannot be shown. Pass a widget from explain(), a result from "
        "attribute() or Attribution.load(), or a shap.Explanation of a text."
    )
