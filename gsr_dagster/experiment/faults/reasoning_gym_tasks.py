"""The tasks of the installed reasoning-gym and their options, read from its source: importing it takes seconds.

>>> sorted(task_options("chain_sum"))[:2]
['allow_negation', 'max_digits']
"""

import ast
import importlib.util
import re
from functools import cache
from pathlib import Path

TASK_NAME = re.compile(r"""^DATASET_NAME\s*=\s*['"](\w+)['"]""", re.MULTILINE)
REGISTERED = re.compile(r"""^register_dataset\(\s*(?:['"](\w+)['"]|DATASET_NAME)\s*,\s*\w+\s*,\s*(\w+)""", re.MULTILINE)
# What the project sets, from keys of the problem set.
SET_BY_US = {"size": "problems", "seed": "seed"}


@cache
def tasks() -> dict[str, tuple[Path, str]]:
    """Return every task with the file and the class of its options; nothing where reasoning-gym is not installed."""
    found = importlib.util.find_spec("reasoning_gym")
    if found is None or found.origin is None:
        return {}
    known = {}
    for path in Path(found.origin).parent.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        own = TASK_NAME.search(text)
        for name, options in REGISTERED.findall(text):
            if name or own:
                known[name or (own[1] if own else "")] = (path, options)
    return known


@cache
def task_options(task: str) -> frozenset[str] | None:
    """Return the options of a task; None where they cannot be read."""
    if task not in tasks():
        return None
    path, name = tasks()[task]
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == name and not node.bases:
            fields = [one.target for one in node.body if isinstance(one, ast.AnnAssign)]
            return frozenset(field.id for field in fields if isinstance(field, ast.Name)) - set(SET_BY_US)
    return None
