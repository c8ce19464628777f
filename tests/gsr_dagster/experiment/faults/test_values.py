"""Values that are not what is wanted: their mistakes, and what is said of each."""

import pytest

from tests.gsr_dagster.experiment.faults.refused import changed, said, section

# The mistake, the file with it, and every line that is said.
MISTAKES = [
    (
        "a word for a number",
        changed("k: 4", "k: four"),
        ["line 3, k: a whole number from 1 is wanted, as in k: 4, and it says 'four'"],
    ),
    (
        "yes for a number",
        changed("k: 4", "k: yes"),
        ["line 3, k: a whole number from 1 is wanted, as in k: 4, and it says yes, which YAML reads as true"],
    ),
    (
        "half a group",
        changed("k: 4", "k: 4.5"),
        ["line 3, k: a whole number from 1 is wanted, as in k: 4, and it says 4.5"],
    ),
    (
        "a number too large",
        changed("max_new_tokens: 1000", "max_new_tokens: 10000000000"),
        [
            "line 16, evaluation.direct.max_new_tokens: a whole number from 1 to 1,000,000,000 is wanted, as in max_new_tokens: 4096, and it says 10000000000"
        ],
    ),
    (
        "a number too small",
        changed("temperature: 0.7, max", "temperature: -1, max"),
        [
            "line 16, evaluation.direct.temperature: a number from 0 to 2 is wanted, as in temperature: 0.7, and it says -1"
        ],
    ),
    (
        "5e5, which YAML reads as text",
        changed("max_new_tokens: 1000", "max_new_tokens: 5e5"),
        [
            "line 16, evaluation.direct.max_new_tokens: a whole number from 1 is wanted, as in max_new_tokens: 4096, and it says '5e5': write 500000"
        ],
    ),
    (
        "a size with its unit",
        changed("7e9", "7b"),
        [
            "line 8, families.qwen.7b.parameters: a number above 0 is wanted, as in parameters: 7.6e9, and it says '7b': write 7000000000"
        ],
    ),
    (
        "a percent sign",
        changed("temperature: 0.7, max", "top_p: 95%, max"),
        [
            "line 16, evaluation.direct.top_p: a number above 0 and at most 1 is wanted, as in top_p: 0.95, and it says '95%': write 0.95"
        ],
    ),
    (
        "a decimal comma",
        changed("temperature: 0.7, max", 'temperature: "0,7", max'),
        [
            "line 16, evaluation.direct.temperature: a number from 0 to 2 is wanted, as in temperature: 0.7, and it says '0,7': write 0.7"
        ],
    ),
    (
        "a number in words of its own that is out of bounds",
        changed("temperature: 0.7, max", "top_p: 150%, max"),
        [
            "line 16, evaluation.direct.top_p: a number above 0 and at most 1 is wanted, as in top_p: 0.95, and it says '150%'"
        ],
    ),
    (
        "a number below 0 that YAML reads as text",
        changed("learning_rate: 1e-4", "learning_rate: -1e-4"),
        [
            "line 27, students.qwen-gsr.training.learning_rate: a number above 0 is wanted, as in learning_rate: 0.0001, and it says '-1e-4'"
        ],
    ),
    (
        "a list for a section",
        changed(section("benchmarks"), "benchmarks:\n  - source: x\n    samples: 8\n"),
        [
            "line 12, benchmarks: a section with a name for each entry is wanted, as in benchmarks: {mine: {source: \"file:mine.csv\", samples: 8}}, and a list stands there: leave the '- ' at the beginning of its lines out"
        ],
    ),
    (
        "a section for a list",
        changed("samples: 8}", "samples: 8, worked_examples: {problem: a, solution: b}}"),
        [
            'line 13, benchmarks.own.worked_examples: a list is wanted, as in worked_examples: [{problem: "1 + 1?", solution: "\\\\boxed{2}"}], and a section stands there, with problem and solution: write \'- \' before each of its items'
        ],
    ),
    (
        "one value for a list",
        changed("k: 4", "ks: 8"),
        ["line 3, ks: a list is wanted, as in ks: [2, 8], and it says 8: write [8]"],
    ),
    (
        "several values for a list",
        changed("k: 4", "ks: 2, 8"),
        ["line 3, ks: a list is wanted, as in ks: [2, 8], and it says '2, 8': write [2, 8]"],
    ),
    (
        "a key of the model in its engine",
        changed("{kind: vllm}", "{kind: vllm, thinking_end: x}"),
        [
            "line 9, families.qwen.7b.engine.thinking_end: families.qwen.7b.engine has no key 'thinking_end': thinking_end belongs to families.FAMILY.SCALE"
        ],
    ),
    (
        "lora: no",
        changed("    training:", "    lora: no\n    training:"),
        [
            "line 27, students.qwen-gsr.lora: a section is wanted, as in lora: {rank: 16, alpha: 32}, and it says no, which YAML reads as false: write lora: null for none"
        ],
    ),
    (
        "maybe for yes or no",
        changed("{kind: vllm}", "{kind: vllm}\n      trust_remote_code: maybe"),
        [
            "line 10, families.qwen.7b.trust_remote_code: true or false is wanted, as in trust_remote_code: false, and it says 'maybe'"
        ],
    ),
    (
        "a misspelt word of several",
        changed("k: 4", "contamination: reprot"),
        [
            "line 3, contamination: block or report is wanted, as in contamination: block, and it says 'reprot': did you mean report?"
        ],
    ),
    (
        "a price that is one number",
        changed("model: big", "model: big, price: 5"),
        [
            "line 11, families.qwen.served.engine.price: a section is wanted, as in price: {prompt: 0.15, generated: 0.6}, and it says 5"
        ],
    ),
    (
        "a price below 0",
        changed("{kind: vllm}", "{kind: vllm, price: {prompt: -1, generated: 2}}"),
        ["line 9, families.qwen.7b.engine.price.prompt: a number from 0 is wanted, as in prompt: 0.15, and it says -1"],
    ),
    (
        "a price of prompts alone",
        changed("{kind: vllm}", "{kind: vllm, price: {prompt: 1}}"),
        [
            "line 9, families.qwen.7b.engine.price.generated: this key is missing: a number from 0 is wanted, as in generated: 0.6"
        ],
    ),
    (
        "a price with another word for what is generated",
        changed("{kind: vllm}", "{kind: vllm, price: {prompt: 1, generated: 2, completion: 2}}"),
        [
            "line 9, families.qwen.7b.engine.price.completion: families.qwen.7b.engine.price has no key 'completion'; there are generated and prompt"
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), [mistake[1:] for mistake in MISTAKES], ids=[name for name, *_ in MISTAKES])
def test_a_mistake_is_told_by_its_line_with_what_would_be_right(tmp_path, text, lines):
    assert said(tmp_path, text) == lines
