"""What is wrong with a file that is not YAML, or is YAML of another form, in plain words and by line."""

import re

import yaml
from yaml.constructor import SafeConstructor

from gsr_dagster.experiment.faults.examples import SMALLEST
from gsr_dagster.experiment.line_numbers import Fault

# From what PyYAML says, to what is wrong and what would be right.
SAYINGS = (
    (
        r"character '\\t' that cannot start",
        "a tab stands here, and YAML is indented with spaces: write spaces in its stead",
    ),
    (
        r"character '(.)' that cannot start",
        r"a text that begins with \1 must stand in quotes, as in "
        '"\\1…"',
    ),
    (
        "mapping values are not allowed",
        "a second ': ' stands here, or the line is indented deeper than its neighbours: a text that holds ': ' "
        'must stand in quotes, as in "hf: x", and keys of one section begin in the same column',
    ),
    (
        r"could not find expected ':'|expected ':'",
        "a key is not followed by ': ' and its value: write KEY: VALUE, with a blank behind the colon",
    ),
    (r"expected ',' or '}'", "the section in braces is not closed here, or a ',' is missing: write {a: 1, b: 2}"),
    (r"expected ',' or '\]'", "the list in brackets is not closed here, or a ',' is missing: write [1, 2]"),
    (r"unexpected end of stream|document separator", "a quote is opened here and never closed: close it"),
    (
        r"expected <block end>",
        "this line does not fit the lines above it: keys of one section begin in the same column, and a text that is "
        "followed by more must stand in quotes as a whole. Or a quote that was opened further above is not closed",
    ),
    (r"undefined alias '(.*?)'", r"*\1 stands for a value that is marked with &\1 further above, and none is: mark it"),
    (
        r"unknown escape character|escape sequence",
        r"in double quotes a \\ begins a sign such as \\n: write \\\\, or take single quotes",
    ),
    (r"expected a single document", "a second document begins here with '---': write one experiment in a file"),
    (r"could not determine a constructor|tag handle|tag", "a text that begins with '!' must stand in quotes"),
    (r"unhashable key", "a list or a section stands where a key is wanted: a key is a text, as in k: 4"),
    (r"for merging", "<< takes over the keys of a section that is marked further above: write <<: *NAME"),
    (r"sequence entries are not allowed", "a '- ' stands where no list can begin: put it on a line of its own"),
    (r"mapping keys are not allowed", "a '? ' stands where no key can begin: put the text in quotes"),
    (r"expected the node content|<document start>", "a value is missing here, or a sign too much: write KEY: VALUE"),
    (
        r"alphabetic or numeric",
        "* and & are followed by a name here: a text that begins with them must stand in quotes",
    ),
    (r"special characters", "a character stands here that no text file should hold: remove it"),
    (r"chomping or indentation|comment or a line break", "a text that begins with | or > must stand in quotes"),
    (r"directive|%", "a line that begins with % is none of the file's: put the text in quotes"),
)
ELSE = "YAML cannot read this line: write KEY: VALUE, and put texts with signs of their own in quotes"


def yaml_fault(error: yaml.YAMLError, text: str) -> Fault:
    """Return what is wrong with a text that PyYAML cannot read."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return Fault(
            (), f"a character stands here that no text file should hold, {error.character:#06x}: remove it", line
        )
    problem = str(getattr(error, "problem", None) or "")
    context = str(getattr(error, "context", None) or "")
    problem_mark, context_mark = (getattr(error, name, None) for name in ("problem_mark", "context_mark"))
    mark = problem_mark or context_mark
    # What is never closed is wrong where it begins.
    if context_mark and ("end of stream" in problem or "simple key" in context or "document separator" in problem):
        mark = context_mark
    return Fault((), _said(problem, context), mark.line + 1 if mark else 1)


def unreadable_value(root: yaml.Node | None) -> Fault | None:
    """Return the scalar that YAML takes for a number or a date that there is not, as in 2026-02-31; None without one."""
    stack = [root] if root else []
    while stack:
        node = stack.pop()
        if isinstance(node, yaml.ScalarNode):
            try:
                SafeConstructor().construct_object(node)
            except Exception:
                what = f'YAML cannot read {node.value[:60]}: write it in quotes, "{node.value[:60]}"'
                return Fault((), what, node.start_mark.line + 1)
        else:
            stack += [part for pair in node.value for part in (pair if isinstance(pair, tuple) else (pair,))]
    return None


def other_form(data: object) -> Fault | None:
    """Return what is wrong with a file that is no section: it is empty, a list or a text. None where it is one."""
    if isinstance(data, dict) and data:
        return None
    if data in (None, {}):
        said = "it is empty"
    elif isinstance(data, list):
        said = "it is a list, and keys are wanted: leave the '- ' at the beginning of its lines out"
    else:
        said = (
            f"it is one text, {str(data)[:40]!r}, and keys are wanted: write KEY: VALUE, with a blank behind the colon"
        )
    indented = "".join(f"    {line}\n" for line in SMALLEST.splitlines())
    return Fault(
        (), f"{said}. An experiment needs at least\n\n{indented}\n  `gsr init` writes one for a file of problems", 1
    )


def _said(problem: str, context: str) -> str:
    for said in (problem, context):
        for pattern, words in SAYINGS:
            if found := re.search(pattern, said):
                return found.expand(words)
    return ELSE
