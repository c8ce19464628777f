"""What a model's folder says about generating: its stop tokens are taken, and all else is said in the log.

The experiment's rollout settings decide how a model is sampled, the same in every engine.
"""

import json
import logging
from pathlib import Path
from typing import Any

from resources.models.weights import SourceError

# The rollout setting that takes over what generation_config.json asks for.
TAKEN_OVER_BY = {
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "min_p": "min_p",
    "repetition_penalty": "repetition_penalty",
    "stop_strings": "stop",
    "max_new_tokens": "max_new_tokens",
}
# What changes no text where it has this value.
NEUTRAL = {
    "temperature": 1,
    "top_p": 1,
    "top_k": 0,
    "min_p": 0,
    "typical_p": 1,
    "epsilon_cutoff": 0,
    "eta_cutoff": 0,
    "repetition_penalty": 1,
    "encoder_repetition_penalty": 1,
    "length_penalty": 1,
    "diversity_penalty": 0,
    "no_repeat_ngram_size": 0,
    "encoder_no_repeat_ngram_size": 0,
    "min_length": 0,
    "min_new_tokens": 0,
    "guidance_scale": 1,
    "num_beams": 1,
    "num_beam_groups": 1,
    "num_return_sequences": 1,
}
# Not about what is drawn; or said by the temperature and by max_new_tokens.
BESIDE = {
    *("eos_token_id", "bos_token_id", "pad_token_id", "decoder_start_token_id", "transformers_version"),
    *("use_cache", "cache_implementation", "return_dict_in_generate", "do_sample", "max_length"),
}
SHOWN = 80

log = logging.getLogger(__name__)


def stop_tokens(folder: Path, tokenizer: Any) -> set[int]:
    """Return the tokens that end a text: by the folder's config, its generation config, and its tokenizer."""
    config = _read(folder / "config.json")
    text_config = config.get("text_config")
    sources = [config, text_config if isinstance(text_config, dict) else {}, _read(folder / "generation_config.json")]
    found = {getattr(tokenizer, "eos_token_id", None)}
    for source in sources:
        ids = source.get("eos_token_id")
        found |= {token for token in (ids if isinstance(ids, list) else [ids]) if isinstance(token, int)}
    return {token for token in found if token is not None and token >= 0}


def not_applied(folder: Path) -> dict[str, Any]:
    """Return what the folder's generation config asks for beside the stop tokens."""
    return {
        name: value
        for name, value in sorted(_read(folder / "generation_config.json").items())
        if not name.startswith("_")
        and name not in BESIDE
        and value is not None
        and value is not False
        and value not in ([], {}, "")
        and (name not in NEUTRAL or value != NEUTRAL[name])
    }


def log_what_is_not_applied(folder: Path) -> None:
    """Say what the folder asks for beside the stop tokens, by name and value, and how to take it over."""
    asked = not_applied(folder)
    if not asked:
        return
    ours = {TAKEN_OVER_BY[name]: value for name, value in asked.items() if name in TAKEN_OVER_BY}
    if isinstance(ours.get("stop"), str):
        ours["stop"] = [ours["stop"]]
    take_over = f"to take it over, write into them {_listed(ours, ': ')}" if ours else "none of it can be taken over"
    others = ", ".join(name for name in asked if name not in TAKEN_OVER_BY)
    log.warning(
        "generation_config.json of the model asks for %s. This is not applied: the rollout settings of the "
        "experiment file decide; %s%s",
        _listed(asked, " "),
        take_over,
        f" (they have no {others})" if ours and others else "",
    )


def _listed(settings: dict[str, Any], between: str) -> str:
    shown = {name: json.dumps(value, ensure_ascii=False) for name, value in settings.items()}
    return ", ".join(
        f"{name}{between}{value if len(value) <= SHOWN else value[:SHOWN] + '…'}" for name, value in shown.items()
    )


def _read(file: Path) -> dict[str, Any]:
    """Return a JSON file's object, an empty one where there is no file. Raises SourceError."""
    if not file.exists():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise SourceError(f"{file} is no JSON object, so the tokens that end a text are not known: mend or remove it")
    return found
