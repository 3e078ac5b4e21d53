"""Saved notebooks as pages, without a browser: what must not be on them, and damaged ones."""

from __future__ import annotations

import nbformat
import pytest

from llm_interp_widgets.export._boxes import VIEW
from llm_interp_widgets.export._payload import islands
from llm_interp_widgets.export.notebook import LiwHTMLExporter

STATE = "application/vnd.jupyter.widget-state+json"


def shown(name, words=""):
    """An output that shows a widget."""
    data = {VIEW: {"model_id": name}, "text/plain": words}
    return nbformat.v4.new_output("display_data", data)


def page(widgets, *names):
    """The page of a notebook that shows these widgets."""
    cell = nbformat.v4.new_code_cell("show()", outputs=[shown(name) for name in names])
    notebook = nbformat.v4.new_notebook(cells=[cell], metadata={"widgets": widgets})
    return LiwHTMLExporter().from_notebook_node(notebook)[0]


def test_a_password_is_nowhere_on_the_page():
    import ipywidgets

    secret = ipywidgets.Password("s3cret", description="key:")
    password = {"model_name": "PasswordModel", "state": secret.get_state()}
    inside = {"children": ["IPY_MODEL_password"], "titles": ["one"], "selected_index": 0}
    caught = [shown("password", repr(secret)), shown("gone", repr(secret))]
    models = {
        "password": password,
        "box": {"model_name": "VBoxModel", "state": inside},
        "tab": {"model_name": "TabModel", "state": inside},
        "out": {"model_name": "OutputModel", "state": {"outputs": caught}},
        "live": {"model_name": "AnyModel", "state": {"_esm": "export default {}", **inside}},
    }
    secret.close()
    found = page({STATE: {"state": models}}, "password", "box", "tab", "out", "live")
    assert found.count("<p>key: ••••</p>") == 4
    (island,) = islands(found)
    assert [one["id"] for one in island["models"]] == ["live"]
    assert "s3cret" not in found + str(island)


@pytest.mark.parametrize(
    "widgets",
    [
        None, [], 1, "text", {}, {STATE: None}, {STATE: []}, {STATE: {}},
        {STATE: {"state": None}}, {STATE: {"state": ["w"]}}, {STATE: {"state": "w"}},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_not_as_jupyter_saves_it_is_nothing_saved(widgets):
    assert "This widget was not saved with the notebook." in page(widgets, "w")
