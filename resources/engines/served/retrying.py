"""Retries of a server: which errors are tried again, how long to wait, and which end a run at once."""

from typing import Any

from resources.engines.served.refusals import FOR_PEOPLE, AnswerError, refused_prompt, status_may_pass

LONGEST_PAUSE = 60.0
SPENT_QUOTA = ("insufficient_quota", "billing_hard_limit_reached")


def may_pass(error: BaseException) -> bool:
    """Return whether another try may go well: after a fault, a refusal for now, a broken or a late answer."""
    from openai import APIConnectionError, APIResponseValidationError, APIStatusError

    if isinstance(error, AnswerError):
        return error.passing
    if refused_prompt(error):
        return False
    if isinstance(error, APIStatusError) and not isinstance(error, APIResponseValidationError):
        return status_may_pass(error.status_code) and not is_for_people(error)
    # A broken body is a ValueError of the JSON parser.
    return isinstance(error, APIConnectionError | APIResponseValidationError | ValueError)


def is_for_people(error: BaseException) -> bool:
    """Return whether no request can go well before someone puts something right."""
    code = getattr(error, "code", None)
    return getattr(error, "status_code", None) in FOR_PEOPLE or code in SPENT_QUOTA


def retrying(retries: int) -> Any:
    """Return a wrapper that tries a call again after errors that may pass.

    Each pause is longer than the one before, and never shorter than the server asks for.
    """
    from tenacity import RetryCallState, Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

    by_chance = wait_random_exponential(multiplier=0.5, max=LONGEST_PAUSE)

    def pause(state: RetryCallState) -> float:
        return max(by_chance(state), asked_pause(state.outcome.exception() if state.outcome else None))

    return Retrying(stop=stop_after_attempt(retries + 1), wait=pause, retry=retry_if_exception(may_pass), reraise=True)


def asked_pause(error: BaseException | None) -> float:
    """Return the seconds that a server asks to wait before the next try, 0 where it asks for none."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return min(max(float(headers.get("retry-after", 0)), 0.0), LONGEST_PAUSE)
    except ValueError:  # a date
        return 0.0
