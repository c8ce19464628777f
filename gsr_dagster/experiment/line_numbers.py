"""Places in a YAML file: `("students", "mine", "base")` by its line and as people write it."""

from collections.abc import Iterator
from dataclasses import dataclass

import yaml

Place = tuple[str | int, ...]

MOST_NODES = 100_000
MOST_DEPTH = 50
MERGED = "tag:yaml.org,2002:merge"


@dataclass(frozen=True)
class Fault:
    """Something that is wrong at a place of the file, in words. ``line`` where the place alone does not tell it."""

    place: Place
    what: str
    line: int | None = None


def is_bomb(node: yaml.Node | None) -> bool:
    """Return whether a file is endless, or enormous, or very deep once its aliases are written out."""
    stack, count = [(node, 0)], 0
    while stack:
        node, depth = stack.pop()
        count += 1
        if count > MOST_NODES or depth > MOST_DEPTH:
            return True
        if isinstance(node, yaml.MappingNode):
            stack += [(part, depth + 1) for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            stack += [(part, depth + 1) for part in node.value]
    return False


def repeated_keys(node: yaml.Node | None, place: Place = ()) -> Iterator[Fault]:
    """Yield a fault for every key that stands twice."""
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            name, line = str(key.value), key.start_mark.line + 1
            if name in seen:
                what = f"this key stands here twice, in line {seen[name]} too: keep one of the two"
                yield Fault((*place, name), what, line)
            seen[name] = line
            yield from repeated_keys(value, (*place, name))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from repeated_keys(value, (*place, index))


def found_at(root: yaml.Node | None, place: Place) -> tuple[int, yaml.Node | None]:
    """Return the 1-based line of a place and what stands there; the line of its nearest parent, and None, where nothing does."""
    line, node = root.start_mark.line + 1 if root else 1, root
    for step in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((key, value) for key, value in _pairs(node) if key.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            return line, None
        line, node = found[0].start_mark.line + 1, found[1]
    return line, node


def line_of(root: yaml.Node | None, place: Place) -> int:
    """Return the 1-based line of a place, or of its nearest parent that the file has."""
    return found_at(root, place)[0]


def dotted(place: Place) -> str:
    """Return a place as people write it, `students.mine.base`."""
    return ".".join(on_one_line(str(step)) for step in place) or "the whole file"


def on_one_line(text: str) -> str:
    """Return a text of the file with its line ends and other signs that do not show written out."""
    return "".join(sign if sign.isprintable() else ascii(sign)[1:-1] for sign in text)


def _pairs(node: yaml.MappingNode) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    """Yield the keys and values of a section, its own before those that it takes over with `<<`."""
    yield from node.value
    for key, value in node.value:
        if key.tag == MERGED:
            for part in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                if isinstance(part, yaml.MappingNode):
                    yield from _pairs(part)
