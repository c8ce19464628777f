"""What the engines' tests ask of a real model."""

from gsr_dagster.method.prompting.prompts import direct_messages
from resources.engines.base import Request, sample_seed


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
