"""The mutation gate: planted numeric bugs, each of which the tests must find.

What comes in: ``mutants.toml``, a list of bugs: a file, what stands there, what is planted
instead, and the tests whose business it is. What goes out: a line a bug with the test that
killed it; exit status 1 if one survives, or if a bug can no longer be planted.

Each bug is planted in a copy of the package and tried in a fork of one process that has
torch loaded already; the working tree is never touched.

    python tests/mutants/gate.py [--few] [name …]
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import shutil
import sys
import tempfile
import time
import tomllib
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = "llm_interp_widgets"
# What transformers brings along was imported before pytest could look at it.
QUIET = ("-W", "ignore:Module already imported so cannot be rewritten")
LIMIT = 300  # seconds a mutant; one that hangs is killed, and counts as found


@dataclass(frozen=True)
class Mutant:
    """One planted bug.

    Attributes:
        name: What is wrong, in words.
        file: In the package.
        old: What stands there, exactly once.
        new: What is planted.
        tests: Arguments of pytest.
        few: Part of the subset that every test run tries.
    """

    name: str
    file: str
    old: str
    new: str
    tests: list[str]
    few: bool = False


def mutants() -> list[Mutant]:
    with (Path(__file__).parent / "mutants.toml").open("rb") as file:
        return [Mutant(**entry) for entry in tomllib.load(file)["mutant"]]


def planted(mutant: Mutant, folder: Path) -> None:
    """Copy what the tests need, with the bug in it."""
    ignore = shutil.ignore_patterns("__pycache__", "node_modules")
    for name in (PACKAGE, "tests", "js/src"):
        shutil.copytree(ROOT / name, folder / name, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", folder)
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    (folder / ".cache").symlink_to(cache)  # the converted model
    path = folder / PACKAGE / mutant.file
    text = path.read_text(encoding="utf-8")
    if text.count(mutant.old) != 1:
        raise SystemExit(
            f"{mutant.name}: {mutant.old!r} stands {text.count(mutant.old)} times in "
            f"{mutant.file}; it must stand there once. Mend tests/mutants/mutants.toml."
        )
    path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")


def tried(mutant: Mutant, folder: Path, log: Path) -> None:
    """Run the tests on the copy; in a process of its own, which ends here."""
    os.chdir(folder)
    sys.path[:] = [str(folder), *(p for p in sys.path if p not in ("", str(ROOT)))]
    import pytest

    with log.open("w") as out, redirect_stdout(out), redirect_stderr(out):
        options = ["-x", "-q", "--no-header", "--tb=line", *QUIET]
        status = pytest.main([*options, "-m", "not browser", *mutant.tests])
    os._exit(int(status))


def killer(mutant: Mutant) -> str | None:
    """Return the test that found the bug; ``None`` if none did."""
    with tempfile.TemporaryDirectory() as name:
        folder, log = Path(name) / "tree", Path(name) / "log"
        folder.mkdir()
        planted(mutant, folder)
        process = multiprocessing.get_context("fork").Process(
            target=tried, args=(mutant, folder, log)
        )
        process.start()
        process.join(LIMIT)
        if process.is_alive():
            process.kill()
            return "(time ran out)"
        text = log.read_text() if log.exists() else ""
        if process.exitcode == 0:
            return None
        found = re.search(r"^(?:FAILED|ERROR) (\S+)", text, re.MULTILINE)
        if process.exitcode != 1 or not found or found[0].startswith("ERROR tests/conftest"):
            raise SystemExit(f"{mutant.name}: the tests did not run.\n{text[-2000:]}")
        return found[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("--few", action="store_true", help="the quick subset")
    parser.add_argument("names", nargs="*", help="only mutants whose name holds one of these")
    given = parser.parse_args()
    chosen = [
        m for m in mutants()
        if (m.few or not given.few) and (not given.names or any(n in m.name for n in given.names))
    ]  # fmt: skip
    os.environ |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    import torch
    import transformers

    torch.set_num_threads(1)  # a fork of a process with threads hangs
    _ = transformers.AutoModelForCausalLM
    survivors = 0
    for mutant in chosen:
        started = time.perf_counter()
        test = killer(mutant)
        survivors += test is None
        verdict = f"killed by {test}" if test else "SURVIVED"
        print(f"{time.perf_counter() - started:6.1f} s  {mutant.name}: {verdict}", flush=True)
    print(f"{len(chosen)} planted, {len(chosen) - survivors} killed")
    sys.exit(survivors > 0)


if __name__ == "__main__":
    main()
