"""What is trained is what is asked for, by every chat template that TRL and transformers ship."""

import json
from datetime import datetime

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages
from resources.engines.chat import TEMPLATE_DATE, Chat
from resources.models.generation_config import stop_tokens
from resources.training.targets import Targets, TemplateError, targets_of, without_repeat
from tests.resources.training.templates import FOR_PARTS, shipped, tokenizer_with

NAMES = [name for name in shipped() if not any(part in name for part in FOR_PARTS)]
OPENED = {
    name
    for name in NAMES
    if tokenizer_with(name)[0]
    .decode(Chat(tokenizer_with(name)[0]).prompt(direct_messages("2")))
    .rstrip()
    .endswith("<think>")
}
THINKING = "<think>\nSeven and one is eight.\n</think>\n\nThe answer is \\boxed{8}."
ANSWERS = st.one_of(
    st.sampled_from([THINKING, "The answer is \\boxed{8}.", " \n2\n ", "<think></think>8", "Ends.<|im_end|>Not yet."]),
    st.text(min_size=1),
)
CHATS = st.sampled_from(
    [
        direct_messages("7 + 1 ="),
        direct_messages("7 + 1 =", worked_examples=[("1 + 1 =", "<think>\nEasy.\n</think>\n\n2")]),
        refinement_messages("7 + 1 =", ["8", "<think>no</think>9", "(no answer)"]),
    ]
)


def targets(name: str, **kwargs: object) -> Targets:
    tokenizer, stops = tokenizer_with(name)
    return Targets(name, tokenizer, stops, kwargs)


def test_templates_of_many_families_are_tried():
    assert len(NAMES) > 60
    assert len(OPENED) > 10
    assert any(name.startswith("transformers ") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(messages=CHATS, text=ANSWERS)
@example(messages=direct_messages("7 + 1 ="), text=THINKING)
@example(messages=direct_messages("7 + 1 ="), text="Ends.<|end|>Not yet.")
def test_the_context_is_the_inference_prompt_and_the_target_the_text_and_a_stop_token(name, messages, text):
    tokenizer, stops = tokenizer_with(name)
    made = targets(name).target(messages, text)
    assert made.prompt == Chat(tokenizer).prompt(messages)
    assert made.answer[-1] in stops
    assert not set(made.answer[:-1]) & set(stops)
    learned = tokenizer.decode(made.answer[:-1], skip_special_tokens=False)
    context = tokenizer.decode(made.prompt, skip_special_tokens=False)
    if learned != text:  # only a thinking tag that stands in the context already may be missing
        assert name in OPENED or context.rstrip().endswith("</think>")
        missing = text.removesuffix(learned)
        assert missing.strip()
        assert context.rstrip().endswith(missing.strip())


@pytest.mark.parametrize("name", NAMES)
def test_the_context_is_what_transformers_writes_as_a_generation_prompt(name):
    tokenizer, _ = tokenizer_with(name)
    messages = direct_messages("7 + 1 =")
    date = {"strftime_now": TEMPLATE_DATE.strftime} if "strftime_now" in tokenizer.chat_template else {}
    asked = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, **date)["input_ids"]
    assert targets(name).target(messages, "8").prompt == asked


@pytest.mark.parametrize("name", sorted(OPENED))
def test_a_thinking_tag_that_the_prompt_opens_is_not_learned_again(name):
    tokenizer, _ = tokenizer_with(name)
    messages = direct_messages("7 + 1 =")
    with_tag, without = (
        targets(name).target(messages, text) for text in ("<think>\nEight.\n</think>\n\n8", "Eight.\n</think>\n\n8")
    )
    assert with_tag == without
    assert tokenizer.decode(without.answer[:-1]) == "Eight.\n</think>\n\n8"


@pytest.mark.parametrize(
    ("opened", "text", "learned"),
    [
        ("<think>\n", "<think>\nSo", "So"),
        ("<think>\n", "<think>So", "So"),
        ("<think>\n", "<think>\n\nSo", "\nSo"),
        ("<think>\n", "\n<think>\nSo", "So"),
        ("<think>\n", "So <think>", "So <think>"),
        ("<think>", "<thinking>", "<thinking>"),
        ("<think>\n\n</think>\n\n", "<think>\n\n</think>\n\n8", "8"),
        ("<think>\n\n</think>\n\n", "<think>\nSo</think>8", "<think>\nSo</think>8"),
        ("[THINK]", "[THINK]So[/THINK]8", "So[/THINK]8"),
        ("<|channel>thought\n", "<|channel>thought\nSo<channel|>8", "So<channel|>8"),
        ("", "<think>So", "<think>So"),
    ],
)
def test_what_stands_in_the_context_is_not_repeated(opened, text, learned):
    assert without_repeat(opened, text) == learned


@pytest.mark.parametrize(
    "opened", ["<think>\n", "[THINK]", "<seed:think>", "<|START_THINKING|>", "◁think▷", "<reasoning>\n"]
)
def test_thinking_tags_of_many_families_are_known(opened):
    tokenizer, stops = tokenizer_with("qwen2_5")
    asks = Targets("opens", tokenizer, stops, {})
    tokenizer = type("Opens", (), {"decode": lambda self, tokens, **kwargs: "…assistant\n" + opened})()
    asks.tokenizer, asks.prompt, asks._tokens = tokenizer, lambda messages: [1], lambda text: [text]
    assert asks.target([], f"{opened}So").answer[0] == "So"
    assert asks.target([], "So").answer[0] == "So"


def test_a_switch_of_the_template_changes_the_prompt_that_is_trained_too():
    on, off = targets("qwen3", enable_thinking=True), targets("qwen3", enable_thinking=False)
    messages = direct_messages("7 + 1 =")
    closed = "<think>\n\n</think>\n\n"
    assert off.tokenizer.decode(off.target(messages, "8").prompt).endswith(closed)
    assert not on.tokenizer.decode(on.target(messages, "8").prompt).endswith(closed)
    assert off.target(messages, f"{closed}8").answer == off.target(messages, "8").answer


def test_a_template_that_writes_the_date_is_trained_on_the_day_that_is_asked_with():
    made = targets("llama3_2")
    text = made.tokenizer.decode(made.prompt(direct_messages("7 + 1 =")))
    assert "26 Jul 2024" in text
    assert datetime.now().strftime("%d %b %Y") not in text


@pytest.mark.parametrize("name", [name for name in shipped() if any(part in name for part in FOR_PARTS)])
def test_a_template_that_writes_no_text_is_refused_by_name(name):
    with pytest.raises(TemplateError, match=rf"{name}: its chat template (does not write|cannot write)"):
        targets(name)


def test_so_is_one_that_raises_and_a_model_without_a_template_or_a_stop_token():
    tokenizer, stops = tokenizer_with("small")
    for template, message in (
        ("{{ raise_exception('only with tools') }}", "hf:a/b: its chat template cannot write .*: only with tools"),
        ("{{ messages[0]['content'] ", "hf:a/b: its chat template cannot write"),
        (None, "hf:a/b: its tokenizer has no chat template"),
    ):
        tokenizer.chat_template = template
        with pytest.raises(TemplateError, match=message):
            Targets("hf:a/b", tokenizer, stops, {})
    tokenizer.chat_template = shipped()["small"]
    with pytest.raises(TemplateError, match="hf:a/b: it has no stop token"):
        Targets("hf:a/b", tokenizer, [], {})


def test_the_stop_token_is_the_one_that_the_template_writes_where_engines_stop_at_it(tokenizer_folder, tmp_path):
    tokenizer, _ = tokenizer_with("llama3_2")
    eot, eos = tokenizer.convert_tokens_to_ids("<|eot_id|>"), tokenizer.eos_token_id
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": [eos, eot]}))
    assert stop_tokens(tmp_path, tokenizer) == {eos, eot}
    assert Targets("llama", tokenizer, [eos, eot], {}).stop == eot
    assert Targets("llama", tokenizer, [eos], {}).stop == eos
    assert targets_of("small", tokenizer_folder, {}).stop == 0
