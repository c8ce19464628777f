"""An adapter merged into its base: in float32, rounded once, and as far from the exact student as is said."""

import shutil
from pathlib import Path

import pytest

from resources.models.merging import lora_layers, merge_adapter, merged_meanwhile
from resources.models.weights import merged
from resources.training.distance import distances
from resources.training.targets import Target

TARGETS = [Target([5, 6, 7], [8, 9, 10]), Target([11, 12], [13]), Target(list(range(3, 40)), list(range(40, 60)))]


def student_of(model: Path, dtype, size: float = 0.02):
    """Return a base in a precision, with an adapter that changes it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(0)
    config = LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM")
    student = get_peft_model(AutoModelForCausalLM.from_pretrained(model, dtype=dtype), config)
    for layer in lora_layers(student):
        torch.nn.init.normal_(layer.lora_B["default"].weight, std=size)
    return student.eval()


def logits(model):
    import torch

    with torch.no_grad():
        return model(input_ids=torch.tensor([TARGETS[2].prompt])).logits.float()


def test_merged_weights_are_the_exact_ones_rounded_once(small_model):
    import torch

    student, exact = (student_of(small_model, dtype) for dtype in (torch.bfloat16, torch.bfloat16))
    exact = exact.float().merge_and_unload()
    ours = dict(merge_adapter(student).named_parameters())
    assert ours.keys() == dict(exact.named_parameters()).keys()
    for name, weight in exact.named_parameters():
        assert ours[name].dtype == torch.bfloat16
        assert torch.equal(ours[name], weight.to(torch.bfloat16)), name


def test_a_student_is_itself_again_after_it_was_merged_for_a_while(small_model):
    import torch

    student = student_of(small_model, torch.bfloat16)
    before = logits(student)
    with merged_meanwhile(student):
        meanwhile = logits(student)
        with student.disable_adapter():
            assert torch.equal(logits(student), meanwhile)
    assert torch.equal(logits(student), before)
    assert not torch.equal(meanwhile, before)
    assert torch.equal(logits(merge_adapter(student)), meanwhile)


def test_the_distance_is_that_of_the_rounding_and_far_below_that_of_the_base(small_model):
    import torch

    measured = distances(student_of(small_model, torch.bfloat16), TARGETS)
    assert 0 < measured["merged_kl"] < measured["base_kl"] / 10
    in_float32 = distances(student_of(small_model, torch.float32), TARGETS)
    assert in_float32["merged_kl"] < 1e-6
    assert in_float32["base_kl"] == pytest.approx(measured["base_kl"], rel=0.1)


def test_an_adapter_that_changes_nothing_is_no_distance_from_its_base(small_model):
    import torch

    assert distances(student_of(small_model, torch.float32, size=0.0), TARGETS) == {"merged_kl": 0.0, "base_kl": 0.0}


def test_nothing_is_measured_where_float32_has_no_room(small_model, monkeypatch):
    import torch

    monkeypatch.setattr("resources.training.distance.ROOM", 1e9)
    assert distances(student_of(small_model, torch.bfloat16), TARGETS) == {}


def test_the_engine_and_the_folder_for_vllm_have_the_same_merged_weights(small_model, tmp_path, monkeypatch):
    import torch
    from transformers import AutoModelForCausalLM

    monkeypatch.setenv("GSR_CACHE", str(tmp_path / "cache"))
    base = tmp_path / "base"
    shutil.copytree(small_model, base)
    AutoModelForCausalLM.from_pretrained(small_model, dtype=torch.bfloat16).save_pretrained(base)
    student = student_of(base, torch.bfloat16)
    student.save_pretrained(tmp_path / "adapter")
    folder = merged(base, tmp_path / "adapter")
    loaded = AutoModelForCausalLM.from_pretrained(folder, dtype="auto")
    for name, weight in merge_adapter(student).named_parameters():
        assert torch.equal(dict(loaded.named_parameters())[name], weight), name
