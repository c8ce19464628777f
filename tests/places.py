"""Where the checkout under test lies, an experiment file to change, and the recorded data beside it, which not every machine has."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
FORMER_DEMO = PROJECT / "tests" / "former_demo.yaml"
DATA = PROJECT.parent / "shared" / "data"
