"""Addresses of servers in the experiment file."""

import re

# A machine by its name or number, a port and a path.
MACHINE = re.compile(r"(?:\w[\w-]*(?:\.\w[\w-]*)*\.?|\[[0-9A-Fa-f:.]+\])(?::(?P<port>\d{1,5}))?(?P<path>/[^?\s]*)?")
MOST_PORT = 65535


def server_address(url: str, example: str) -> str:
    """Return an address that begins with http:// or https://. Raises ValueError where it is none, with what was meant.

    One that holds a name and password, or a query, is refused, as it stands in logs. ``example`` is a right one.
    """
    scheme, _, rest = url.partition("://")
    if scheme in ("http", "https") and _names_machine(rest):
        return url
    if "@" in url or "?" in url:  # it may hold a key: it is not repeated
        form = re.sub(r"localhost:\d+", "HOST:PORT", example)
        raise ValueError(f"an address with a name, a password or a query is not taken: write {form} alone")
    meant = _meant(url, example)
    if scheme in ("http", "https") and "://" in url:
        raise ValueError(f"{url!r} names no machine, or no port from 1 to {MOST_PORT}, as {meant} does")
    raise ValueError(f"{url!r} is not an address that begins with http:// or https://, as {meant} does")


def _names_machine(rest: str) -> bool:
    """Return whether what stands behind http:// names a machine, without a port that there is not."""
    found = MACHINE.fullmatch(rest)
    return found is not None and 0 < int(found["port"] or 80) <= MOST_PORT


def _meant(url: str, example: str) -> str:
    """Return what was meant by an address of another form, an example where that cannot be known."""
    plain = re.sub(r"\s", "", url).replace("\\", "/")
    rest = re.sub(r"^(?:https?|[a-z]+:)/+|^https?:", "", plain, flags=re.IGNORECASE)
    scheme = "https" if plain.lower().startswith("https") else "http"
    return f"{scheme}://{rest}" if _names_machine(rest) else example
