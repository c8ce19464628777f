"""What a model's folder says about generating: the stop tokens are read, all else is said."""

import json
import logging
from types import SimpleNamespace

import pytest

from resources.models.generation_config import log_what_is_not_applied, not_applied, stop_tokens
from resources.models.weights import SourceError

NO_TOKENIZER = SimpleNamespace(eos_token_id=None)


def folder(path, **files: object):
    for name, content in files.items():
        (path / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_stop_tokens_are_those_of_the_config_the_generation_config_and_the_tokenizer(tmp_path):
    assert stop_tokens(tmp_path, NO_TOKENIZER) == set()
    folder(tmp_path, config={"eos_token_id": 1, "text_config": {"eos_token_id": [2, 3]}})
    folder(tmp_path, generation_config={"eos_token_id": [4, 5], "pad_token_id": 6})
    assert stop_tokens(tmp_path, SimpleNamespace(eos_token_id=0)) == {0, 1, 2, 3, 4, 5}
    folder(tmp_path, config={"eos_token_id": None, "text_config": None}, generation_config={"eos_token_id": -1})
    assert stop_tokens(tmp_path, SimpleNamespace(eos_token_id=7)) == {7}


def test_what_is_not_applied_is_said_with_its_value_and_how_to_take_it_over(tmp_path, caplog):
    # As Qwen2.5-7B-Instruct's, with more.
    asked = {
        "bos_token_id": 0,
        "pad_token_id": 0,
        "eos_token_id": [1, 2],
        "transformers_version": "4.37.0",
        "do_sample": True,
        "repetition_penalty": 1.05,
        "temperature": 0.7,
        "top_p": 0.8,
        "top_k": 20,
        "no_repeat_ngram_size": 3,
        "stop_strings": "END",
        "suppress_tokens": list(range(99)),
    }
    log_what_is_not_applied(folder(tmp_path, generation_config=asked))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    said = record.getMessage()
    assert 'asks for no_repeat_ngram_size 3, repetition_penalty 1.05, stop_strings "END", suppress_tokens [0, 1' in said
    assert 'write into them repetition_penalty: 1.05, stop: ["END"], temperature: 0.7, top_k: 20, top_p: 0.8' in said
    assert "they have no no_repeat_ngram_size, suppress_tokens" in said
    assert len(said) < 600
    assert not any(name in said for name in ("token_id", "do_sample", "transformers_version"))


def test_what_cannot_be_taken_over_is_said_too(tmp_path, caplog):
    log_what_is_not_applied(folder(tmp_path, generation_config={"forced_eos_token_id": 3, "made_up": "x"}))
    assert 'forced_eos_token_id 3, made_up "x"' in caplog.text
    assert "none of it can be taken over" in caplog.text


def test_what_changes_no_text_is_not_said(tmp_path, caplog):
    log_what_is_not_applied(tmp_path)
    neutral = {
        "repetition_penalty": 1.0,
        "top_k": 0,
        "top_p": 1,
        "num_beams": 1,
        "guidance_scale": None,
        "min_length": 0,
    }
    neutral |= {"_from_model_config": True, "use_cache": True, "suppress_tokens": [], "early_stopping": False}
    log_what_is_not_applied(folder(tmp_path, generation_config=neutral))
    assert not caplog.records
    assert not_applied(folder(tmp_path, generation_config={"temperature": 0})) == {"temperature": 0}


@pytest.mark.parametrize("content", ["{", "[]", "null", '"text"'])
def test_a_broken_file_is_an_error_that_says_so(tmp_path, content):
    with pytest.raises(SourceError, match=r"generation_config\.json is no JSON object"):
        stop_tokens(folder(tmp_path, generation_config=content), NO_TOKENIZER)
