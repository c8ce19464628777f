"""What `bench.gpu` works on: a model with random weights, made on the spot, and prompts and training rows for it.

Random weights take as long as learned ones, and a machine without a network has no others. Each token is about as
likely as any other, so that almost every sample has all of its tokens.
"""

import json
import random
from pathlib import Path
from typing import Any

from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
TOKENS = 4096
# About 1.1 billion parameters, as a Llama 3.2 1B with fewer tokens; and what a CPU bears.
BIG = {
    "hidden_size": 2048,
    "intermediate_size": 8192,
    "num_hidden_layers": 18,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
}
SMALL = {
    "hidden_size": 256,
    "intermediate_size": 1024,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}
LONGEST = 4096


def make_model(folder: Path, on_gpu: bool) -> int:
    """Write a Llama with random weights and its tokenizer into a folder, and return its parameters."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = make_tokenizer()
    config = LlamaConfig(
        **(BIG if on_gpu else SMALL),
        vocab_size=len(tokenizer),
        max_position_embeddings=LONGEST,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    torch.manual_seed(0)
    with torch.device("cuda" if on_gpu else "cpu"):
        model = LlamaForCausalLM(config).to(torch.bfloat16 if on_gpu else torch.float32)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return sum(weight.numel() for weight in model.parameters())


def make_tokenizer() -> Any:
    """Return a tokenizer of TOKENS tokens, made of the texts below."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=TOKENS,
        special_tokens=["<|end|>", "<|user|>", "<|assistant|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    draw = random.Random(1)
    tokenizer.train_from_iterator((solution(draw, 100) for _ in range(300)), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def solution(draw: random.Random, steps: int) -> str:
    """Return a made-up solution; a step has some ten tokens."""
    return " ".join(f"After box {draw.randint(1, 99)} there are {draw.randint(100, 999)} pens." for _ in range(steps))


def prompts(number: int) -> list[list[dict[str, str]]]:
    """Return refinement prompts, each with four candidates."""
    draw = random.Random(2)
    return [refinement_messages(problem(n), [solution(draw, 20) for _ in range(4)]) for n in range(number)]


def training_rows(number: int, steps: int) -> list[dict[str, str]]:
    """Return training rows, every second one a refinement; an answer has so many steps."""
    draw, rows = random.Random(3), []
    for n in range(number):
        refine = n % 2 == 0
        candidates = [solution(draw, steps // 4) for _ in range(4)]
        prompt = refinement_messages(problem(n), candidates) if refine else direct_messages(problem(n))
        kind = "refinement" if refine else "direct"
        rows.append({"kind": kind, "messages": json.dumps(prompt), "completion": solution(draw, steps)})
    return rows


def problem(number: int) -> str:
    return f"A box holds {number} pens, and each of {number + 5} others one more than the last. How many pens?"


def on_gpu() -> bool:
    import torch

    return torch.cuda.is_available()


def sizes() -> dict[str, int]:
    """Return how much is measured here: a CPU only rehearses."""
    if on_gpu():
        return {"rows": 192, "steps": 120, "at_once": 4, "prompts": 32, "tokens": 256, "product": 8192}
    return {"rows": 16, "steps": 12, "at_once": 2, "prompts": 2, "tokens": 16, "product": 1024}
