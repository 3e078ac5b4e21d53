"""Views of what is there already: results, running widgets, and what shap found.

What comes in: one of these, or several. What goes out: a widget. Guarantees: no model and no
torch is needed; what cannot be shown is refused with an error that says what can.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from llm_interp_widgets.errors import ParameterError, nearest
from llm_interp_widgets.results.collection import Collection
from llm_interp_widgets.results.interop import is_batch
from llm_interp_widgets.widgets.base import ResultWidget
from llm_interp_widgets.widgets.beeswarm import Beeswarm
from llm_interp_widgets.widgets.generation_view import GenerationView
from llm_interp_widgets.widgets.lime_view import LimeView
from llm_interp_widgets.widgets.shap_bar import ShapBar
from llm_interp_widgets.widgets.shap_force import ShapForce
from llm_interp_widgets.widgets.shap_waterfall import ShapWaterfall
from llm_interp_widgets.widgets.sources import results_of, view_of
from llm_interp_widgets.widgets.token_highlighter import TokenHighlighter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_interp_widgets.results.collection import By

W = TypeVar("W", bound=ResultWidget)


def highlight(source: Any, *, index: int | None = None, output: int = 0) -> TokenHighlighter:  # noqa: ANN401
    """Show the text, every piece tinted by its score, as ``explain`` does.

    Takes the arguments of ``bar`` and raises the same errors.

    Example:
        >>> highlight(Attribution.load("paris.liw"))  # doctest: +SKIP
    """
    return _shown(TokenHighlighter, source, index, output)


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
    return _shown(ShapWaterfall, source, index, output)


def force(source: Any, *, index: int | None = None, output: int = 0) -> ShapForce:  # noqa: ANN401
    """Show on one line what raises the output against what lowers it.

    Takes the arguments of ``waterfall`` and raises the same errors.

    Example:
        >>> force(attribute(lm, "The capital of France is", " Paris"))  # doctest: +SKIP
    """
    return _shown(ShapForce, source, index, output)


def bar(source: Any, *, index: int | None = None, output: int = 0) -> ShapBar | Beeswarm:  # noqa: ANN401
    """Show the pieces of one text as bars; or, for many texts, words by their mean |score|.

    Args:
        source: A widget from ``explain``, live while it streams; an ``Attribution`` of any method;
            or a ``shap.Explanation`` of a text. Or a sequence of these, or an explanation of
            several texts: then as ``beeswarm`` with bars.
        index: Which text of an explanation of several.
        output: Which output is shown first.

    Raises:
        ResultError: The explanation is of no text.
        ParameterError: Something else was passed.

    Example:
        >>> bar(attribute(lm, "The capital of France is", " Paris", "lime"))  # doctest: +SKIP
    """
    if index is None and _are_many(source):
        return beeswarm(source, output=output, plot="bars")
    return _shown(ShapBar, source, index, output)


def lime(source: Any, *, output: int = 0) -> LimeView:  # noqa: ANN401
    """Show LIME's linear model: weights, R², the masked texts, and what it gets wrong.

    Args:
        source: A widget from ``explain``, live while it streams, an ``Attribution``, or a saved
            one, of ``method="lime"``. Several labels at once: ``target=["negative", "positive"]``.
        output: Which output is shown first.

    Raises:
        ResultError: The scores are another method's.
        ParameterError: Something else was passed.

    Example:
        >>> lime(explain(lm, "a fine film", ["negative", "positive"], "lime"))  # doctest: +SKIP
    """
    return _shown(LimeView, source, None, output)


def generation(source: Any, *, index: int | None = None, output: int = 0) -> GenerationView:  # noqa: ANN401
    """Show what led to each output of an explanation that has several.

    Takes the arguments of ``bar`` and raises the same errors. Contrasts with what the model
    nearly wrote need the model: use ``generate``.

    Example:
        >>> generation(attribute(lm, "Once upon a", Generate(8)))  # doctest: +SKIP
    """
    return _shown(GenerationView, source, index, output)


def beeswarm(
    sources: Any,  # noqa: ANN401 - checked
    by: By | Mapping[str, Iterable[Any]] = "word",
    *,
    output: int = 0,
    plot: str = "dots",
    color: str = "output",
    least: int | None = None,
    rows: int = 15,
) -> Beeswarm:
    """Show what words do across many texts: a row a word, a dot a text.

    Args:
        sources: A sequence of results, of one method and unit; or a ``shap.Explanation`` of
            several texts. Widgets are waited for. Where the targets differ, as they do by
            default, the view says so: pass ``attribute`` a target to ask all texts the same.
        by: What a row is: ``"word"``, ``"position"`` (tenths of the text), or groups of words:
            ``{"praise": ["good", "great"], …}``. A text's dot is the sum of its scores there.
            Or numbers of the texts, one for each: ``{"stars": [1, 5, 3, …], …}``. Then a dot is
            the sum of all scores of its text and is coloured by the number: each row has the same
            dots, and what goes with high scores is seen by the colour. It is no cause.
        output: Which output is shown first.
        plot: ``"dots"``, or ``"bars"`` of the mean |score|.
        color: Dots by what the model says of the text, ``"output"``, or by how often the text has
            the word, ``"count"``.
        least: Words of fewer texts are left out; 1 % of the texts by default, at least 2.
        rows: How many rows are shown at first.

    Raises:
        ResultError: There is nothing, or the explanations are not of one method and unit.
        ParameterError: Something else was passed, or an option that does not exist.

    Example:
        >>> beeswarm([attribute(lm, text, "positive") for text in texts])  # doctest: +SKIP
    """
    for name, value, known in (
        ("plot", plot, ("dots", "bars")),
        ("color", color, ("output", "count")),
    ):
        if value not in known:
            raise ParameterError(f"{name}={value!r} does not exist. {nearest(str(value), known)}")
    for name, number in (("least", least), ("rows", rows)):
        if number is not None and (type(number) is not int or number < 1):
            raise ParameterError(f"{name}={number!r} must be a whole number, 1 or above.")
    collection = Collection.of(results_of(sources))
    if not 0 <= output < len(collection.scores):
        raise ParameterError(
            f"output={output} is out of range; there are {len(collection.scores)}."
        )
    more = {} if least is None else {"least": least}
    widget = Beeswarm(collection, by, output=output, plot=plot, color=color, rows=rows, **more)
    if plot == "bars" and widget.by["kind"] == "value":
        raise ParameterError("Numbers of texts have no bars: all would be as long. Use 'dots'.")
    return widget


def _are_many(source: object) -> bool:
    """Whether these are explanations of several texts."""
    if isinstance(source, list | tuple):
        return True
    data = getattr(source, "data", None)
    return data is not None and hasattr(source, "base_values") and is_batch(data)


def _shown(kind: type[W], source: Any, index: int | None, output: int) -> W:  # noqa: ANN401
    widget = view_of(kind, source, index)
    widget.output = output
    return widget
