"""What the fuzzing draws from, how it changes a document, and what a command may say of the result."""

import copy
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from gsr_dagster.commands.main import main
from tests.journeys.reliability.full_numbers import times

CASES = settings(
    max_examples=times(100, 10_000),
    deadline=None,
    database=None,
    derandomize=times(1, 0) == 1,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate],  # a case that fails is small enough as it is
)
ROLLOUT = {"temperature": 1.0, "max_new_tokens": 16}

NAMES = st.sampled_from([
    "", ".", "..", "../x", "../../etc/passwd", "/etc/passwd", "a/../../b", "a\0b", "x" * 300, "x" * 5000, "a|b", "a,b",
    "*", "[a-z]", "~", "~nobody/x", "a b", "\x1b[31m", "\u202ea", "\ud800", "é", "x...y", "con", "-rf", "$HOME", "%s",
    "{0}", "{{7*7}}", "<b>", "[bold]", "[/x]", "a:b", "s3://x/y", "http://127.0.0.1:9/", "file:///etc/passwd", "nan",
])  # fmt: skip
# What fits here and there: so that not every file is refused at the door.
FITTING = st.sampled_from([1, 2, 3, 4, 8, 64, 0.5, 0.9, True, None, "x", "7b", "1e3", "llama-tiny", "said-1b", "exact"])
SCALARS = (
    NAMES
    | st.text(max_size=20)
    | st.integers()
    | st.sampled_from([0, -1, 1, 2**31, 2**63, 2**64, 10**30, 10**400, -(10**30)])
    | st.floats()
    | st.booleans()
    | st.none()
    | st.dates()
)
VALUES = st.recursive(SCALARS, lambda v: st.lists(v, max_size=3) | st.dictionaries(NAMES, v, max_size=3), max_leaves=6)
# As they stand in a YAML file: what a structure cannot say.
FRAGMENTS = [
    "k: " + "1" * 5000, "k: 1:59:59:59", "k: 0o9", "k: 2024-13-45", "k: !!int x", "k: !!bool x", "k: !!timestamp x",
    "k: !!float x", "k: !!binary x", "k: !!python/object/apply:os.system [id]", "k: &a [*a]", "a: &a {b: *a}",
    "k: 4\nk: 5", "? [a]\n: b", "? {a: b}\n: c", "<<: [{k: 1}, {k: 2}]", "<<: 3", "k: *nowhere", "=: 1", "%YAML 9.9",
    "k: " + "[" * 3000, "k: " + "{a: " * 3000, "k: " + "[" * 60 + "]" * 60, "--- 1\n--- 2", "k: \0", "k: \x1b[31m",
    "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
    "m0: &m0 {k: 1}\n" + "".join(f"m{n}: &m{n} {{<<: [*m{n - 1}, *m{n - 1}]}}\n" for n in range(1, 40)),
    "# " + "x" * 300_000, "\ufeff", "\ud7ff\ufffe", "k: !!set {a}", "k: !!omap 3", "k: |\n  \u2028", "\t", "@", "`", "''",
    "# fitting", "", "seed: 9", "ks: [1]", "contamination: block", "students: {}", "aggregations: {}",
]  # fmt: skip


def mutated(document: Any, data: st.DataObject, values: st.SearchStrategy) -> Any:
    """Return a document with some places changed: another value, gone, another name, one more."""
    document = copy.deepcopy(document)
    for _ in range(data.draw(st.sampled_from([1, 1, 2, 3]))):
        node = document
        while True:
            keys = list(node) if isinstance(node, dict) else list(range(len(node)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if isinstance(node[key], dict | list) and data.draw(st.integers(0, 3)):
                node = node[key]
                continue
            change = data.draw(st.sampled_from(["value", "gone", "renamed", "more"]))
            if change == "value":
                node[key] = data.draw(FITTING if data.draw(st.booleans()) else values)
            elif change == "gone":
                del node[key]
            elif isinstance(node, dict):
                name = data.draw(NAMES)
                node[name] = node.pop(key) if change == "renamed" else data.draw(values)
            break
    return document


def broken(content: bytes, data: st.DataObject) -> bytes:
    """Return bytes cut off, changed in a place, written twice, in another encoding, or other bytes."""
    where = data.draw(st.integers(0, len(content)))
    return data.draw(
        st.one_of(
            st.just(content[:where]),
            st.binary(max_size=4).map(lambda some: content[:where] + some + content[where + len(some) :]),
            st.just(content[where:] + content),
            st.just(content.decode("utf-8", "replace").encode("utf-16")),
            st.just(b"\xef\xbb\xbf" + content),
            st.binary(max_size=200),
        )
    )


def told(result: Result) -> str:
    """Return what a command said, which is success or one clear error."""
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise AssertionError(f"a traceback: {result.exception!r}") from result.exception
    assert result.exit_code in (0, 1, 2), result.output
    if result.exit_code:
        assert "Error: " in result.output or "BROKEN, " in result.output
    assert "Traceback" not in result.output
    assert all(c.isprintable() or c in "\n\t" for c in result.output), result.output
    return result.output


def gsr(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])
