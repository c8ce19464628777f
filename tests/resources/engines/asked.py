"""What the engines' tests ask of a real model."""

from typing import Any

from gsr_dagster.method.prompting.prompts import direct_messages
from resources.engines.base import Request, sample_seed
from resources.engines.decoding import RepetitionPenalty


def requests(count: int, samples: int) -> list[Request]:
    return [
        Request(
            f"r{number}",
            direct_messages(f"What is {number} + 3?"),
            tuple(range(samples)),
            tuple(sample_seed("f", f"r{number}", index) for index in range(samples)),
        )
        for number in range(count)
    ]


def small_request(number: int, samples: int = 4) -> Request:
    """Return a request for samples of a sum that the small model knows."""
    problem = f"State the final answer to the following arithmetic problem: {number} + 3 ="
    seeds = tuple(sample_seed("fingerprint", str(number), index) for index in range(samples))
    return Request(str(number), direct_messages(problem), tuple(range(samples)), seeds)


def is_tie(
    engine: Any, asked: list[Request], one: tuple, other: tuple, repetition_penalty: float = 1, **_: Any
) -> bool:
    """Return whether the first tokens in which two texts differ have one score in bfloat16, but for a rounding.

    ``one`` and ``other`` begin with the id of their request and the text.
    """
    import torch

    (messages,) = [request.messages for request in asked if request.id == one[0] == other[0]]
    texts = engine.tokenize(one[1]), engine.tokenize(other[1])
    place = next(place for place, (left, right) in enumerate(zip(*texts, strict=False)) if left != right)
    ids = torch.tensor([engine.chat.prompt(messages) + texts[0][:place]])
    with torch.inference_mode():
        logits = engine.model(input_ids=ids).logits[:, -1].float()
    scores = RepetitionPenalty(repetition_penalty, torch.ones_like(ids))(ids, logits)[0]
    left, right = (float(scores[text[place]]) for text in texts)
    return abs(left - right) <= torch.finfo(torch.bfloat16).eps * max(abs(left), abs(right))
