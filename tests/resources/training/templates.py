"""The chat templates that TRL and transformers ship, each on a small tokenizer that has its special tokens."""

import ast
import importlib.util
import random
import re
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from resources.models.weights import PLAIN_CHAT
from tests.small_model import CHAT_TEMPLATE, small_tokenizer

SPECIAL = re.compile(r"<[|｜][^<>\s'\"{}]+[|｜]>|</?[\w▁:]+>|<[\w]+\|>|<\|[\w]+>|\[/?[A-Z_]+\]")
# Markers in templates that are no tokens of their own in any tokenizer.
TEXT = {"<tools>", "</tools>", "<br>"}
# They write nothing of a message whose content is text: for images, or for sound.
FOR_PARTS = ("idefics3", "smolvlm", "llava_next")


@cache
def shipped() -> dict[str, str]:
    """Return the templates by name."""
    found = {path.stem: path.read_text() for path in sorted(_folder("trl").rglob("*.jinja"))}
    for path in sorted((_folder("transformers") / "models").rglob("*.py")):
        source = path.read_text()
        if "add_generation_prompt %}" not in source and "add_generation_prompt -%}" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            text = node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
            if "for message in messages" in text and "{%" in text:
                found[f"transformers {path.stem} {node.lineno}"] = text
    return {**found, "plain": PLAIN_CHAT, "small": CHAT_TEMPLATE}


def _folder(package: str) -> Path:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent


@cache
def _tokenizer() -> Any:
    return small_tokenizer(random.Random(0))


@cache
def tokenizer_with(name: str) -> tuple[Any, list[int]]:
    """Return a tokenizer with a template and its special tokens, and the tokens at which its model stops."""
    template = shipped()[name]
    tokenizer = deepcopy(_tokenizer())
    tokenizer.chat_template = template
    tokenizer.bos_token = "<|end|>"
    special = sorted({text for text in SPECIAL.findall(template) if text not in TEXT})
    tokenizer.add_special_tokens({"additional_special_tokens": special})
    ends = re.compile(r"end_of_turn|im_end|eot|return|/s>|turn\||END_OF_TURN|eos|end.of.sentence|<\|end\|>|utterance")
    return tokenizer, [
        tokenizer.eos_token_id,
        *(tokenizer.convert_tokens_to_ids(text) for text in special if ends.search(text)),
    ]
