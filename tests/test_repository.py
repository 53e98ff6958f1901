"""The repository itself: sizes of files, stubs, targets of make and settings are what the pages say."""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import weightsharing
from strategies.folders import REPOSITORY
from weightsharing import _core

pytestmark = pytest.mark.python_only

MOST_LINES = 500
# Files that are longer, and why: a reason for each. A line goes when its file is short enough.
LONGER: dict[str, str] = {}

PAGES = [REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md")] + sorted(
    REPOSITORY.glob("docs/*.md")
)
SETTINGS = REPOSITORY / "docs" / "settings.md"
SOURCES = {".py", ".pyi", ".h", ".cpp", ".cuh", ".cu", ".def", ".sh"}


def files(*folders: str) -> Iterator[Path]:
    for folder in folders:
        for file in sorted((REPOSITORY / folder).rglob("*")):
            if file.suffix in SOURCES and "__pycache__" not in file.parts:
                yield file


def test_files_are_short() -> None:
    lengths = {
        str(file.relative_to(REPOSITORY)): len(file.read_text().splitlines())
        for file in files("python", "csrc", "tests")
    }
    longer = {name for name, lines in lengths.items() if lines > MOST_LINES}
    assert longer - LONGER.keys() == set(), f"more than {MOST_LINES} lines: divide them by topic"
    assert LONGER.keys() - longer == set(), "short enough, or gone: take them out of LONGER"


def members(body: list[ast.stmt]) -> set[str]:
    """Public names that a module or class of a stub defines."""
    names = set()
    for statement in body:
        if isinstance(statement, ast.FunctionDef | ast.ClassDef):
            names.add(statement.name)
        elif isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            names.add(statement.target.id)
    return {name for name in names if not name.startswith("_")}


def test_the_stub_names_what_the_module_has() -> None:
    stub = ast.parse((REPOSITORY / "python" / "weightsharing" / "_core.pyi").read_text())
    assert members(stub.body) == {name for name in vars(_core) if not name.startswith("_")}
    for each in stub.body:
        if isinstance(each, ast.ClassDef) and not each.name.startswith("_"):
            there = {name for name in vars(getattr(_core, each.name)) if not name.startswith("_")}
            assert members(each.body) == there, each.name


def targets() -> set[str]:
    """What the Makefile offers."""
    phony = re.search(r"^\.PHONY: (.*)$", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    return set(phony.group(1).split())


def test_targets_of_make_are_there() -> None:
    for page in PAGES:
        # In code: an indented line, or between backquotes.
        for target in re.findall(r"(?:^    |`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
            assert target in targets(), f"{page.name} names make {target}"


def test_make_help_lists_all_targets() -> None:
    listed = re.findall(r'@echo "make ([a-z-]+) ', (REPOSITORY / "Makefile").read_text())
    assert sorted(listed) == sorted(targets() - {"help"})


def documented(section: str) -> set[str]:
    """What the first column of the table in a section of the page of settings names."""
    text = SETTINGS.read_text().split(f"## {section}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)=", text, re.MULTILINE))


def ours(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("WEIGHTSHARING_")}


def test_environment_variables_are_documented() -> None:
    reading = re.compile(
        r'(?:getenv\(|environ\.get\(|environ\[)\s*"(WEIGHTSHARING_\w+)"(?!\] =)|"(WEIGHTSHARING_\w+)" in os\.environ'
    )
    read = set()
    for file in files("python", "csrc", "tests", "bench"):
        for names in reading.findall(file.read_text()):
            read |= set(names) - {""}
    assert ours(documented("Environment variables")) == read


def test_options_of_the_build_are_documented() -> None:
    options = set()
    for file in [REPOSITORY / "CMakeLists.txt", *(REPOSITORY / "csrc").rglob("CMakeLists.txt")]:
        text = file.read_text()
        options |= set(re.findall(r"^option\((\w+)", text, re.MULTILINE))
        options |= set(re.findall(r"^set\((\w+) .*CACHE", text, re.MULTILINE))
    assert ours(documented("Options of the build")) == options


def test_the_source_distribution_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    backend = pytest.importorskip("scikit_build_core.build")
    monkeypatch.chdir(REPOSITORY)
    with tarfile.open(tmp_path / backend.build_sdist(str(tmp_path))) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    made_from = {str(file.relative_to(REPOSITORY)) for file in files("python", "csrc", "tests/emulation")}
    assert made_from | {"CMakeLists.txt", "csrc/cuda/CMakeLists.txt", "cmake/embed_kernels.cmake"} <= names
    assert not [name for name in names if name.startswith(("build/", ".venv"))]


PACKAGE = REPOSITORY / "python" / "weightsharing"
# The compiled modules, and who may import or load them.
DOORS = {
    "_core": "backends/core.py",
    "_cuda": "backends/device_modules.py",
    "_cupy": "backends/device_modules.py",
}


def trees() -> Iterator[tuple[str, ast.Module]]:
    """Every file of the package, by its path in it."""
    for file in sorted(PACKAGE.rglob("*.py")):
        yield str(file.relative_to(PACKAGE)), ast.parse(file.read_text())


def test_compiled_modules_have_one_door() -> None:
    found = {
        (module, path)
        for path, tree in trees()
        for node in ast.walk(tree)
        for module in DOORS
        if (isinstance(node, ast.ImportFrom) and module in {alias.name for alias in node.names})
        or (isinstance(node, ast.ImportFrom) and node.module == f"weightsharing.{module}")
        or (
            isinstance(node, ast.Constant)
            and node.value in (module, f"{module}_emulated", f"weightsharing.{module}")
        )
    }
    assert found == set(DOORS.items())


def test_only_backends_ask_for_the_class_of_a_backend() -> None:
    own = {
        node.name
        for path, tree in trees()
        if path.startswith("backends/")
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and node.name.endswith(("Executor", "Runner"))
    }
    assert "CudaRunner" in own
    asked = {
        (path, name.id)
        for path, tree in trees()
        if not path.startswith("backends/")
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "isinstance"
        for name in ast.walk(node.args[1])
        if isinstance(name, ast.Name) and name.id in own
    }
    assert asked == set()


def test_folders_say_nothing_by_themselves() -> None:
    """An ``__init__.py`` below the top is empty, or a docstring and a list of names."""
    for path, tree in trees():
        if path.endswith("/__init__.py"):
            for node in tree.body:
                text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
                assert text or isinstance(node, ast.ImportFrom | ast.Assign), (path, ast.unparse(node))


def test_no_folder_has_the_name_of_a_public_function() -> None:
    """Importing it would replace the function, except where the package takes the function first."""
    folders = {folder.name for folder in PACKAGE.iterdir() if folder.is_dir()}
    assert folders & set(weightsharing.__all__) == {"backends", "temporal"}
    assert callable(weightsharing.backends)  # and `temporal` is the folder itself
