"""What the hub's libraries say where something cannot be had, without the token, which a hub may repeat."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def hub_errors_as(kind: type[Exception], what: str) -> Iterator[None]:
    """Raise ``kind`` with the reason where the block fails; the libraries' own errors hold what the hub answered."""
    try:
        yield
    except Exception as error:
        from huggingface_hub import get_token

        said, token = f"{type(error).__name__}: {error}", get_token()
        raise kind(f"{what} cannot be had: {said.replace(token, '…') if token else said}") from None
