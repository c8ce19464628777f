"""Weights, templates, archives and names from strangers: refused by default, with the reason, and nothing of them is run."""

import ast
import json
import pickle
import shutil
from pathlib import Path

import jinja2.exceptions
import pytest
from resources.engines.openai import OpenAIEngine

from gsr_dagster.experiment.engines import OpenAI
from gsr_dagster.experiment.settings import RolloutSettings
from resources.engines.base import Request
from resources.engines.reward_model import RewardModel
from resources.engines.transformers import TransformersEngine
from resources.models import weights
from tests.places import PROJECT

ESCAPE = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
SETTINGS = RolloutSettings(temperature=0, max_new_tokens=2)
ASKED = [Request("r", [{"role": "user", "content": "?"}], (0,), (1,))]


@pytest.fixture
def canary(tmp_path) -> Path:
    """A file that comes to be where anything planted is run."""
    return tmp_path / "canary"


@pytest.fixture(scope="module")
def untrained(tmp_path_factory, tokenizer_folder) -> Path:
    """A real causal model of one layer, with a tokenizer."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 4}
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    folder = tmp_path_factory.mktemp("untrained")
    LlamaForCausalLM(LlamaConfig(vocab_size=len(tokenizer), **size)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def model(untrained, tmp_path) -> Path:
    """A copy of it that can be tampered with."""
    return Path(shutil.copytree(untrained, tmp_path / "model"))


class Planted:
    """A pickle that makes a file when it is loaded."""

    def __init__(self, canary: Path):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def test_the_plants_work(canary):
    pickle.loads(pickle.dumps(Planted(canary)))
    assert canary.exists()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.pt", "weights.pkl", "consolidated.pth"])
def test_pickled_weights_are_refused_with_the_reason(tmp_path, canary, name):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "llama"}')
    (tmp_path / "model" / name).write_bytes(pickle.dumps(Planted(canary)))
    for use in (weights.fetch, weights.weights_identity, weights.fetch_tokenizer):
        with pytest.raises(weights.SourceError, match=f"no \\*.safetensors file; {name} is not read, since unpickling"):
            use(f"path:{tmp_path / 'model'}")
    assert not canary.exists()


def test_pickles_beside_safetensors_are_not_opened(model, canary):
    for name in ("pytorch_model.bin", "training_args.bin", "tokenizer.pkl", "adapter_model.bin", "vocab.pkl"):
        (model / name).write_bytes(pickle.dumps(Planted(canary)))
    engine = TransformersEngine(weights.fetch(f"path:{model}"), None, 1)
    assert list(engine.sample(ASKED, SETTINGS))
    assert not canary.exists()


def remote_code(folder: Path, canary: Path, architecture: str) -> None:
    """Let a folder name its own code for everything that can be loaded from it."""
    for module in ("configuration_own", "modeling_own", "tokenization_own"):
        (folder / f"{module}.py").write_text(f"from pathlib import Path\nPath({str(canary)!r}).touch()\n")
    config = json.loads((folder / "config.json").read_text())
    named = {"AutoConfig": "configuration_own.Own", architecture: "modeling_own.Own"}
    (folder / "config.json").write_text(json.dumps({**config, "model_type": "own", "auto_map": named}))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings |= {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["tokenization_own.Own", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))


def test_a_models_own_code_is_refused_though_somebody_would_answer_yes(
    model, reward_model_folder, tmp_path, canary, monkeypatch
):
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    remote_code(model, canary, "AutoModelForCausalLM")
    reward = Path(shutil.copytree(reward_model_folder, tmp_path / "reward"))
    remote_code(reward, canary, "AutoModelForSequenceClassification")
    served = OpenAI(kind="openai", base_url="http://127.0.0.1:9/v1", model="m")
    for load in (
        lambda: TransformersEngine(model, None, 1),
        lambda: RewardModel(reward, 1),
        lambda: OpenAIEngine(model, served),
    ):
        with pytest.raises(ValueError, match=r"contains custom code|trust_remote_code"):
            load()
    assert not canary.exists()


def test_every_place_that_loads_says_whether_a_models_own_code_is_run():
    """transformers asks whoever sits at the terminal where nothing is said."""
    silent = []
    for path in [*PROJECT.glob("resources/**/*.py"), *PROJECT.glob("assets/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "from_pretrained"
            ):
                said = {keyword.arg for keyword in node.keywords}
                if ast.unparse(node.func) != "PeftModel.from_pretrained" and not said & {"trust_remote_code", None}:
                    silent.append(f"{path.name}:{node.lineno}")
    assert silent == []


@pytest.mark.parametrize("part", ["../outside.safetensors", "/etc/x.safetensors", "a/../../x.safetensors", "model.bin"])
def test_an_index_that_names_other_files_is_refused(model, part):
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"w": part}}))
    with pytest.raises(weights.SourceError, match=r"only \*.safetensors files beside it are read"):
        weights.fetch(f"path:{model}")


@pytest.mark.parametrize("content", ["", "[]", '{"weight_map": 3}', '{"weight_map": {"w": 3}}', "[" * 99_999])
def test_an_index_that_is_none_is_refused(model, content):
    (model / "model.safetensors.index.json").write_text(content)
    with pytest.raises(weights.SourceError, match="is no index of safetensors files"):
        weights.fetch(f"path:{model}")


def test_a_chat_template_cannot_leave_its_sandbox(model, reward_model_folder, tmp_path):
    reward = Path(shutil.copytree(reward_model_folder, tmp_path / "reward"))
    for folder in (model, reward):
        (folder / "chat_template.jinja").write_text(ESCAPE)
    with pytest.raises(jinja2.exceptions.SecurityError):
        list(TransformersEngine(model, None, 1).sample(ASKED, SETTINGS))
    with pytest.raises(jinja2.exceptions.SecurityError):
        RewardModel(reward, 1).score([[{"role": "user", "content": "?"}]])


def test_what_a_text_holds_is_no_template(model):
    engine = TransformersEngine(model, None, 1)
    asked = Request("r", [{"role": "user", "content": "{{ 7 * 7 }}{% for x in y %}"}], (0,), (1,))
    assert "{{ 7 * 7 }}{% for x in y %}" in engine.tokenizer.decode(engine.chat.prompt(asked.messages))


def gguf_file(path: Path, template: str) -> None:
    """A llama of one layer with weights of 0, with a chat template."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(str(path), "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(32)
    writer.add_block_count(1)
    writer.add_feed_forward_length(64)
    writer.add_head_count(4)
    writer.add_layer_norm_rms_eps(1e-5)
    tokens = ["<s>", "</s>", "<unk>", "t", "1", "t1"]
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, 3, 1, 1, 1])
    writer.add_token_merges(["t 1"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_chat_template(template)
    layer = {"attn_norm": (32,), "ffn_norm": (32,), "ffn_gate": (64, 32), "ffn_up": (64, 32), "ffn_down": (32, 64)}
    layer |= {f"attn_{name}": (32, 32) for name in ("q", "k", "v", "output")}
    shapes = {"token_embd": (len(tokens), 32), "output": (len(tokens), 32), "output_norm": (32,)}
    for name, shape in {**shapes, **{f"blk.0.{name}": shape for name, shape in layer.items()}}.items():
        writer.add_tensor(f"{name}.weight", np.zeros(shape, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_gguf_files_template_cannot_leave_its_sandbox_either(tmp_path, monkeypatch):
    monkeypatch.setenv("GSR_CACHE", str(tmp_path / "cache"))
    gguf_file(tmp_path / "model.gguf", ESCAPE)
    folder = weights.fetch(f"gguf:{tmp_path / 'model.gguf'}")
    assert {path.suffix for path in folder.iterdir() if path.name != "SHA256SUMS"} <= {
        ".json",
        ".safetensors",
        ".jinja",
    }
    with pytest.raises(jinja2.exceptions.SecurityError):
        list(TransformersEngine(folder, None, 1).sample(ASKED, SETTINGS))
