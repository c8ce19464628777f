"""A row of a table, by column, wherever rows are read, made or stored."""

from typing import Any

Row = dict[str, Any]
