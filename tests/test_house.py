"""The rules of the house that no linter knows: small modules, and rooms that are looked over at once."""

from collections import Counter

from tests.places import PROJECT

MOST_LINES = 300
MOST_MODULES = 14
ROOMS = ("gsr_dagster", "assets", "resources", "tests", "bench")
MODULES = [path for room in ROOMS for path in (PROJECT / room).rglob("*.py")]


def test_no_module_is_longer_than_a_few_screens():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {path: length for path, length in lengths.items() if length > MOST_LINES} == {}


def test_no_room_holds_more_modules_than_one_look_takes_in():
    counts = Counter(path.parent for path in MODULES if path.name != "__init__.py")
    assert {room: count for room, count in counts.items() if count > MOST_MODULES} == {}
