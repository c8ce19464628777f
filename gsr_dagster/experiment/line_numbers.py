"""Places in a YAML file: `("students", "mine", "base")` by its line and as people write it."""

from collections.abc import Iterator

import yaml

Place = tuple[str | int, ...]

MOST_NODES = 100_000
MOST_DEPTH = 50


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


def repeated_keys(node: yaml.Node | None, place: Place = ()) -> Iterator[tuple[Place, str]]:
    """Yield the place of every key that stands twice, and what is wrong with that."""
    if isinstance(node, yaml.MappingNode):
        seen = set()
        for key, value in node.value:
            if key.value in seen:
                yield (*place, key.value), "this key stands here twice"
            seen.add(key.value)
            yield from repeated_keys(value, (*place, key.value))
    elif isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(node.value):
            yield from repeated_keys(value, (*place, index))


def line_of(node: yaml.Node | None, place: Place) -> int:
    """Return the 1-based line of a place, or of its nearest parent that the file has."""
    line = node.start_mark.line + 1 if node else 1
    for step in place:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def dotted(place: Place) -> str:
    """Return a place as people write it, `students.mine.base`."""
    return ".".join(str(step) for step in place if step != "[key]") or "the whole file"
