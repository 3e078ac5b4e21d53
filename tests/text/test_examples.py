"""The examples in the text room's docstrings run."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import llm_interp_widgets.text as room


@pytest.mark.parametrize("name", [module.name for module in pkgutil.iter_modules(room.__path__)])
def test_examples(name):
    found = doctest.testmod(importlib.import_module(f"{room.__name__}.{name}"))
    assert found.attempted
    assert not found.failed
