"""Loading an engine: what the experiment file says of a model reaches it."""

import json
import shutil

from gsr_dagster.experiment.experiment import Model
from resources.engines.loading import Engines
from resources.engines.transformers import TransformersEngine
from resources.engines.when_sampled import WhenSampled


def test_a_model_is_loaded_with_its_way_to_think_and_what_its_folder_asks_for_is_said(small_model, tmp_path, caplog):
    folder = shutil.copytree(small_model, tmp_path / "model")
    (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": 1.05, "eos_token_id": 0}))
    template = {"chat_template_kwargs": {"enable_thinking": False}}
    thinker = Model.model_validate({"source": f"path:{folder}", "thinking_end": "</think>", **template})
    engine = Engines().loader(thinker)()
    assert isinstance(engine, WhenSampled)
    assert "asks for" not in caplog.text
    assert isinstance(engine.engine, TransformersEngine)
    assert (engine.chat.thinking_end, engine.chat.template_kwargs) == ("</think>", {"enable_thinking": False})
    assert "asks for repetition_penalty 1.05" in caplog.text
    assert Engines().loader(thinker)() is engine
    for change in ({"thinking_end": None}, {"chat_template_kwargs": {}}):
        other = Engines().loader(thinker.model_copy(update=change))()
        assert other is not engine
        engine = other
    Engines().release()


def test_counting_tokens_loads_no_weights_and_counts_as_the_engine_does(small_model):
    chat = [{"role": "user", "content": "What is 2 + 3?"}]
    engine = Engines().loader(Model.model_validate({"source": f"path:{small_model}"}))()
    assert isinstance(engine, WhenSampled)
    counted = engine.prompt_tokens(chat), engine.tokenize("2 + 3"), engine.context, engine.notes
    assert engine._loaded is None

    loaded = engine.engine
    assert counted == (loaded.prompt_tokens(chat), loaded.tokenize("2 + 3"), loaded.context, loaded.notes)
    Engines().release()
