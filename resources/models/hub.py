"""What the hub's libraries say where something cannot be had, without the token, which a hub may repeat."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hub_errors_as(kind: type[Exception], what: str) -> Iterator[None]:
    """Raise ``kind`` with the reason where the block fails; the libraries' own errors hold what the hub answered."""
    try:
        yield
    except Exception as error:
        raise kind(f"{what} cannot be had: {without_token(f'{type(error).__name__}: {error}')}") from None


def without_token(said: object) -> str:
    """Return what a hub said, with the user's token taken out."""
    from huggingface_hub import get_token

    token = get_token()
    return str(said).replace(token, "…") if token else str(said)
