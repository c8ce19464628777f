"""How sure a model was of each token, from the log-probabilities of the likeliest ones, as servers and tools write them.

What is stored is the confidence of a token as DeepConf has it: minus the mean log-probability of the likeliest tokens
in its place (arXiv 2508.15260), in thousandths of a nat. That of the drawn token alone is another number.

>>> read = confidences([[-0.5, -1.5], {"a": -0.25, "b": -0.75}], "logprobs")
>>> read.likeliest, list(read.stored)
(2, [1000, 500])
"""

import json
import math
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from gsr_dagster.method.policies.confidence import thousandths, token_confidence
from resources.problems.recorded_samples import TokenConfidences

# What rounding leaves above 0 of a probability of 1.
ROUNDED_UP = 1e-3
WANTED = 'a list with the likeliest tokens in each place is wanted, as in [[-0.1, -2.3], …] or [{"top_logprobs": [{"logprob": -0.1}, …]}, …]'


class DrawnTokensAloneError(ValueError):
    """Log-probabilities of the tokens that were drawn, without the likeliest ones in their places."""


def confidences(value: Any, name: str) -> TokenConfidences | None:
    """Return the confidence of every token, None where there are no log-probabilities.

    ``value`` is OpenAI's ``logprobs`` of a chat or of a completion, its list of places, or a list of lists of
    numbers; in CSV the JSON of it. A place has as many tokens as most places have: of one more, the likeliest,
    as a server adds the drawn token where it is not among them. Raises DrawnTokensAloneError where only these
    are there, and ValueError, with the place, for what is no list of log-probabilities.
    """
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise ValueError(f"{name} is {value[:40]!r}: {WANTED}") from None
    if isinstance(value, Mapping):
        value = _places(value, name)
    if value is None or value == "" or value != value or value == []:  # NaN: missing, in a table of floats
        return None
    if not isinstance(value, list):
        raise ValueError(f"{name} is {str(value)[:40]!r}: {WANTED}")
    places = [list(_likeliest(place, f"{name}, place {number}")) for number, place in enumerate(value, start=1)]
    drawn = [number for number, place in enumerate(places, start=1) if not place]
    if len(drawn) == len(places):
        raise DrawnTokensAloneError(
            f"{name} has the log-probability of each drawn token alone, which is not how sure the model was: {WANTED}"
        )
    if drawn:
        raise ValueError(f"{name}, place {drawn[0]} has no likeliest tokens, and others have: {WANTED}")
    ((most, _),) = Counter(map(len, places)).most_common(1)
    sure = [token_confidence(sorted(place, reverse=True)[:most]) for place in places]
    return TokenConfidences(array("H", thousandths(sure)), most)


def _places(value: Mapping[str, Any], name: str) -> Any:
    """Return the places of OpenAI's object: of a chat its content, of a completion its top_logprobs."""
    if "content" in value:
        return value["content"]
    if value.get("top_logprobs"):
        return value["top_logprobs"]
    if "token_logprobs" in value:
        return value["token_logprobs"]
    raise ValueError(f"{name} is an object that has {', '.join(map(str, value))[:100]}: {WANTED}")


def _likeliest(place: Any, where: str) -> Iterator[float]:
    """Yield the log-probabilities of the likeliest tokens in a place; none where only the drawn one is there."""
    if isinstance(place, Mapping) and ("top_logprobs" in place or "logprob" in place):
        _log_probability(place.get("logprob", 0.0), where)
        place = place.get("top_logprobs") or ()
    elif not isinstance(place, Mapping | list):
        _log_probability(place, where)
        return
    # A column of Parquet fills in the tokens that other places have.
    tokens = [one for one in place.values() if one is not None] if isinstance(place, Mapping) else place
    for token in tokens:
        yield _log_probability(token.get("logprob") if isinstance(token, Mapping) else token, where)


def _log_probability(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{where} holds {str(value)[:40]!r}, which is no log-probability")
    if value > ROUNDED_UP:
        raise ValueError(f"{where} holds {value:g}: a log-probability is 0 or below, and a probability is not taken")
    return float(value)
