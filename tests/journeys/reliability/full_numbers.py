"""How many times a harness tries: a few in the ordinary suite, the figures of docs/reliability.md with GSR_RELIABILITY=1."""

import os


def times(small: int, full: int) -> int:
    return full if os.environ.get("GSR_RELIABILITY") else small
