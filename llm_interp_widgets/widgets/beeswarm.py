"""Beeswarm: what words do across many texts, a dot a text."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import traitlets

from llm_interp_widgets import wire
from llm_interp_widgets.results.collection import check_by
from llm_interp_widgets.results.describe import fact_told
from llm_interp_widgets.widgets.page import PageWidget
from llm_interp_widgets.words import retold, say

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from llm_interp_widgets.results.collection import By, Collection
    from llm_interp_widgets.results.redaction import Cover

_LAST_OF_ONE_UNIT = 0xFFFF


class Beeswarm(PageWidget):
    """Explanations of many texts: a row a word, a dot a text; or a bar a word.

    Traits:
        selected: Index of the text that is shown in full, both ways; ``None`` for none.
        output: Which output is shown, both ways.
        plot: ``"dots"`` or ``"bars"`` (mean |score|), both ways.
        color: Dots by ``"output"`` (what the model says of the text) or ``"count"`` (how often
            the text has the word), both ways. Given numbers are always the colour of their dots.
        least: Words of fewer texts are left out, both ways.
        rows: How many rows are shown at first.
    """

    bundle_name: ClassVar[str] = "beeswarm"
    shared_traits: ClassVar[tuple[str, ...]] = (
        "data", "by", "selected", "output", "plot", "color", "least", "rows",
    )  # fmt: skip
    browser_traits: ClassVar[tuple[str, ...]] = (
        *PageWidget.browser_traits, "selected", "output", "plot", "color", "least",
    )  # fmt: skip

    data = traitlets.Dict().tag(sync=True)
    by = traitlets.Dict().tag(sync=True)
    selected = traitlets.Int(None, allow_none=True).tag(sync=True)
    output = traitlets.Int(0).tag(sync=True)
    plot = traitlets.Enum(("dots", "bars"), "dots").tag(sync=True)
    color = traitlets.Enum(("output", "count"), "output").tag(sync=True)
    least = traitlets.Int(1, min=1).tag(sync=True)
    rows = traitlets.Int(15, min=1).tag(sync=True)

    @traitlets.validate("selected", "output")
    def _check_index(self, proposal: dict[str, Any]) -> int | None:
        value: int | None = proposal["value"]
        name = proposal["trait"].name
        kept = self.collection
        size = len(kept.texts) if name == "selected" else len(kept.scores)
        if value is not None and not 0 <= value < size:
            msg = f"{name}={value} is out of range; there are {size}, counted from 0."
            raise traitlets.TraitError(msg)
        return value

    def __init__(
        self,
        collection: Collection,
        by: By | Mapping[str, Iterable[Any]] = "word",
        **traits: Any,  # noqa: ANN401
    ) -> None:
        """Show a collection.

        Args:
            collection: Explanations of many texts.
            by: What a row is; see ``Collection.groups``.
            **traits: Initial traits.

        Raises:
            ParameterError: There is no such grouping.
        """
        kind, named = check_by(by, len(collection.texts))
        self.collection = collection
        traits.setdefault("least", collection.least(by))
        super().__init__(
            data=dict(packed(collection)), by={"kind": kind, "groups": named}, **traits
        )

    def _covered(self, cover: Cover) -> dict[str, Any]:
        kept = cover.over_texts(self.collection)
        groups = {cover.text(name): cover.words(given) for name, given in self.by["groups"].items()}
        return {"data": dict(packed(kept)), "by": {**self.by, "groups": groups}}

    @property
    def heading(self) -> str:
        """What is shown, as a title."""
        count = len(self.collection.texts)
        if count == 1:
            return say("What matters in 1 text")
        return say("What matters in {n} texts", n=f"{count:,}")

    def _retell(self) -> None:
        self.publish("data", dict(packed(self.collection)))


def packed(collection: Collection) -> wire.CollectionData:
    """Return a collection as it travels: texts, and numbers as buffers."""
    about = collection.about
    starts, ends = _units(collection)
    flags = collection.special.astype("u1") + 2 * collection.sure.astype("u1")
    return {
        "protocol": wire.PROTOCOL,
        "texts": list(collection.texts),
        "outputs": [retold(output, "output {n}") for output in collection.outputs],
        "unit": about.unit if about.effect else "score",
        "method_title": say(about.title),
        "caution": say(about.caution),
        "facts": [
            {"label": label, "value": value, "level": level}
            for label, value, level in itertools.starmap(fact_told, collection.facts)
        ],
        "offsets": collection.offsets.astype("<u4").tobytes(),
        "starts": starts.astype("<u4").tobytes(),
        "ends": ends.astype("<u4").tobytes(),
        "flags": flags.tobytes(),
        "scores": wire.pack(collection.scores),
        "base_values": wire.pack(collection.base_values),
        "output_values": wire.pack(collection.output_values),
    }


def _units(collection: Collection) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Return where pieces begin and end as the browser counts: in UTF-16 units."""
    starts, ends = collection.starts.copy(), collection.ends.copy()
    for text, first, size in zip(
        collection.texts, collection.offsets.tolist(), collection.sizes, strict=False
    ):
        if text.isascii() or max(map(ord, text)) <= _LAST_OF_ONE_UNIT:
            continue
        units = np.cumsum([0, *(1 + (ord(letter) > _LAST_OF_ONE_UNIT) for letter in text)])
        own = slice(first, first + size)
        starts[own], ends[own] = units[starts[own]], units[ends[own]]
    return starts, ends
