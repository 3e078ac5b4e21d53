"""Widgets: one thin anywidget class a view. The only room that knows Jupyter."""
