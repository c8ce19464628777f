"""A folder pushed to a hub: what arrives there, who may read it, and what is said where the hub does not take it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from resources.models.pushing import PushError, push_folder, refuse_repository
from tests.hub import READER, WRITER, Hub
from tests.journeys.serving import free_port

CARD = "---\nlicense: unknown\n---\n\n# A student\n"


@pytest.fixture
def hub(monkeypatch) -> Iterator[Hub]:
    """A hub, and a user of it who may write. What the environment says is read when the library is imported."""
    hub = Hub(large_by_lfs=True)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", hub.address)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_TOKEN", WRITER)
    yield hub
    hub.close()


@pytest.fixture
def folder(tmp_path) -> Path:
    folder = tmp_path / "student"
    folder.mkdir()
    (folder / "README.md").write_text(CARD)
    (folder / "adapter_model.safetensors").write_bytes(bytes(range(256)) * 300)
    return folder


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_every_file_arrives_as_it_is_and_only_its_owners_read_it(hub, folder):
    address = push_folder(folder, "team/student", public=False)
    assert hub.repositories == {"team/student": files(folder)}
    assert hub.private == {"team/student"}
    assert list(hub.large.values()) == [(folder / "adapter_model.safetensors").read_bytes()]
    assert address.startswith(f"{hub.address}/team/student/commit/")


def test_a_repository_is_public_only_where_that_is_said(hub, folder):
    push_folder(folder, "team/student", public=True)
    assert (list(hub.repositories), hub.private) == (["team/student"], set())


def test_pushing_again_replaces_files_of_the_same_names(hub, folder):
    push_folder(folder, "team/student", public=False)
    (folder / "README.md").write_text(f"{CARD}again\n")
    push_folder(folder, "team/student", public=False)
    assert hub.repositories["team/student"] == files(folder)


def test_a_repository_that_everybody_reads_is_refused_unless_that_is_said(hub):
    hub.repositories["team/student"] = {}
    with pytest.raises(PushError, match="everybody can read it: --public"):
        refuse_repository("team/student", public=False)
    refuse_repository("team/student", public=True)
    hub.private.add("team/student")
    refuse_repository("team/student", public=False)
    refuse_repository("team/new", public=False)
    assert hub.asked == [("GET", f"/api/models/team/{name}") for name in ["student"] * 3 + ["new"]], "nothing is made"


def refusal(folder: Path, repository: str = "team/student") -> str:
    with pytest.raises(PushError) as refused:
        push_folder(folder, repository, public=False)
    return str(refused.value)


def test_who_may_not_write_is_told_what_is_wanted_and_no_token_is_repeated(hub, folder, monkeypatch):
    other = refusal(folder, "others/student")
    assert "the token may not write there" in other
    assert "You may not write for others" in other
    monkeypatch.setenv("HF_TOKEN", READER)
    assert "the token may not write there" in (reader := refusal(folder))
    monkeypatch.setenv("HF_TOKEN", "hf_plantedStranger")
    assert "set HF_TOKEN to a token that may write" in (stranger := refusal(folder))
    assert "Invalid credentials" in stranger
    with pytest.raises(PushError, match="set HF_TOKEN to a token that may write") as refused:
        refuse_repository("team/student", public=False)
    assert "planted" not in other + reader + stranger + str(refused.value)
    assert hub.repositories == {}


def test_a_card_that_the_hub_refuses_is_told_as_the_hub_tells_it(hub, folder):
    (folder / "README.md").write_text("---\nlicense: 3\n---\n")
    assert "license must be a string" in refusal(folder)
    assert hub.repositories == {"team/student": {}}


def test_a_hub_that_cannot_be_reached_is_named(folder, monkeypatch):
    nowhere = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", nowhere)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    assert f"{nowhere} cannot be reached: " in refusal(folder)
    with pytest.raises(PushError, match=f"nothing can be pushed to team/student: {nowhere} cannot be reached"):
        refuse_repository("team/student", public=False)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("student", "names no owner: write ORG/NAME, as in my-team/student"),
        ("a/b/c", "Write ORG/NAME"),
        ("team/a--b", "Cannot have -- or"),
        ("team/../x", "Write ORG/NAME"),
        ("team/a b", "Write ORG/NAME"),
        ("", "Write ORG/NAME"),
    ],
)
def test_what_cannot_be_a_repository_is_refused_before_anything_is_written(name, why):
    with pytest.raises(PushError, match=why):
        refuse_repository(name, public=False)
