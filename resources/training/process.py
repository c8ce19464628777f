"""What every training process does around its trainer, whatever the student learns from: its beginning and its end."""

import atexit
import json
import os
import shutil
import stat
import sys
import threading
from pathlib import Path
from typing import Any, NoReturn

from resources.engines.cpu import native_dtype
from resources.models.generation_config import stop_tokens
from resources.training.saves import step_of
from resources.training.targets import Targets


class RefusedError(RuntimeError):
    """What keeps a training from being begun; the message says what would be right."""


def read_tokenizer(job: dict[str, Any], **options: Any) -> tuple[Any, Targets, set[int]]:
    """Return the tokenizer of a job, with a token to pad with, what makes chats into tokens, and the stop tokens."""
    from transformers import AutoTokenizer

    weights = Path(job["weights"])
    tokenizer = AutoTokenizer.from_pretrained(weights, trust_remote_code=False, **options)
    stops = stop_tokens(weights, tokenizer)
    targets = Targets(job["source"], tokenizer, stops, job["chat_template_kwargs"])
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.decode([targets.stop])
    return tokenizer, targets, stops


def load_model(job: dict[str, Any], **options: Any) -> Any:
    """Return the model that a job trains. ``options`` go to from_pretrained, where the experiment file sets no other."""
    import torch
    from transformers import AutoModelForCausalLM

    # Small updates of whole weights vanish in bfloat16; an adapter is float32 anyway.
    dtype = native_dtype() if job["lora"] else torch.float32
    options |= job["training"]["trainer"].get("model_init_kwargs", {})
    return AutoModelForCausalLM.from_pretrained(
        job["weights"], dtype=dtype, use_safetensors=True, trust_remote_code=False, **options
    )


def lora_config(adapter: dict[str, int] | None) -> Any:
    """Return peft's config of an adapter of every linear layer, None where all weights are trained."""
    from peft import LoraConfig

    if adapter is None:
        return None
    return LoraConfig(
        r=adapter["rank"], lora_alpha=adapter["alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
    )


def save_to_go_on_from(job: dict[str, Any], trainer: Any) -> Path | None:
    """Return the save from which a training goes on, None where there is none that it can use."""
    save = Path(job["resume"]) if job["resume"] else None
    if save is None or trainer.can_go_on_from(save):
        return save
    if trainer.args.process_index == 0:
        note(job, f"step {step_of(save)} was saved by a training that shared its model in another way: it starts anew")
    return None


def write_trained(job: dict[str, Any], trainer: Any, tokenizer: Any) -> Any:
    """Write the checkpoint of a training that has ended, by its first process, and return the model, None in the others."""
    state = trainer.accelerator.get_state_dict(trainer.model) if trainer.how()["shared_by"] else None
    if trainer.args.process_index != 0:
        return None
    model = trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)
    if state is not None:  # a tied weight stands in it twice
        tied = getattr(model, "all_tied_weights_keys", None) or {}
        state = {name: weight for name, weight in state.items() if name not in tied}
    write_checkpoint(model, state, tokenizer, job["source"], Path(job["checkpoint"]))
    trainer.optimizer = trainer.lr_scheduler = None  # gives back their memory
    return model


def note(job: dict[str, Any], text: str) -> None:
    """Tell the run that started this process, in the history that it reads."""
    with Path(job["history"]).open("a") as file:
        file.write(json.dumps({"note": text}) + "\n")


def refuse_a_full_disk(model: Any, folder: Path) -> None:
    """Raise RefusedError, before hours of training, where its folder has no room for what will be saved."""
    needed = sum(weight.nbytes for weight in model.parameters() if weight.requires_grad)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise RefusedError(
            f"the checkpoint needs {needed / 1e6:,.1f} MB and {folder} has {free / 1e6:,.1f} MB: make room, or let "
            "TMPDIR name a larger disk, and run again; what is finished stays"
        )


def write_checkpoint(model: Any, state: dict[str, Any] | None, tokenizer: Any, source: str, folder: Path) -> None:
    """Write the trained weights as safetensors, with nothing in them that tells of this machine.

    Trainer.save_model would add a pickle of its arguments, and peft a model card and
    the path of the weights. ``state`` holds the weights where processes shared them.
    """
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = source
        config.target_modules = sorted(config.target_modules)
    model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)


def end_with_stdin() -> None:
    """End this process once its standard input ends: the run that started it is gone, and the GPU is wanted again.

    One that a person started on another machine has no run there: its input is no pipe.
    """
    if not stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        return

    def follow() -> None:
        while os.read(sys.stdin.fileno(), 1):
            pass
        os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def leave() -> NoReturn:
    """End this process as one that has done its part: what is to happen at the exit happens, and nothing after it.

    A thread of torch's process group can abort a process that is going ("terminate called without an active
    exception", seen once), and the launcher then ends the others, which may still be writing the checkpoint.
    """
    from accelerate import PartialState

    PartialState().destroy_process_group()
    atexit._run_exitfuncs()  # trackers send the rest of what they know
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
