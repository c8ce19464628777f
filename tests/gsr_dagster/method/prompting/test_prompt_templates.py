"""Templates of prompts: what is shown, and what cannot be one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.method.prompting.prompt_audit import unexpected_text
from gsr_dagster.method.prompting.prompt_templates import (
    PromptTemplateError,
    published,
    published_prompts,
    read_template,
)
from gsr_dagster.method.prompting.prompts import refinement_messages

PLAIN = "{{ problem }}\n{% for one in candidates %}\n[{{ one }}]\n{% endfor %}\nBetter?"
texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60).map(str.strip)
WORDINGS = {name: published(name) for name in published_prompts()} | {"plain": PLAIN}


@pytest.mark.parametrize("name", published_prompts())
def test_a_published_prompt_shows_all_and_asks_for_a_box(name):
    text = read_template(published(name), shows_candidates=True)("What is 1 + 1?", ["It is 2.", "It is {{ 3 }}."])
    assert text.index("It is 2.") < text.index("It is {{ 3 }}.")
    assert "What is 1 + 1?" in text
    assert r"\boxed{}" in text
    assert "{%" not in text


@pytest.mark.parametrize("name", WORDINGS)
@given(problem=texts, candidates=st.lists(texts, min_size=1, max_size=4), gold=st.integers(10_000, 99_999))
def test_the_audit_finds_what_a_template_did_not_write(name, problem, candidates, gold):
    ask = read_template(WORDINGS[name], shows_candidates=True)
    shown = [text or "(no answer)" for text in candidates]
    (message,) = refinement_messages(problem, shown, ask)
    assert unexpected_text([message], problem, summaries=candidates, refinement=ask) == ""
    for added in (f"{message['content']} {gold}", f"{gold} {message['content']}"):
        chat = [{"role": "user", "content": added}]
        assert str(gold) in unexpected_text(chat, problem, summaries=candidates, refinement=ask)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{{ problem }", "line 1:"),
        ("{{ problem }}\n{% for c in candidates %}{{ c }},", "line 2:"),
        ("{{ question }} {{ candidates }}", "it asks for question: a prompt of this kind has problem and candidates"),
        ("{{ problem }}", "it does not show candidates: write {% for candidate in candidates %}"),
        ("{% for c in candidates %}{{ c }},{% endfor %}", "it does not show problem: write {{ problem }}"),
        ("{{ problem | upper }}{{ candidates | join(', ') }}", "it does not show the problem as it is"),
        ("{{ problem }}{% for c in candidates %}- {{ c | e }}\n{% endfor %}", "each once and as it is"),
        ("{{ problem }}{% for c in candidates[:2] %}- {{ c }}\n{% endfor %}", "of 3 candidates"),
        ("{{ problem }}{% for c in candidates | reverse %}- {{ c }}\n{% endfor %}", "not show the candidates in their order"),
        ("{{ problem }}: {{ candidates | join }}", "nothing stands between two candidates"),
        ("{{ problem }} {{ candidates[0] }} {{ candidates[1] }}", "it cannot be written for 1 candidates"),
        ("{{ problem }}{% include 'x' %}{{ candidates }}", "it cannot be written"),
        ("{{ problem }}{{ candidates.__class__.__mro__ }}", "it cannot be written for 1 candidates: access to attribute"),
        ("{{ problem }}{% for i in range(10 ** 7) %}{% endfor %}{{ candidates }}", "it cannot be written"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_prompt_is_told(template, said):
    with pytest.raises(PromptTemplateError) as error:
        read_template(template, shows_candidates=True)
    assert said in str(error.value)


def test_a_direct_prompt_has_no_candidates():
    assert read_template("Solve: {{ problem }}\n", shows_candidates=False)("1 + 1?") == "Solve: 1 + 1?"
    with pytest.raises(PromptTemplateError, match=r"it asks for candidates: a prompt of this kind has problem$"):
        read_template("{{ problem }} {{ candidates }}", shows_candidates=False)
