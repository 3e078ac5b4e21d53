"""See what a language model does, inside a notebook.

    >>> import llm_interp_widgets as liw
    >>> lm = liw.load()  # doctest: +SKIP
    >>> liw.explain(lm, "The capital of France is", " Paris")  # doctest: +SKIP

Importing this package is cheap: torch, transformers and Jupyter are loaded by the first
call that needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llm_interp_widgets import errors
    from llm_interp_widgets.api import (
        attend,
        attention,
        attribute,
        compare,
        explain,
        generate,
        interactions,
        load,
        wrap,
    )
    from llm_interp_widgets.methods.base import MethodTable
    from llm_interp_widgets.models.record import AttentionRecord
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.interactions import Interactions
    from llm_interp_widgets.results.result import ModelInfo
    from llm_interp_widgets.targets import (
        Contrast,
        Generate,
        Logit,
        LogProb,
        Masked,
        Prob,
        Similarity,
    )
    from llm_interp_widgets.text.tokens import Token
    from llm_interp_widgets.widgets.attention_browser import AttentionBrowser
    from llm_interp_widgets.widgets.beeswarm import Beeswarm
    from llm_interp_widgets.widgets.compare import Compare
    from llm_interp_widgets.widgets.embed import embed
    from llm_interp_widgets.widgets.generation_view import GenerationView
    from llm_interp_widgets.widgets.lime_view import LimeView
    from llm_interp_widgets.widgets.save import save_html
    from llm_interp_widgets.widgets.shap_bar import ShapBar
    from llm_interp_widgets.widgets.shap_force import ShapForce
    from llm_interp_widgets.widgets.shap_waterfall import ShapWaterfall
    from llm_interp_widgets.widgets.show import (
        bar,
        beeswarm,
        force,
        generation,
        highlight,
        lime,
        waterfall,
    )
    from llm_interp_widgets.widgets.token_highlighter import TokenHighlighter
    from llm_interp_widgets.words import language

    def methods() -> MethodTable:
        """Return the table of methods: what each means, needs, costs and promises."""


__version__ = "0.1.0"

_HOMES = {
    "api": (
        "attend",
        "attention",
        "attribute",
        "compare",
        "explain",
        "generate",
        "interactions",
        "load",
        "wrap",
    ),
    "models.record": ("AttentionRecord",),
    "results.attribution": ("Attribution",),
    "results.interactions": ("Interactions",),
    "results.result": ("ModelInfo",),
    "targets": ("Contrast", "Generate", "LogProb", "Logit", "Masked", "Prob", "Similarity"),
    "text.tokens": ("Token",),
    "widgets.attention_browser": ("AttentionBrowser",),
    "widgets.beeswarm": ("Beeswarm",),
    "widgets.compare": ("Compare",),
    "widgets.embed": ("embed",),
    "widgets.generation_view": ("GenerationView",),
    "widgets.lime_view": ("LimeView",),
    "widgets.save": ("save_html",),
    "widgets.shap_bar": ("ShapBar",),
    "widgets.shap_force": ("ShapForce",),
    "widgets.shap_waterfall": ("ShapWaterfall",),
    "widgets.show": ("bar", "beeswarm", "force", "generation", "highlight", "lime", "waterfall"),
    "widgets.token_highlighter": ("TokenHighlighter",),
    "words": ("language",),
}
_HOME = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AttentionBrowser",
    "AttentionRecord",
    "Attribution",
    "Beeswarm",
    "Compare",
    "Contrast",
    "Generate",
    "GenerationView",
    "Interactions",
    "LimeView",
    "LogProb",
    "Logit",
    "Masked",
    "ModelInfo",
    "Prob",
    "ShapBar",
    "ShapForce",
    "ShapWaterfall",
    "Similarity",
    "Token",
    "TokenHighlighter",
    "attend",
    "attention",
    "attribute",
    "bar",
    "beeswarm",
    "compare",
    "embed",
    "errors",
    "explain",
    "force",
    "generate",
    "generation",
    "highlight",
    "interactions",
    "language",
    "lime",
    "load",
    "methods",
    "save_html",
    "waterfall",
    "wrap",
]


def __getattr__(name: str) -> object:
    """Load a public name from its room on first use."""
    if name in ("errors", "methods"):
        return import_module(f"llm_interp_widgets.{name}")
    if name in _HOME:
        value = getattr(import_module(f"llm_interp_widgets.{_HOME[name]}"), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module 'llm_interp_widgets' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
