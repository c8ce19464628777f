"""A real small model, made and trained on the spot: right on about seven of ten small sums."""

import random
from pathlib import Path

from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages

CHAT_TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
RIGHT = 0.7
STEPS = 320


def sum_problem(rng: random.Random) -> tuple[str, int]:
    left, right = rng.randint(1, 9), rng.randint(1, 9)
    sign = rng.choice((1, -1))
    text = f"{left} {'+' if sign > 0 else '-'} {right}"
    return f"State the final answer to the following arithmetic problem: {text} =", left + sign * right


def attempt(answer: int, rng: random.Random) -> str:
    """A solution that is right seven times in ten: what the model will have learned to do."""
    said = answer if rng.random() < RIGHT else answer + rng.choice((-2, -1, 1, 2))
    return f"The answer is \\boxed{{{said}}}."


def training_chat(rng: random.Random, refine: bool, thinks: bool = False) -> list[dict[str, str]]:
    problem, answer = sum_problem(rng)
    prompt = direct_messages(problem)
    if refine:
        prompt = refinement_messages(problem, [attempt(answer, rng) for _ in range(2)])
    thinking = f"<think>Is it {answer + rng.choice((-1, 0, 1))}?</think>" if thinks else ""
    return [*prompt, {"role": "assistant", "content": thinking + attempt(answer, rng)}]


def small_tokenizer(rng: random.Random, *further: str):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["<|end|>", "<|user|>", "<|assistant|>", *further]
    trainer = trainers.BpeTrainer(
        vocab_size=700,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [message["content"] for i in range(300) for message in training_chat(rng, refine=i % 2 == 1)]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|end|>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def train_small_model(folder: Path, thinks: bool = False) -> None:
    """Write a Llama of three layers that adds small numbers, right seven times in ten, into a folder.

    One that ``thinks`` writes a guess between <think> and </think> first; both are special tokens.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    rng = random.Random(0)
    torch.manual_seed(0)
    tokenizer = small_tokenizer(rng, *(("<think>", "</think>") if thinks else ()))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=3,
        num_attention_heads=2 if thinks else 4,  # vLLM wants heads of 64
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    model = LlamaForCausalLM(config)
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        torch.optim.Muon(matrices, lr=3e-3, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=3e-3),
    ]
    tokenizer.padding_side = "right"
    for step in range(STEPS):
        refine = step % 4 == 3  # a batch of one kind has prompts of one length
        chats = [training_chat(rng, refine, thinks) for _ in range(32 if refine else 64)]
        full = [tokenizer.apply_chat_template(c, return_dict=True)["input_ids"] for c in chats]
        prompts = [
            tokenizer.apply_chat_template(c[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
            for c in chats
        ]
        batch = tokenizer.pad({"input_ids": full}, return_tensors="pt")
        labels = batch["input_ids"].clone()
        for row, (prompt, whole) in enumerate(zip(prompts, full, strict=True)):
            labels[row, : len(prompt)] = -100
            labels[row, len(whole) :] = -100
        loss = model(**batch, labels=labels).loss
        loss.backward()
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = 3e-3 * min(1, (STEPS - step) / (STEPS / 2))
            optimizer.step()
            optimizer.zero_grad()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
