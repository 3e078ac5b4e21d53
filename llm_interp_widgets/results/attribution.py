"""Attribution: how much each input pushed each output, with all that is needed to trust it.

What comes in: arrays, tokens and provenance. What goes out: an immutable record that can
be saved to one file (see ``_file``) and opened again on a machine without torch, transformers
or shap.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from llm_interp_widgets.errors import ResultError, optional
from llm_interp_widgets.results import _saved, _schema, interop
from llm_interp_widgets.results.describe import About
from llm_interp_widgets.results.grouping import grouped
from llm_interp_widgets.results.neighbourhood import ARRAYS as _SEEN
from llm_interp_widgets.results.neighbourhood import Neighbourhood
from llm_interp_widgets.results.partial import Partial
from llm_interp_widgets.results.result import ModelInfo, Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd
    import shap
    from jaxtyping import Float32, Float64
    from numpy import ndarray

    from llm_interp_widgets.results.result import Unit
    from llm_interp_widgets.text.features import Granularity

Verdict = Literal["exact", "converged", "still moving", "did not converge", "unknown"]

_OPTIONAL = ("standard_error", "spread", "fit")
_ERRORS = ("standard_error", "spread")


@dataclass(frozen=True, kw_only=True, eq=False)
class Attribution(Result):
    r"""How much each input pushed each output. Position, never token text, is the key.

    Attributes:
        scores: (output, input) in ``unit``; 0 for pieces that are never switched off.
        inputs: Pieces of the prompt, in order, special tokens included.
        outputs: What is explained, one per row.
        base_values: (output,) target with every feature switched off.
        output_values: (output,) target on the prompt as it is.
        standard_error: (output, input), such that score ± 1.96 standard errors is a 95 %
            interval of the sampling; 0 where exact; ``None`` if the method has none.
        spread: (output, input) standard deviation of the scores over the fillers: how
            much the choice of filler matters. ``None`` with a single filler.
        fit: (output,) weighted R² of the local linear model whose slopes the scores are;
            ``None`` if the method fits none.
        neighbourhood: What that model was fitted to, where the method keeps it.
        completeness_gap: (output,) |Σ scores − (output − base)| / |output − base|.
        additive: The scores are shares of output − base: those of a coarser piece are their
            sum. Where they are not, the completeness gap says nothing.
        effect: A score is an effect on the target, in its unit; otherwise it is a sensitivity,
            a flow of attention, or noise, and says nothing was pushed.
        exact: The scores are the method's definition, not an estimate.
        converged: Reached the precision asked for; ``None``: does not apply.
        method: Name of the method.
        title: The method's name in a heading.
        caution: What the scores must not be taken for.
        off: How pieces were switched off, in words; empty for gradient methods.
        without: For each output, what the model would have said without the pieces that mattered
            most, in words; empty where that is not known.
        note: What looked like a slip in the question; empty if nothing did.
        params: Its parameters, as plain JSON values; "auto" is resolved.
        granularity: What was switched off together.
        target: What was explained, in words.
        unit: ``"logit"``, ``"log_prob"``, ``"prob"``, ``"cosine"`` or ``"value"``.
        prompt: The text, rendered.
        model: Which model, in which precision, where.
        seed: Seed of the sampling.
        seconds: Wall-clock time.
        evaluations: Inputs scored by the model.
        cancelled: Stopped by hand before it was finished.
        preview: Cancelled so early that the scores are a cheaper stand-in's.
        hidden: How much of the text is covered, in words; see ``redacted``.
    """

    _kind: ClassVar[str] = "attribution"
    _arrays: ClassVar[Mapping[str, str]] = {
        "scores": "f4",
        "base_values": "f8",
        "output_values": "f8",
        "completeness_gap": "f8",
        "standard_error": "f4",
        "spread": "f4",
        "fit": "f8",
    }
    _nested: ClassVar[Mapping[str, Sequence[str]]] = {"neighbourhood": tuple(_SEEN)}

    scores: Float32[ndarray, "output input"]
    completeness_gap: Float64[ndarray, " output"]
    standard_error: Float32[ndarray, "output input"] | None = None
    spread: Float32[ndarray, "output input"] | None = None
    fit: Float64[ndarray, " output"] | None = None
    neighbourhood: Neighbourhood | None = None
    additive: bool = True
    effect: bool = True
    exact: bool = False
    converged: bool | None = None
    method: str
    title: str = ""
    caution: str = ""
    without: tuple[str, ...] = ()
    seed: int
    cancelled: bool = False
    preview: bool = False

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only.

        Raises:
            ResultError: The arrays do not fit the tokens.
        """
        wide, tall = (len(self.outputs), len(self.inputs)), (len(self.outputs),)
        for name in self._arrays:
            value = getattr(self, name)
            if value is None and name in _OPTIONAL:
                continue
            is_matrix = name in ("scores", *_ERRORS)
            array = np.array(value, dtype=np.float32 if is_matrix else np.float64)
            shape = wide if is_matrix else tall
            if array.shape != shape:
                raise ResultError(f"{name} has shape {array.shape}; the tokens need {shape}.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if self.neighbourhood is not None:
            features = sum(not token.special for token in self.inputs)
            self.neighbourhood.check(features, len(self.outputs))

    @property
    def verdict(self) -> Verdict:
        """One word: how far the numbers can be trusted."""
        if self.exact:
            return "exact"
        if self.cancelled:
            return "still moving"
        if self.converged is None:
            return "unknown"
        return "converged" if self.converged else "did not converge"

    def __repr__(self) -> str:
        """Return one line: method, target, the three largest scores, verdict."""
        row = self.scores[0] if len(self.outputs) else np.zeros(0)
        top = np.argsort(-np.nan_to_num(np.abs(row), nan=-1.0))[:3]
        best = ", ".join(f"{self.inputs[i].text!r} {row[i]:+.3g}" for i in top)
        return (
            f"<Attribution {self.method} of {self.target} ({self.unit}): {best}; "
            f"{self.verdict}, {self.evaluations} evaluations>"
        )

    def about(self) -> About:
        """Return what a view needs beside the numbers."""
        same = {f.name: getattr(self, f.name) for f in fields(About)}
        return About(**same | {"title": self.title or self.method})

    def as_partial(self) -> Partial:
        """Return the numbers as the last partial of a finished run."""
        return Partial(
            scores=self.scores,
            standard_error=self.standard_error,
            spread=self.spread,
            fit=self.fit,
            neighbourhood=self.neighbourhood,
            without=self.without,
            base_values=self.base_values,
            output_values=self.output_values,
            done=max(self.evaluations, 1),
            total=max(self.evaluations, 1),
            evaluations=self.evaluations,
            preview=self.preview,
            exact=self.exact,
            converged=False if self.cancelled else self.converged,
            final=True,
        )

    def grouped(self, granularity: Granularity) -> Attribution:
        """Return the scores summed to coarser pieces.

        The sum of shares is a share, not the score that the coarser piece would have got if it
        had been switched off as a whole: that is ``attribute(…, granularity=…)``.

        Args:
            granularity: ``"word"``, ``"sentence"``, ``"turn"``, or character spans.

        Returns:
            An attribution with standard errors and spreads that are the sums of their parts':
            the most they can be, as how the parts move together is not known.

        Raises:
            ResultError: The method's scores are no shares, or its pieces are coarser already.
            ParameterError: Unknown granularity, or spans that leave the text.
        """
        if not self.additive:
            raise ResultError(
                f"Scores of {self.method} are no shares of the output and cannot be summed. Call "
                f"attribute(…, method={self.method!r}, granularity={granularity!r})."
            )
        if self.preview:
            raise ResultError(
                "This run was stopped at its preview, whose scores cannot be summed. Run it longer."
            )
        inputs, firsts = grouped(self.prompt, self.inputs, self.granularity, granularity)

        def summed(array: ndarray) -> ndarray:
            total: ndarray = np.add.reduceat(array, firsts, axis=1, dtype=np.float64)
            return total

        return replace(
            self,
            inputs=inputs,
            neighbourhood=None,
            without=(),
            scores=summed(self.scores),
            standard_error=None if self.standard_error is None else summed(self.standard_error),
            spread=None if self.spread is None else summed(self.spread),
            granularity=granularity if isinstance(granularity, str) else "spans",
        )

    @classmethod
    def from_shap(
        cls,
        explanation: shap.Explanation,
        *,
        index: int | None = None,
        unit: Unit = "value",
        target: str = "",
        model: str = "",
    ) -> Attribution:
        """Take over what shap found for a text.

        Args:
            explanation: Of one text, or of several.
            index: Which one, of several.
            unit: Of its values, which shap does not know.
            target: What was explained; the names of its outputs by default.
            model: Which model, for provenance.

        Raises:
            ResultError: It is something else than an explanation of a text.
        """
        found = interop.from_shap(explanation, index)
        found |= {"target": target} if target else {}
        return cls(method="shap", title="SHAP", unit=unit, **_imported(model), **found)

    @classmethod
    def from_lime(cls, explanation: Any, *, model: str = "") -> Attribution:  # noqa: ANN401
        """Take over what lime's ``LimeTextExplainer`` found, a row a label.

        Args:
            explanation: A ``lime.explanation.Explanation`` of a text.
            model: Which model, for provenance.

        Raises:
            ResultError: It is something else than an explanation of a text.
        """
        return cls(
            method="lime",
            title="LIME",
            caution="Slopes of a simpler model: with a low R² they say little.",
            **_imported(model),
            **interop.from_lime(explanation),
        )

    def to_shap(self) -> shap.Explanation:
        """Return the same numbers as a ``shap.Explanation``, for shap's own plots.

        Returns:
            ``values`` of shape (input,) for one output, else (input, output).

        Raises:
            MissingPackageError: shap is not installed.
        """
        with optional("shap", "shap"):
            import shap  # noqa: PLC0415 - needed only here

        single = len(self.outputs) == 1
        texts = np.array([token.text for token in self.inputs], dtype=object)
        return shap.Explanation(
            values=(self.scores[0] if single else self.scores.T).astype(np.float64),
            base_values=self.base_values[0] if single else self.base_values,
            data=texts,
            feature_names=list(texts),
            output_names=None if single else [token.text for token in self.outputs],
        )

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table: one row for each pair of output and input.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        with optional("pandas", "frame"):
            import pandas as pd  # noqa: PLC0415 - needed only here

        rows = []
        for o, output in enumerate(self.outputs):
            for i, token in enumerate(self.inputs):
                row = {
                    "output": o,
                    "output_text": output.text,
                    "input": i,
                    **asdict(token),
                    "score": float(self.scores[o, i]),
                }
                for name in _ERRORS:
                    array = getattr(self, name)
                    row[name] = math.nan if array is None else float(array[o, i])
                rows.append(row)
        return pd.DataFrame(rows)

    @classmethod
    def _opened(cls, said: dict[str, Any], arrays: dict[str, ndarray]) -> Self:
        found = _saved.result(cls, ModelInfo, said, _saved.ATTRIBUTION)
        if len(found.get("without", ())) > len(found["outputs"]):
            raise _schema.Wrong("it says more of outputs than there are")
        names = {name: f"neighbourhood.{name}" for name in _SEEN}
        seen = {name: arrays.pop(at) for name, at in names.items() if at in arrays}
        if seen:
            found["neighbourhood"] = Neighbourhood(**_schema.taken(seen, _SEEN))
        return cls(**(found | _schema.taken(arrays, cls._arrays, _OPTIONAL)))


def _imported(model: str) -> dict[str, Any]:
    """Return what a peer's result does not say."""
    info = ModelInfo(name=model or "not said", revision=None, dtype="", device="")
    return {"model": info, "seed": 0, "seconds": 0.0, "evaluations": 0}
