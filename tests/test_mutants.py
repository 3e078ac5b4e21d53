"""The tests find planted bugs: a quick subset here, all of them by ``make mutants``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

GATE = Path(__file__).parent / "mutants" / "gate.py"


@pytest.mark.slow
def test_planted_bugs_are_found():
    command = [sys.executable, GATE, "--few"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SURVIVED" not in done.stdout
    assert not done.stdout.startswith("0 planted")
