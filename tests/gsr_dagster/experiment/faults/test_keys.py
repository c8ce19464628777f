"""Keys and names that are misspelt, missing or at the wrong level, and what is said of each."""

import pytest

from tests.gsr_dagster.experiment.faults.refused import changed, said, section

# The mistake, the file with it, and every line that is said.
MISTAKES = [
    (
        "a misspelt section",
        changed("benchmarks:", "benchmark:"),
        ["line 12, benchmark: the file has no key 'benchmark': did you mean benchmarks?"],
    ),
    (
        "a section that is not there",
        changed(section("benchmarks"), ""),
        [
            'line 1, benchmarks: this key is missing: a section with a name for each entry is wanted, as in benchmarks: {mine: {source: "file:mine.csv", samples: 8}}'
        ],
    ),
    (
        "a section of which nothing is left",
        changed(section("benchmarks"), "benchmarks:\n"),
        [
            'line 12, benchmarks: a section with a name for each entry is wanted, as in benchmarks: {mine: {source: "file:mine.csv", samples: 8}}, and nothing stands there: write its keys indented under it'
        ],
    ),
    (
        "a section whose lines are all comments",
        changed(section("students"), "students:\n#  qwen-gsr:\n"),
        [
            "line 20, students: a section with a name for each entry is wanted, as in students: {qwen2.5-7b-gsr: {base: qwen2.5-7b, teacher: qwen2.5-72b, …}}, and nothing stands there: write its keys indented under it, or leave it out"
        ],
    ),
    (
        "an unknown kind of engine",
        changed("kind: vllm", "kind: vlm"),
        [
            "line 9, families.qwen.7b.engine: there is no kind 'vlm': did you mean vllm? There are transformers, vllm, ray, openai, recorded"
        ],
    ),
    (
        "an engine by its name alone",
        changed("{kind: vllm}", "vllm"),
        [
            "line 9, families.qwen.7b.engine: a section with the kind transformers, vllm, ray, openai or recorded is wanted, as in engine: {kind: transformers}, and it says 'vllm': write engine: {kind: vllm}"
        ],
    ),
    (
        "an engine without a kind",
        changed("kind: openai, ", ""),
        [
            "line 11, families.qwen.served.engine: kind is missing: there are transformers, vllm, ray, openai and recorded, as in {kind: openai}. Its keys are those of openai"
        ],
    ),
    (
        "an aggregation by its name alone",
        changed("students:", "aggregations:\n  pick: generative_selection\nstudents:"),
        [
            "line 21, aggregations.pick: a section with the kind adaptive_consistency, blind_refinement, confidence_stop, confidence_vote, crossed_refinement, generative_selection, greedy_direct, planned_refinement, prompted_refinement, recorded_scores, recursive_self_aggregation, repeated_refinement, reward_model, selective_refinement, shuffled_refinement, synthesis or universal_self_consistency is wanted, and it says 'generative_selection': write pick: {kind: generative_selection}"
        ],
    ),
    (
        "a model without its scale",
        changed("    7b:\n      source", "    source").replace(
            "\n      parameters: 7e9\n      engine: {kind: vllm}", "\n    parameters: 7e9"
        ),
        [
            "line 5, families.qwen: source and parameters stand where a name is wanted: put the name in between, as in families.qwen: {SCALE: {source: …}}"
        ],
    ),
    (
        "a model without family and scale",
        changed(section("families"), "families:\n  source: path:x\n  parameters: 1\n"),
        [
            "line 4, families: source and parameters stand where a name is wanted: put the name in between, as in families: {FAMILY: {SCALE: {source: …}}}"
        ],
    ),
    (
        "a benchmark without its name",
        changed(section("benchmarks"), "benchmarks:\n  source: file:own.jsonl\n  samples: 8\n"),
        [
            "line 12, benchmarks: source and samples stand where a name is wanted: put the name in between, as in benchmarks: {NAME: {source: …}}"
        ],
    ),
    (
        "a model a level too deep",
        changed(section("families"), "families:\n  qwen:\n    chat:\n      7b:\n        source: path:x\n"),
        [
            "line 7, families.qwen.chat.7b: families.qwen.chat has no key '7b', and source under it is a level too deep: write it straight under families.qwen.chat"
        ],
    ),
    (
        "models for families",
        changed("families:", "models:"),
        ["line 4, models: the file has no key 'models': did you mean families?"],
    ),
    (
        "a key at the wrong level",
        changed("evaluation:", "evaluation:\n  temperature: 0.7"),
        [
            "line 16, evaluation.temperature: evaluation has no key 'temperature': temperature belongs to evaluation.direct, evaluation.refinement or students.NAME.candidates and other places"
        ],
    ),
    (
        "a key of another program",
        changed("max_new_tokens: 1000}", "max_tokens: 1000}"),
        [
            "line 16, evaluation.direct.max_tokens: evaluation.direct has no key 'max_tokens': did you mean max_new_tokens?"
        ],
    ),
    (
        "a key with a capital",
        changed("name: mine", "Name: mine"),
        ["line 1, Name: the file has no key 'Name': did you mean name?"],
    ),
    (
        "a key that nobody knows",
        changed("k: 4", "foobar: 4"),
        [
            "line 3, foobar: the file has no key 'foobar'; there are aggregations, benchmarks, checks, contamination, evaluation, families, judge, k, ks, name, owners, prompts, seed, students, tracking and training_problems"
        ],
    ),
    (
        "a question for a problem",
        changed("samples: 8}", "samples: 8, worked_examples: [{question: a, solution: b}]}"),
        [
            "line 13, benchmarks.own.worked_examples.0.question: benchmarks.own.worked_examples.0 has no key 'question': did you mean problem?"
        ],
    ),
    (
        "a student without a teacher",
        changed("    teacher: qwen-served\n", ""),
        [
            "line 21, students.qwen-gsr.teacher: this key is missing: a text or a section is wanted, as in teacher: qwen2.5-72b"
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), [mistake[1:] for mistake in MISTAKES], ids=[name for name, *_ in MISTAKES])
def test_a_mistake_is_told_by_its_line_with_what_would_be_right(tmp_path, text, lines):
    assert said(tmp_path, text) == lines
