"""Sources, addresses, paths and models that are not there or of another form, and what is said of each."""

import pytest

from tests.gsr_dagster.experiment.faults.refused import RIGHT, changed, said, section

# The mistake, the file with it, and every line that is said.
MISTAKES = [
    (
        "a file without file:",
        changed("file:own.jsonl", "own.jsonl"),
        [
            "line 13, benchmarks.own.source: 'own.jsonl' is not hub:NAME, hf:ORG/NAME@REVISION, file:PATH, reasoning-gym:TASK or lines:LINESxSTATIONS: write \"file:own.jsonl\""
        ],
    ),
    (
        "a data set of the hub with its own prefix",
        changed("file:own.jsonl", "hf:openai/gsm8k"),
        [
            "line 13, benchmarks.own.source: 'hf:openai/gsm8k' is not hub:NAME, hf:ORG/NAME@REVISION, file:PATH, reasoning-gym:TASK or lines:LINESxSTATIONS: did you mean \"hub:gsm8k\"?"
        ],
    ),
    (
        "a data set that is not known",
        changed("file:own.jsonl", "hf:me/mine"),
        [
            "line 13, benchmarks.own.source: 'hf:me/mine' is not hub:NAME, hf:ORG/NAME@REVISION, file:PATH, reasoning-gym:TASK or lines:LINESxSTATIONS: write \"hf:me/mine@main\", with a tag or a commit in place of main"
        ],
    ),
    (
        "a misspelt data set",
        changed("hub:math-train", "hub:math_train"),
        [
            "line 19, training_problems.source: 'hub:math_train' is not hub:NAME: did you mean math-train? There are aime24, aime25, amc22-23, math500, olympiadbench, knights-and-knaves-4, gsm8k, gsm8k-train, math-train, openmathreasoning"
        ],
    ),
    (
        "a misspelt task",
        changed("chain_sum", "chain_sums"),
        [
            "line 14, benchmarks.sums.source: reasoning-gym has no task 'chain_sums': did you mean chain_sum? There are 106 tasks"
        ],
    ),
    (
        "a task with a hyphen",
        changed("chain_sum", "chain-sum"),
        [
            "line 14, benchmarks.sums.source: reasoning-gym has no task 'chain-sum': did you mean chain_sum? There are 106 tasks"
        ],
    ),
    (
        "a task without a name",
        changed("chain_sum", ""),
        [
            "line 14, benchmarks.sums.source: 'reasoning-gym:' is not hub:NAME, hf:ORG/NAME@REVISION, file:PATH, reasoning-gym:TASK or lines:LINESxSTATIONS, as in \"reasoning-gym:chain_sum\""
        ],
    ),
    (
        "a task with a misspelt prefix",
        changed("reasoning-gym:", "reasoning_gym:"),
        [
            "line 14, benchmarks.sums.source: 'reasoning_gym:chain_sum' is not hub:NAME, hf:ORG/NAME@REVISION, file:PATH, reasoning-gym:TASK or lines:LINESxSTATIONS: write \"reasoning-gym:chain_sum\""
        ],
    ),
    (
        "a misspelt option of a task",
        changed("min_terms", "min_term"),
        [
            "line 14, benchmarks.sums.options.min_term: the task chain_sum has no such option: did you mean min_terms? There are allow_negation, max_digits, max_terms, min_digits, min_terms"
        ],
    ),
    (
        "the size of a task as an option",
        changed("min_terms", "size"),
        ["line 14, benchmarks.sums.options.size: this is no option here: write problems beside options"],
    ),
    (
        "a task without a number of problems",
        changed("problems: 10, ", ""),
        [
            "line 14, benchmarks.sums: problems: say how many; reasoning-gym makes as many as are wanted, as in problems: 100"
        ],
    ),
    (
        "fewer samples than k",
        changed("samples: 8}", "samples: 2}"),
        [
            "line 13, benchmarks.own.samples: 2 samples cannot fill a group of k=4 candidates: write 4 or more, or a smaller k"
        ],
    ),
    (
        "a model that is not there",
        changed("teacher: qwen-served", "teacher: qwen-srved"),
        [
            "line 23, students.qwen-gsr.teacher: no model 'qwen-srved': did you mean qwen-served? There are qwen-7b, qwen-served"
        ],
    ),
    (
        "a judge that is not there",
        changed("training_problems:", "judge: {model: qwen-8b}\ntraining_problems:"),
        ["line 19, judge.model: no model 'qwen-8b': did you mean qwen-7b? There are qwen-7b, qwen-served"],
    ),
    (
        "a judge by its name alone",
        changed("training_problems:", "judge: qwen-7b\ntraining_problems:"),
        ["line 19, judge: a section is wanted, as in judge: {model: qwen2.5-72b}, and it says 'qwen-7b'"],
    ),
    (
        "a judge that keeps log-probabilities, and bounds a thinking that it has not",
        changed("training_problems:", "judge: {model: qwen-7b, logprobs: 5}\ntraining_problems:"),
        ["line 19, judge.logprobs: they are kept of the evaluation's direct samples alone: leave it out here"],
    ),
    (
        "one of two teachers that is not there",
        changed("teacher: qwen-served", "teacher: {refinements: qwen-7b, solutions: qwen-srved}"),
        [
            "line 23, students.qwen-gsr.teacher.solutions: no model 'qwen-srved': did you mean qwen-served? There are qwen-7b, qwen-served"
        ],
    ),
    (
        "one teacher of two",
        changed("teacher: qwen-served", "teacher: {refinements: qwen-7b}"),
        [
            "line 23, students.qwen-gsr.teacher.solutions: this key is missing: a text is wanted, as in solutions: qwen2.5-7b"
        ],
    ),
    (
        "a list of teachers",
        changed("teacher: qwen-served", "teacher: [qwen-7b, qwen-served]"),
        [
            "line 23, students.qwen-gsr.teacher: a text or a section is wanted, as in teacher: qwen2.5-72b, and a list stands there"
        ],
    ),
    (
        "two teachers of whom one thinks",
        changed("engine: {kind: openai", 'thinking_end: "</think>"\n      engine: {kind: openai').replace(
            "teacher: qwen-served", "teacher: {refinements: qwen-7b, solutions: qwen-served}"
        ),
        [
            "line 24, students.qwen-gsr.teacher: qwen-7b and qwen-served end their thinking in different ways, and a student has one: take two that both think, with the same thinking_end, or two that do not"
        ],
    ),
    (
        "a student that is its own teacher",
        changed("teacher: qwen-served", "teacher: qwen-gsr"),
        [
            "line 23, students.qwen-gsr.teacher: a student cannot be made with itself: qwen-gsr → qwen-gsr. Let one of them name a model in its stead"
        ],
    ),
    (
        "a circle of students",
        changed(
            "    base: qwen-7b\n    teacher: qwen-served",
            "    base: qwen-7b\n    teacher: {refinements: qwen-two, solutions: qwen-7b}",
        )
        + section("students")
        .replace("students:\n", "")
        .replace("qwen-gsr:", "qwen-two:")
        .replace("base: qwen-7b", "base: qwen-gsr"),
        [
            "line 23, students.qwen-gsr.teacher.refinements: a student cannot be made with itself: qwen-gsr → qwen-two → qwen-gsr. Let one of them name a model in its stead"
        ],
    ),
    (
        "a student that is not there",
        RIGHT
        + section("students")
        .replace("students:\n", "")
        .replace("qwen-gsr:", "qwen-two:")
        .replace("base: qwen-7b", "base: qwen-gst"),
        [
            "line 29, students.qwen-two.base: no model 'qwen-gst': did you mean qwen-gsr? There are qwen-7b, qwen-served, qwen-gsr"
        ],
    ),
    (
        "a student of another family",
        changed("qwen-gsr", "mine"),
        ["line 21, students.mine: must start with its base's family, as in qwen-mine"],
    ),
    (
        "an address without http://",
        changed("http://box:8000/v1", "box:8000/v1"),
        [
            "line 11, families.qwen.served.engine.base_url: 'box:8000/v1' is not an address that begins with http:// or https://, as http://box:8000/v1 does"
        ],
    ),
    (
        "an address with another beginning",
        changed("http://box:8000/v1", "htp:/box:8000/v1"),
        [
            "line 11, families.qwen.served.engine.base_url: 'htp:/box:8000/v1' is not an address that begins with http:// or https://, as http://box:8000/v1 does"
        ],
    ),
    (
        "an address with a port that there is not",
        changed("http://box:8000/v1", "http://box:80000/v1"),
        [
            "line 11, families.qwen.served.engine.base_url: 'http://box:80000/v1' names no machine, or no port from 1 to 65535, as http://localhost:8000/v1 does"
        ],
    ),
    (
        "an address without a machine",
        changed("http://box:8000/v1", "http://:8000/v1"),
        [
            "line 11, families.qwen.served.engine.base_url: 'http://:8000/v1' names no machine, or no port from 1 to 65535, as http://localhost:8000/v1 does"
        ],
    ),
    (
        "an address with what every request adds",
        changed("http://box:8000/v1", "http://box:8000/v1/chat/completions/"),
        [
            "line 11, families.qwen.served.engine.base_url: 'http://box:8000/v1/chat/completions/' ends with /chat/completions, which every request adds: write http://box:8000/v1"
        ],
    ),
    (
        "an address with a password",
        changed("http://box:8000/v1", "https://me:pw@box/v1"),
        [
            "line 11, families.qwen.served.engine.base_url: an address with a name, a password or a query is not taken: write http://HOST:PORT/v1 alone"
        ],
    ),
    (
        "no address at all",
        changed('"http://box:8000/v1"', "[]"),
        [
            'line 11, families.qwen.served.engine.base_url: a list that is not empty is wanted, as in base_url: ["http://localhost:8000/v1"], and the list is empty'
        ],
    ),
    (
        "a misspelt path",
        changed("own.jsonl", "owm.jsonl"),
        ["line 13, benchmarks.own.source: there is no file HERE/owm.jsonl: did you mean own.jsonl?"],
    ),
    (
        "a path to nowhere",
        changed("own.jsonl", "data/x.jsonl"),
        [
            "line 13, benchmarks.own.source: there is no file HERE/data/x.jsonl. Write its path, from the experiment file's folder; the nearest folder there is HERE"
        ],
    ),
    (
        "samples that are not there",
        changed(section("students"), "").replace("{kind: vllm}", "{kind: recorded, path: imported}"),
        [
            "line 9, families.qwen.7b.engine.path: there is no folder HERE/imported. Write its path, from the experiment file's folder; the nearest folder there is HERE"
        ],
    ),
    (
        "a family with a slash",
        changed("  qwen:", "  Qwen/qwen:"),
        [
            "line 5, families.Qwen/qwen: 'Qwen/qwen' cannot be a partition key: letters, digits, '.', '_' and '-' only, as in Qwen-qwen"
        ],
    ),
    (
        "a model without hf:",
        changed("hf:Qwen/Qwen2.5-7B@main", "Qwen/Qwen2.5-7B"),
        [
            "line 7, families.qwen.7b.source: 'Qwen/Qwen2.5-7B' is not hf:ORG/NAME@REVISION, path:FOLDER or gguf:PACKAGE-OR-PATH: write \"hf:Qwen/Qwen2.5-7B@main\", with a tag or a commit in place of main"
        ],
    ),
    (
        "a model without a revision",
        changed("hf:Qwen/Qwen2.5-7B@main", "hf:Qwen/Qwen2.5-7B"),
        [
            "line 7, families.qwen.7b.source: 'hf:Qwen/Qwen2.5-7B' is not hf:ORG/NAME@REVISION, path:FOLDER or gguf:PACKAGE-OR-PATH: write \"hf:Qwen/Qwen2.5-7B@main\", with a tag or a commit in place of main"
        ],
    ),
]


@pytest.mark.parametrize(("text", "lines"), [mistake[1:] for mistake in MISTAKES], ids=[name for name, *_ in MISTAKES])
def test_a_mistake_is_told_by_its_line_with_what_would_be_right(tmp_path, text, lines):
    assert said(tmp_path, text) == lines


ADDRESSES = [
    "http://box",
    "https://box.example.org:443/v1/",
    "http://127.0.0.1:8000/v1",
    "http://[::1]:8000/v1",
    "http://my_box-2:8000/a/b",
    "https://api.example.org/client/v4/accounts/@me/ai/v1",
    "https://größe.example/v1",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_right_is_taken_as_it_is(tmp_path, address):
    assert said(tmp_path, changed("http://box:8000/v1", address)) == []
