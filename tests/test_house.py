"""The rules of the house that no linter knows: small modules, rooms that are looked over at once, declared packages."""

import ast
import re
import sys
import tomllib
from collections import Counter
from importlib.metadata import packages_distributions
from pathlib import Path

from tests.places import PROJECT

MOST_LINES = 300
MOST_MODULES = 14
ROOMS = ("gsr_dagster", "assets", "resources", "tests", "bench")
MODULES = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py")]
TEMPLATES = list((PROJECT / "resources").rglob("*.j2"))
SHIPPED = ("gsr_dagster", "assets", "resources")


def test_no_module_or_template_is_longer_than_a_few_screens():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES + TEMPLATES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_room_holds_more_modules_than_one_look_takes_in():
    counts = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {room: count for room, count in counts.items() if count > MOST_MODULES} == {}


def test_every_package_that_a_shipped_module_imports_is_declared():
    imported = {name for path in MODULES if path.relative_to(PROJECT).parts[0] in SHIPPED for name in imports_of(path)}
    distributions = packages_distributions()
    packages = {
        normalised(distributions.get(name, [name])[0]) for name in imported - {*SHIPPED, *sys.stdlib_module_names}
    }
    assert packages - declared() == set()


def imports_of(module: Path) -> set[str]:
    """Return the top-level names that a module imports, inside its functions too."""
    nodes = list(ast.walk(ast.parse(module.read_text(encoding="utf-8"))))
    plain = [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
    named = [node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level]
    return {name.partition(".")[0] for name in plain + named}


def declared() -> set[str]:
    """Return the distributions that pyproject.toml names, of the core and of every extra."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    requirements = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    return {normalised(re.split(r"[^\w.-]", requirement)[0]) for requirement in requirements}


def normalised(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()
