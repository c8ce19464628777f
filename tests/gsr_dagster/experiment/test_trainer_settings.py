"""`training: {trainer: {…}}` by the names of TRL's SFTConfig and GRPOConfig, and configs of `accelerate config`."""

import dataclasses
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from assets.teaching.fingerprints import LoraCheckpoints
from gsr_dagster.experiment.faults.wanted import example_of
from gsr_dagster.experiment.loading import SHIPPED, ExperimentError, load_experiment
from gsr_dagster.experiment.training.fine_tuning import NOT_LEARNED
from gsr_dagster.experiment.training.trainer_settings import (
    ELSEWHERE,
    ELSEWHERE_OF_GRPO,
    NOT_LEARNED_FROM,
    GRPOTrainerSettings,
    TrainerSettings,
)
from resources.store.artifacts import ArtifactStore

ACCELERATE = {"distributed_type": "FSDP", "num_processes": 4, "num_machines": 1}
EXAMPLES = {
    "packing": True,
    "gradient_checkpointing": False,
    "use_liger_kernel": True,
    "model_init_kwargs": {"attn_implementation": "flash_attention_2"},
    "optim": "adamw_8bit",
    "weight_decay": 0.1,
    "max_grad_norm": 0.5,
    "lr_scheduler_type": "linear",
    "adam_beta1": 0.8,
    "adam_beta2": 0.95,
    "neftune_noise_alpha": 5,
}


def refusal(training: dict, folder: Path) -> str:
    with pytest.raises(ExperimentError) as error:
        experiment_with(training, folder)
    return str(error.value)


OF_USERS_HABIT = {"attn_implementation", "use_kernels", "warmup_ratio"}


@pytest.mark.parametrize(
    ("module", "config", "section", "elsewhere"),
    [
        ("trl.trainer.sft_config", "SFTConfig", TrainerSettings, ELSEWHERE),
        ("trl.trainer.grpo_config", "GRPOConfig", GRPOTrainerSettings, ELSEWHERE_OF_GRPO),
    ],
)
def test_every_field_of_trls_config_is_a_setting_or_says_where_it_is_set(module, config, section, elsewhere):
    fields = {field.name for field in dataclasses.fields(getattr(import_module(module), config))}
    ours = set(section.model_fields)
    assert ours <= fields
    assert fields - ours <= set(elsewhere)
    assert not ours & set(elsewhere)
    assert set(elsewhere) - fields == OF_USERS_HABIT
    assert set(NOT_LEARNED_FROM) <= ours


def test_what_is_set_is_what_sftconfig_takes(tmp_path):
    from trl.trainer.sft_config import SFTConfig

    settings = TrainerSettings.model_validate(EXAMPLES)
    assert settings.model_dump() == EXAMPLES
    config = SFTConfig(output_dir=str(tmp_path), use_cpu=True, bf16=False, **settings.model_dump())
    assert {name: getattr(config, name) for name in ("weight_decay", "optim")} == {
        "weight_decay": 0.1,
        "optim": "adamw_8bit",
    }


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wieght_decay", "wieght_decay is no setting of TRL's SFTConfig: did you mean weight_decay?"),
        ("max_gradnorm", "did you mean max_grad_norm?"),
        ("gradient_checkpoint", "did you mean gradient_checkpointing?"),
        ("learning_rat", "did you mean learning_rate? It is not set here: set training.learning_rate"),
        ("zzz", "training.trainer has no key 'zzz'; there are activation_offloading, adam_beta1,"),
        ("temperature", "temperature belongs to evaluation.direct"),
        *((name, f"{name} is not set here: {why}") for name, why in ELSEWHERE.items()),
    ],
)
def test_a_name_that_is_none_is_refused_with_what_would_be_right(name, message, tmp_path):
    said = refusal({"trainer": {name: 1}}, tmp_path)
    assert f"training.trainer.{name}: " in said
    assert message in said


def test_every_name_that_is_none_is_told_beside_every_wrong_value(tmp_path):
    trainer = {"learning_rate": 1, "pakcing": True, "weight_decay": "a lot"}
    said = refusal({"accelerate": "fsdp.yaml", "epochs": 0, "trainer": trainer}, tmp_path)
    for place in ("accelerate", "epochs", "trainer.learning_rate", "trainer.pakcing", "trainer.weight_decay"):
        assert f"training.{place}: " in said


def test_a_setting_that_stands_one_level_too_high_is_told_where_it_belongs(tmp_path):
    assert "packing belongs to students.NAME.training.trainer" in refusal({"packing": True}, tmp_path)


@pytest.mark.parametrize("name", TrainerSettings.model_fields)
def test_the_example_of_a_setting_is_right(name, tmp_path):
    value = yaml.safe_load(example_of(TrainerSettings, name))
    training = experiment_with({"trainer": {name: value}}, tmp_path).students["smollm2-135m-gsr"].training
    assert training.trainer.model_dump(mode="json") == {name: value}


@pytest.mark.parametrize(
    ("trainer", "message"),
    [
        ({"weight_decay": "a lot"}, "trainer.weight_decay"),
        ({"packing": "often"}, "trainer.packing"),
        ({"adam_beta1": 1.5}, "trainer.adam_beta1"),
        ({"model_init_kwargs": {"dtype": "float16"}}, "trainer.model_init_kwargs: dtype is not set here"),
        (
            {"model_init_kwargs": {"trust_remote_code": True}},
            "trainer.model_init_kwargs: trust_remote_code is not set here",
        ),
        (["packing"], "trainer"),
    ],
)
def test_a_value_that_cannot_be_is_refused_at_the_door(trainer, message, tmp_path):
    assert message in refusal({"trainer": trainer}, tmp_path)


def test_a_number_as_yaml_reads_it_is_a_number():
    assert TrainerSettings.model_validate(yaml.safe_load("{adam_epsilon: 1e-6}")).adam_epsilon == 1e-6


def experiment_with(training: dict, folder: Path):
    document = yaml.safe_load((SHIPPED / "demo.yaml").read_text())
    document["students"]["smollm2-135m-gsr"]["training"] |= training
    path = folder / "mine.yaml"
    path.write_text(yaml.safe_dump(document))
    return load_experiment(path)


def fingerprint(training: dict, folder: Path) -> str:
    step = LoraCheckpoints(experiment_with(training, folder))
    return step.recipe(ArtifactStore(root=str(folder / "store")), "smollm2-135m-gsr").fingerprint


@pytest.mark.parametrize("name", EXAMPLES)
def test_a_setting_is_in_the_fingerprint_where_it_is_set(name, tmp_path):
    assert fingerprint({"trainer": {name: EXAMPLES[name]}}, tmp_path) != fingerprint({}, tmp_path)


def test_how_a_student_is_computed_and_shown_is_not(tmp_path):
    (tmp_path / "fsdp.yaml").write_text(yaml.safe_dump(ACCELERATE))
    before = fingerprint({}, tmp_path)
    for training in (
        {"trainer": {}},
        {"trainer": {"report_to": "wandb", "run_name": "mine", "dataloader_num_workers": 2}},
        {"processes": 2, "rows_at_once": 1},
        {"accelerate": "fsdp.yaml"},
        {"launch": "ray"},
        {"save_minutes": 30},
    ):
        assert fingerprint(training, tmp_path) == before
    assert {"accelerate", "launch", "save_minutes"} <= set(NOT_LEARNED)


def test_a_config_of_accelerate_lies_beside_the_experiment_and_says_how_many_processes(tmp_path):
    (tmp_path / "fsdp.yaml").write_text(yaml.safe_dump(ACCELERATE))
    training = experiment_with({"accelerate": "fsdp.yaml"}, tmp_path).students["smollm2-135m-gsr"].training
    assert training.accelerate == tmp_path / "fsdp.yaml"
    assert training.processes == 4
    assert training.rows_in_a_process == 1


@pytest.mark.parametrize(
    ("written", "training", "message"),
    [
        (None, {}, "accelerate: .*fsdp.yaml: No such file or directory"),
        ("when: 2026-99-99", {}, "fsdp.yaml is neither YAML nor JSON"),
        ("[" * 5000, {}, "fsdp.yaml is neither YAML nor JSON"),
        ("not: [a", {}, "fsdp.yaml is neither YAML nor JSON"),
        ("name: demo", {}, "fsdp.yaml is no config of `accelerate config`"),
        (
            yaml.safe_dump(ACCELERATE),
            {"processes": 2},
            "training.processes: its accelerate config has 4; leave processes out",
        ),
        (yaml.safe_dump({**ACCELERATE, "num_processes": 3}), {}, "do not divide into 3 processes"),
    ],
)
def test_a_config_that_does_not_fit_is_refused_at_the_door(written, training, message, tmp_path):
    if written is not None:
        (tmp_path / "fsdp.yaml").write_text(written)
    with pytest.raises(ExperimentError, match=message):
        experiment_with({"accelerate": "fsdp.yaml", **training}, tmp_path)


def test_an_experiment_with_trainer_settings_loads_without_trl_or_torch(tmp_path):
    path = tmp_path / "mine.yaml"
    experiment_with({"trainer": EXAMPLES}, tmp_path)
    code = (
        "import sys; from pathlib import Path; from gsr_dagster.experiment.loading import load_experiment; "
        f"load_experiment(Path({str(path)!r})); print([m for m in ('trl', 'torch', 'transformers') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
