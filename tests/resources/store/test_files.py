"""Local files: what is told where a disk is full."""

import errno

import pytest

from resources.store.files import explain_full_disk


def test_a_full_disk_is_told_once_and_by_the_path_that_has_no_room(tmp_path):
    def write() -> None:
        with explain_full_disk(tmp_path / "outer"), explain_full_disk(tmp_path / "inner"):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left") as told:
        write()
    assert str(told.value).count("make room") == 1
    assert told.value.filename == str(tmp_path / "inner")
