"""Files that YAML reads in another way, or not at all, and what is said of each."""

import pytest

from tests.gsr_dagster.experiment.faults.refused import RIGHT, changed, said

# The mistake, the file with it, and every line that is said.
MISTAKES = [
    (
        "a tab",
        changed("  qwen:", "\tqwen:"),
        ["line 5: a tab stands here, and YAML is indented with spaces: write spaces in its stead"],
    ),
    (
        "a scale that is a number",
        changed("    7b:", "    7:"),
        ['line 6, families.qwen.7: a name is a text, and YAML reads 7 as a number: write it in quotes, "7"'],
    ),
    (
        "the same key twice",
        changed("seed: 1", "k: 5"),
        ["line 3, k: this key stands here twice, in line 2 too: keep one of the two"],
    ),
    (
        "a name that is a number",
        changed("name: mine", "name: 007"),
        [
            'line 1, name: a text is wanted, as in name: mine, and it says 007, which YAML reads as 7: write it in quotes, "007"'
        ],
    ),
    (
        "a name that is a date",
        changed("name: mine", "name: 2026-01-01"),
        [
            'line 1, name: a text is wanted, as in name: mine, and it says 2026-01-01, which YAML reads as a date: write it in quotes, "2026-01-01"'
        ],
    ),
    (
        "a name that is yes",
        changed("name: mine", "name: yes"),
        [
            'line 1, name: a text is wanted, as in name: mine, and it says yes, which YAML reads as true: write it in quotes, "yes"'
        ],
    ),
    (
        "a date that there is not",
        changed("name: mine", "name: 2026-02-31"),
        ['line 1: YAML cannot read 2026-02-31: write it in quotes, "2026-02-31"'],
    ),
    (
        "a blank behind hf:",
        changed('"hf:Qwen/Qwen2.5-7B@main"', "hf: Qwen/Qwen2.5-7B@main"),
        [
            "line 7: a second ': ' stands here, or the line is indented deeper than its neighbours: a text that holds ': ' must stand in quotes, as in \"hf: x\", and keys of one section begin in the same column"
        ],
    ),
    (
        "a text that begins with @",
        changed('"hf:Qwen/Qwen2.5-7B@main"', "@main"),
        ['line 7: a text that begins with @ must stand in quotes, as in "@…"'],
    ),
    (
        "a text that begins with #",
        changed('"hf:Qwen/Qwen2.5-7B@main"', "#main"),
        [
            'line 6, families.qwen.7b: source is missing: only the engines openai and recorded need no weights. Write source: "hf:ORG/NAME@main"'
        ],
    ),
    (
        "no blank behind a colon",
        changed("k: 4", "k:4"),
        ["line 3: a key is not followed by ': ' and its value: write KEY: VALUE, with a blank behind the colon"],
    ),
    (
        "a brace that is not closed",
        changed("samples: 8}", "samples: 8"),
        ["line 14: the section in braces is not closed here, or a ',' is missing: write {a: 1, b: 2}"],
    ),
    (
        "a quote that is not closed",
        RIGHT + 'checks: {most_truncated: "0.1',
        ["line 28: a quote is opened here and never closed: close it"],
    ),
    (
        "a line too far to the left",
        changed("    teacher:", "   teacher:"),
        [
            "line 23: this line does not fit the lines above it: keys of one section begin in the same column, and a text that is followed by more must stand in quotes as a whole. Or a quote that was opened further above is not closed"
        ],
    ),
    (
        "a line too far to the right",
        changed("    teacher:", "      teacher:"),
        [
            "line 23: a second ': ' stands here, or the line is indented deeper than its neighbours: a text that holds ': ' must stand in quotes, as in \"hf: x\", and keys of one section begin in the same column"
        ],
    ),
    (
        "an alias without an anchor",
        changed("{kind: vllm}", "*card"),
        ["line 9: *card stands for a value that is marked with &card further above, and none is: mark it"],
    ),
    (
        "a second document",
        changed("evaluation:", "---\nevaluation:"),
        ["line 15: a second document begins here with '---': write one experiment in a file"],
    ),
    (
        "a path of Windows in double quotes",
        changed("file:own.jsonl", "file:C:\\Users\\own.jsonl"),
        ["line 13: in double quotes a \\ begins a sign such as \\n: write \\\\, or take single quotes"],
    ),
]


@pytest.mark.parametrize(("text", "lines"), [mistake[1:] for mistake in MISTAKES], ids=[name for name, *_ in MISTAKES])
def test_a_mistake_is_told_by_its_line_with_what_would_be_right(tmp_path, text, lines):
    assert said(tmp_path, text) == lines
