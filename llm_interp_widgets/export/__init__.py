"""Export: frozen views in one offline HTML file."""

from llm_interp_widgets.export.bundles import bundle
from llm_interp_widgets.export.page import View, render_page, write_page
from llm_interp_widgets.export.snapshot import snapshot

__all__ = ["View", "bundle", "render_page", "snapshot", "write_page"]
