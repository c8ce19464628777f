"""What is said in place of an answer, in the form in which OpenAI's API says it."""

from typing import Any

from gsr_dagster.experiment.errors import UserError


class RefusedError(UserError):
    """A request that is not answered: why, the field that it is about, OpenAI's code, and the status of HTTP."""

    def __init__(self, message: str, param: str | None = None, code: str | None = None, status: int = 400):
        super().__init__(message)
        self.param, self.code, self.status = param, code, status


class StoppingError(RefusedError):
    """The server ends."""

    def __init__(self) -> None:
        super().__init__("the server is stopping", status=503)


def over_the_context(tokens: int, context: int | None) -> RefusedError:
    """Return the refusal of a prompt that leaves no room for an answer."""
    size = "not told by its server" if context is None else f"{context} tokens"
    return RefusedError(
        f"the prompt has {tokens} tokens, and the model's context length, for prompt and answer, is {size}",
        "messages",
        "context_length_exceeded",
    )


def error_form(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the status of HTTP and the body that tell a client of an error."""
    refused = error if isinstance(error, RefusedError) else RefusedError(f"no answer: {error}", status=500)
    kind = "server_error" if refused.status >= 500 else "invalid_request_error"
    told = {"message": str(refused), "type": kind, "param": refused.param, "code": refused.code}
    return refused.status, {"error": told}
