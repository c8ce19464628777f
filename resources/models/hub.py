"""What the hub's libraries say where something cannot be had, without the token, which a hub may repeat."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hub_errors_as(kind: type[Exception], what: str) -> Iterator[None]:
    """Raise ``kind`` with the reason where the block fails; the libraries' own errors hold what the hub answered."""
    try:
        yield
    except Exception as error:
        said = without_token(f"{type(error).__name__}: {error}")
        raise kind(f"{what} cannot be had: {said}{_what_to_do(error)}") from None


def _what_to_do(error: Exception) -> str:
    """Return what gives access to a repository that the hub keeps closed, "" where another thing is wrong."""
    from huggingface_hub import get_token
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError

    # datasets has an error of its own, which says it in words alone.
    if isinstance(error, GatedRepoError) or "is a gated dataset" in str(error):
        page = "accept its terms on its page at the hub"
        if get_token():
            return f". It is gated, and the account of your token has no access: {page}"
        return f". It is gated: {page}, and set HF_TOKEN to a token of the account that did"
    if isinstance(error, RepositoryNotFoundError) or "cannot be accessed" in str(error):
        return ". Check its name; a private one needs a token with access to it in HF_TOKEN"
    return ""


def without_token(said: object) -> str:
    """Return what a hub said, with the user's token taken out."""
    from huggingface_hub import get_token

    token = get_token()
    return str(said).replace(token, "…") if token else str(said)
