"""Where the checkout under test lies, and the recorded data beside it, which not every machine has."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
DATA = PROJECT.parent / "shared" / "data"
