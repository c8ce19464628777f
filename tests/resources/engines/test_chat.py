"""Chats to tokens and tokens to texts, by real tokenizers of two kinds: byte-level, and with a mark for spaces."""

import logging
import random
import string
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.chat import Chat, chat_tokens
from tests.small_model import small_tokenizer

SPECIAL = ("</think>", "[/THINK]", "<|channel|>", "<|message|>", "<think>")
WORDS = ("So", " 4", " is", "\n\n", "The", " answer", "final", " ", "</", "é", "日本", "\U0001f600")
ASKED = [{"role": "user", "content": "What is 4 + 3?"}]
# As Llama 3.1 and 3.2 write it; and as Magistral and gpt-oss do, in a macro.
DATED = (
    "{% if not date_string is defined %}{% if strftime_now is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
    "{% else %}{% set date_string = '26 Jul 2024' %}{% endif %}{% endif %}"
    "Today Date: {{ date_string }} {{ messages[0]['content'] }}"
)
DATED_IN_A_MACRO = (
    "{% macro system() %}Current date: {{ strftime_now('%Y-%m-%d') }} {% endmacro %}"
    "{{ system() }}{{ messages[0]['content'] }}{% if add_generation_prompt %}A:{% endif %}"
)
SWITCHED = (
    "{{ messages[0]['content'] }}<|assistant|>{% if enable_thinking is defined and not enable_thinking %}"
    "<think>\n\n</think>\n\n{% endif %}"
)


def byte_level():
    tokenizer = small_tokenizer(random.Random(0))
    tokenizer.add_tokens(list(SPECIAL), special_tokens=True)
    return tokenizer


def with_a_mark_for_spaces():
    """A tokenizer like Llama 2's: the decoder takes the first space away, and rare characters are bytes."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    pieces = ["<|end|>", *(f"<0x{byte:02X}>" for byte in range(256)), "▁", *string.ascii_letters, "Th", "The", "▁The"]
    merges = [("T", "h"), ("Th", "e"), ("▁", "The")]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.add_tokens(list(SPECIAL), special_tokens=True)
    return fast


TOKENIZERS = {"byte level": byte_level(), "a mark for spaces": with_a_mark_for_spaces()}
kinds = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS.keys())
written = st.lists(st.sampled_from([*WORDS, *SPECIAL, "<|end|>"]), max_size=20)


def templated(template: str):
    tokenizer = byte_level()
    tokenizer.chat_template = template
    return tokenizer


@pytest.mark.parametrize("template", [DATED, DATED_IN_A_MACRO])
def test_a_template_that_writes_todays_date_gets_a_fixed_one_which_is_said_once_and_recorded(template, caplog):
    caplog.set_level(logging.INFO)
    tokenizer = templated(template)
    chat = Chat(tokenizer)
    assert chat.notes == {}
    text = tokenizer.decode(chat.prompt(ASKED))
    assert "26 Jul 2024" in text or "2024-07-26" in text
    assert str(datetime.now().year) not in text
    assert chat.prompt(ASKED) == chat_tokens(tokenizer, ASKED)
    assert chat.notes == {"template_date": "2024-07-26"}
    assert caplog.text.count("2024-07-26") == 1


def test_a_template_that_asks_for_no_date_is_not_noted():
    chat = Chat(templated(DATED), {"date_string": "1 Jan 2030"})
    assert "1 Jan 2030" in chat.tokenizer.decode(chat.prompt(ASKED))
    plain = Chat(byte_level())
    plain.prompt(ASKED)
    assert chat.notes == plain.notes == {}


def test_a_template_gets_the_models_settings_and_one_that_ends_the_thinking_itself_is_refused():
    tokenizer, off = templated(SWITCHED), {"enable_thinking": False}
    assert "</think>" not in tokenizer.decode(Chat(tokenizer, None, "</think>").prompt(ASKED))
    assert "</think>" in tokenizer.decode(Chat(tokenizer, off).prompt(ASKED))
    with pytest.raises(UserError, match="leave thinking_end out"):
        Chat(tokenizer, off, "</think>").prompt(ASKED)


@pytest.mark.parametrize("name", ["add_generation_prompt", "tokenize", "strftime_now", "chat_template"])
def test_a_setting_that_is_not_the_templates_is_refused(name):
    with pytest.raises(UserError, match=f"chat_template_kwargs: {name} is not read by a chat template"):
        chat_tokens(byte_level(), ASKED, {name: True})


@kinds
@pytest.mark.parametrize(
    ("marker", "text", "shown"),
    [
        ("</think>", "So 4</think>The answer<|end|>", "So 4</think>The answer"),
        ("[/THINK]", "<think>So 4[/THINK]The</think> answer", "So 4[/THINK]The answer"),
        ("</ think>", "So</ think>The[/THINK] answer", "So</ think>The answer"),
        ("\n</think>\n\n", "So 4\n</think>\n\nThe answer", "So 4\n</think>\n\nThe answer"),
        ("\n</think>\n\n", "So 4</think>The answer", "So 4The answer"),
        (
            "<|channel|>final<|message|>",
            "<|channel|>analysis<|message|>So 4<|channel|>final<|message|>The answer",
            "analysisSo 4<|channel|>final<|message|>The answer",
        ),
        ("<|channel|>final", "So<|channel|>finally<|message|> 4", "So<|channel|>finally 4"),
        (None, "So 4</think>The answer", "So 4The answer"),
    ],
)
def test_an_end_marker_stands_in_the_text_and_other_special_tokens_do_not(tokenizer, marker, text, shown):
    chat = Chat(tokenizer, None, marker)
    assert chat.text(chat.tokenize(text)).replace(" ", "") == shown.replace(" ", "")


@kinds
@given(words=written)
def test_texts_are_the_tokenizers_own_but_for_the_marker(tokenizer, words):
    tokens = tokenizer("".join(words), add_special_tokens=False)["input_ids"]
    plain = tokenizer.decode(tokens, skip_special_tokens=True)
    assert Chat(tokenizer).text(tokens) == plain
    marked = Chat(tokenizer, None, "</think>").text(tokens)
    assert marked.replace("</think>", "").lstrip() == plain.lstrip()
    assert marked.count("</think>") == tokens.count(tokenizer.convert_tokens_to_ids("</think>"))


@kinds
@given(words=written, marker=st.sampled_from(["</think>", "</ think>", "\n</think>\n", "<|channel|>final<|message|>"]))
def test_thinking_is_ended_once(tokenizer, words, marker):
    chat = Chat(tokenizer, None, marker)
    tokens = tokenizer("".join(words), add_special_tokens=False)["input_ids"]
    ended = tokens + chat.closing(tokens)
    assert marker in chat.text(ended)
    assert chat.closing(ended) == []
    assert (marker in chat.text(tokens)) == (ended == tokens)


def test_a_marker_that_is_half_written_at_the_budget_is_completed():
    chat = Chat(byte_level(), None, "</ think>")
    marker = chat.tokenize("</ think>")
    assert len(marker) > 2
    assert chat.closing([*chat.tokenize("So"), *marker[:2]]) == marker[2:]


@kinds
@given(words=written, stop=st.lists(st.sampled_from(["The", "is\n", " answer", "[/THINK]", "<|end|>"]), min_size=1))
def test_a_text_ends_before_the_first_stop_token_or_string(tokenizer, words, stop):
    chat = Chat(tokenizer, None, "</think>", {tokenizer.eos_token_id})
    tokens = tokenizer("".join(words), add_special_tokens=False)["input_ids"]
    text, count, ended = chat.finished(tokens, stop)
    assert not any(end in text for end in [*stop, "<|end|>"])
    assert ended == (tokenizer.eos_token_id in tokens or chat.stopped(tokens, stop))
    assert count == (tokens.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in tokens else len(tokens))


def test_a_budget_must_leave_room_for_the_marker_and_an_answer():
    chat = Chat(byte_level(), None, "</think>")
    assert chat.thinking_budget(RolloutSettings(temperature=1, max_new_tokens=9)) is None
    assert chat.thinking_budget(RolloutSettings(temperature=1, max_new_tokens=9, thinking_tokens=7)) == 7
    assert (
        Chat(byte_level()).thinking_budget(RolloutSettings(temperature=1, max_new_tokens=9, thinking_tokens=8)) is None
    )
    with pytest.raises(UserError, match="leave no room for an answer within max_new_tokens, 9"):
        chat.thinking_budget(RolloutSettings(temperature=1, max_new_tokens=9, thinking_tokens=8))


def test_a_marker_that_the_tokenizer_cannot_write_is_no_end_of_a_budget():
    from tokenizers import normalizers

    tokenizer = with_a_mark_for_spaces()
    tokenizer.backend_tokenizer.pre_tokenizer = None
    # As Llama 2's: a space before every part of a text.
    tokenizer.backend_tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")]
    )
    with pytest.raises(UserError, match="which the model's tokenizer writes as"):
        Chat(tokenizer, None, "\n</think>\n").thinking_budget(
            RolloutSettings(temperature=1, max_new_tokens=99, thinking_tokens=8)
        )
