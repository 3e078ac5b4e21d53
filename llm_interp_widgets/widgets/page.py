"""PageWidget: what every view has in common: a bundle that draws it, and a page it is frozen into.

What comes in: the traits of a subclass. What goes out: a widget that can be shown, closed and
written to one HTML file that works offline.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import anywidget
import traitlets

from llm_interp_widgets.errors import ClosedWidgetError
from llm_interp_widgets.export.bundles import bundle, templates
from llm_interp_widgets.export.page import View, render_page, write_page
from llm_interp_widgets.words import ENGLISH, follow, language, translations

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from pathlib import Path


class PageWidget(anywidget.AnyWidget):
    """A view that can stand in a notebook and on a page.

    Its trait ``words`` holds the translations that its bundles need; none for English.
    """

    bundle_name: ClassVar[str]
    part_names: ClassVar[tuple[str, ...]] = ()
    """Bundles that the view loads when it needs them."""
    shared_traits: ClassVar[tuple[str, ...]] = ()
    """Traits that a page holds."""

    words = traitlets.Dict().tag(sync=True)

    def __init__(self, **traits: Any) -> None:  # noqa: ANN401
        """Take the traits of the subclass."""
        self._esm = bundle(self.bundle_name)  # may fail: before there is anything to close
        self._closed = False
        super().__init__(words=self._translated(), **traits)
        follow(self)

    def retell(self) -> None:
        """Say everything again: the language is another one."""
        if not self._closed:
            self.words = self._translated()

    @classmethod
    def _translated(cls) -> dict[str, str]:
        if language() == ENGLISH:
            return {}
        names = (cls.bundle_name, *cls.part_names)
        return translations(template for name in names for template in templates(name))

    @property
    def heading(self) -> str:
        """What is shown, as the title of a page."""
        raise NotImplementedError

    def to_html(
        self, path: str | os.PathLike[str], *, title: str | None = None, overwrite: bool = False
    ) -> Path:
        """Write one HTML file that works offline; waits for what is still running.

        Args:
            path: Where to.
            title: Of the page; what is explained by default.
            overwrite: Replace a file that is there.

        Raises:
            ClosedWidgetError: The widget was closed.
            ExportError: The file is there, or cannot be written.
        """
        return write_views(path, [self], title=title, overwrite=overwrite)

    def view(self) -> View:
        """Return the frozen view: bundle and state, for an export.

        Raises:
            ClosedWidgetError: The widget was closed.
        """
        self._check_open("export")
        self._settle()
        state = {name: getattr(self, name) for name in ("words", *self.shared_traits)}
        return View(bundle=self.bundle_name, state=state, parts=self.part_names)

    def close(self) -> None:
        """Take the widget off the screen."""
        self._closed = True
        super().close()

    def _settle(self) -> None:
        """Wait until the traits are final."""

    def _check_open(self, what: str) -> None:
        if self._closed:
            raise ClosedWidgetError(f"Cannot {what}: this widget was closed. Make the view again.")


def write_views(
    path: str | os.PathLike[str],
    widgets: Sequence[PageWidget],
    *,
    title: str | None,
    overwrite: bool,
) -> Path:
    """Freeze several views into one HTML file; see ``save_html``."""
    views = [widget.view() for widget in widgets]
    return write_page(path, render_page(views, title or widgets[0].heading), overwrite=overwrite)
