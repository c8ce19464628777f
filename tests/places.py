"""Where the checkout under test lies."""

from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
