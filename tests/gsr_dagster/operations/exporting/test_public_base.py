"""An adapter whose base is on the hub: tools find the base by the name and revision that its config has."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from tests.exported import RANK, trained_and_exported

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LOADS = """
import sys
from peft import AutoPeftModelForCausalLM
model = AutoPeftModelForCausalLM.from_pretrained(sys.argv[1])
print(model.peft_config["default"].r, model.config.name_or_path)
"""


@pytest.fixture
def hub_home(small_model, tmp_path) -> Path:
    """A home of the hub's library that holds the small model as someone/tiny at the tag v1.0, and at no other."""
    repository = tmp_path / "home" / "hub" / "models--someone--tiny"
    shutil.copytree(small_model, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "v1.0").write_text(COMMIT)
    return tmp_path / "home"


def test_peft_loads_an_exported_adapter_with_its_base_by_the_folder_alone(small_model, hub_home, tmp_path, monkeypatch):
    _, folder = trained_and_exported(monkeypatch, tmp_path, small_model, "hf:someone/tiny@v1.0")
    config = json.loads((folder / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], config["revision"]) == ("someone/tiny", "v1.0")
    card = ModelCard.load(folder / "README.md")
    assert card.data.base_model == "someone/tiny"
    assert "trained from someone/tiny at the revision v1.0." in card.text
    environment = {**os.environ, "HF_HOME": str(hub_home), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOADS, str(folder)]
    loaded = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert loaded.stdout.split() == [str(RANK), "someone/tiny"], loaded.stderr
