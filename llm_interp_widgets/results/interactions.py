"""Interactions: what pairs of inputs do together to each output, with what is needed to trust it.

What comes in: matrices, tokens and provenance. What goes out: an immutable record that can
be saved to one file (see ``_file``) and opened again on a machine without torch.
"""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np

from llm_interp_widgets.errors import ParameterError, ResultError, optional
from llm_interp_widgets.results import _saved, _schema
from llm_interp_widgets.results.result import ModelInfo, Result

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from jaxtyping import Float32, Float64
    from numpy import ndarray


@dataclass(frozen=True, kw_only=True, eq=False)
class Interactions(Result):
    """What pairs of inputs do together to each output, exactly. Position is the key.

    Attributes:
        values: (output, input, input) in ``unit``, symmetric: the pair's whole interaction at
            both of its places, so count each pair once. The diagonal is what each input does
            by itself under this index. 0 for pieces that are never switched off.
        inputs: Pieces of the prompt, in order, special tokens included.
        outputs: What is explained, one per matrix.
        base_values: (output,) target with every feature switched off.
        output_values: (output,) target on the prompt as it is.
        completeness_gap: (output,) |diagonal + each pair once − (output − base)| /
            |output − base|; ``None`` for an index that does not add up ("SII").
        index: ``"k-SII"``, ``"SII"`` or ``"STII"``.
        off: How pieces were switched off, in words.
        note: What looked like a slip in the question; empty if nothing did.
        params: Parameters, as plain JSON values; "auto" is resolved.
        granularity: What was switched off together.
        target: What was explained, in words.
        unit: ``"logit"``, ``"log_prob"``, ``"prob"``, ``"cosine"`` or ``"value"``.
        prompt: The text, rendered.
        model: Which model, in which precision, where.
        seconds: Wall-clock time.
        evaluations: Inputs scored by the model.
        hidden: How much of the text is covered, in words; see ``redacted``.
    """

    _kind: ClassVar[str] = "interaction matrix"
    _arrays: ClassVar[Mapping[str, str]] = {
        "values": "f4", "base_values": "f8", "output_values": "f8", "completeness_gap": "f8",
    }  # fmt: skip

    values: Float32[ndarray, "output input input"]
    completeness_gap: Float64[ndarray, " output"] | None
    index: str

    def __post_init__(self) -> None:
        """Check the shapes and make the arrays read-only.

        Raises:
            ResultError: The arrays do not fit the tokens, or a matrix is not symmetric.
        """
        outputs, inputs = len(self.outputs), len(self.inputs)
        for name in self._arrays:
            value = getattr(self, name)
            if value is None and name == "completeness_gap":
                continue
            array = np.array(value, dtype=np.float32 if name == "values" else np.float64)
            shape = (outputs, inputs, inputs) if name == "values" else (outputs,)
            if array.shape != shape:
                raise ResultError(f"{name} has shape {array.shape}; the tokens need {shape}.")
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        if not np.array_equal(self.values, self.values.swapaxes(1, 2), equal_nan=True):
            raise ResultError("values must be symmetric: the same at (i, j) and at (j, i).")

    def __repr__(self) -> str:
        """Return one line: index, target, the three strongest pairs."""
        best = ", ".join(
            f"{self.inputs[i].text!r} × {self.inputs[j].text!r} {value:+.3g}"
            for i, j, value in (self.top(3) if self.outputs else [])
        )
        return (
            f"<Interactions {self.index} of {self.target} ({self.unit}): {best or 'no pairs'}; "
            f"exact, {self.evaluations} evaluations>"
        )

    def top(self, n: int = 10, output: int = 0) -> list[tuple[int, int, float]]:
        """Return the strongest pairs, strongest first.

        Args:
            n: How many; fewer if there are fewer pairs.
            output: Which matrix.

        Returns:
            (input i, input j, value) with i < j; pieces that are never switched off are left out.

        Raises:
            ParameterError: No such output, or ``n`` is not a whole number of at least 1.
        """
        if isinstance(n, bool) or not isinstance(n, Integral) or n < 1:
            raise ParameterError(f"n={n!r} must be a positive whole number.")
        if not 0 <= output < len(self.outputs):
            raise ParameterError(
                f"output={output!r} does not exist; there are {len(self.outputs)}."
            )
        matrix = self.values[output]
        pairs = [(i, j) for i, j in self._pairs() if i != j]
        pairs.sort(key=lambda pair: -abs(float(matrix[pair])))
        return [(i, j, float(matrix[i, j])) for i, j in pairs[: int(n)]]

    def to_frame(self) -> pd.DataFrame:
        """Return a tidy table: one row for each output and pair i ≤ j; i = j is the diagonal.

        Raises:
            MissingPackageError: pandas is not installed.
        """
        with optional("pandas", "frame"):
            import pandas as pd  # noqa: PLC0415 - needed only here

        rows = [
            {
                "output": o,
                "output_text": output.text,
                "input": i,
                "text": self.inputs[i].text,
                "other": j,
                "other_text": self.inputs[j].text,
                "value": float(self.values[o, i, j]),
            }
            for o, output in enumerate(self.outputs)
            for i, j in self._pairs()
        ]
        return pd.DataFrame(rows)

    @classmethod
    def _opened(cls, said: dict[str, Any], arrays: dict[str, ndarray]) -> Self:
        found = _saved.result(cls, ModelInfo, said, _saved.INTERACTIONS)
        found |= {"completeness_gap": None}
        return cls(**(found | _schema.taken(arrays, cls._arrays, ("completeness_gap",))))

    def _pairs(self) -> list[tuple[int, int]]:
        """Return (i, j) with i ≤ j of what can be switched off."""
        features = [i for i, token in enumerate(self.inputs) if not token.special]
        return [(i, j) for i in features for j in features if i <= j]


def completeness_gap(
    values: Float32[ndarray, "output input input"],
    base_values: Float64[ndarray, " output"],
    output_values: Float64[ndarray, " output"],
) -> Float64[ndarray, " output"]:
    """Return the share of output − base that diagonal and pairs fail to add up to.

    Args:
        values: Symmetric matrices; each pair counts once.
        base_values: Target with everything off.
        output_values: Target with everything on.
    """
    wanted = output_values - base_values
    explained = np.triu(values.astype(np.float64)).sum(axis=(1, 2))
    size = np.maximum(np.abs(wanted), np.finfo(np.float32).eps)
    gap: ndarray = np.abs(explained - wanted) / size
    return gap
