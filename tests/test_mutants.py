"""The tests find planted bugs: a quick subset here, all of them by ``make mutants``."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GATE = HERE / "mutants" / "gate.py"
PACKAGE = HERE.parent / "llm_interp_widgets"


@pytest.mark.slow
def test_planted_bugs_are_found():
    command = [sys.executable, GATE, "--few"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SURVIVED" not in done.stdout
    assert not done.stdout.startswith("0 planted")


def test_every_known_bug_can_still_be_planted():
    path = HERE / "mutants" / "mutants.toml"
    lost = []
    for entry in tomllib.loads(path.read_text("utf-8"))["mutant"]:
        source = (PACKAGE / entry["file"]).read_text("utf-8")
        if source.count(entry["old"]) != 1:
            lost.append(entry["name"])
    assert lost == []
