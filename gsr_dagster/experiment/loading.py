"""Reading an experiment file, or saying what is wrong with it: every fault, by line and place."""

import os
from collections.abc import Iterator
from pathlib import Path

import yaml
from pydantic import ValidationError

from gsr_dagster.experiment.engines import LORA_RANKS, VLLM, OpenAI, Ray, RecordedSamples
from gsr_dagster.experiment.errors import UserError
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.line_numbers import Place, dotted, is_bomb, line_of, repeated_keys
from gsr_dagster.experiment.settings import RolloutSettings

# Installed beside the packages, and beside them in a checkout too.
SHIPPED = Path(__file__).resolve().parents[2] / "experiments"
DEFAULT = "demo"
MOST_CHARACTERS = 1 << 18


class ExperimentError(UserError, ValueError):
    """The experiment file cannot be used; the message lists every fault by line and place."""


def experiment_path(name: str | None = None) -> Path:
    """Return the file of an experiment: by path, by the name of a file in experiments/, or $GSR_EXPERIMENT."""
    name = name or os.environ.get("GSR_EXPERIMENT") or DEFAULT
    try:
        shipped = SHIPPED / f"{name}.yaml"
        return shipped if shipped.is_file() else Path(name).expanduser().resolve()
    except (OSError, RuntimeError) as error:
        raise ExperimentError(f"{name[:100]}: {error}") from None


def load_experiment(path: Path) -> Experiment:
    """Return the experiment of a YAML file. Raises ExperimentError with every fault and its line."""
    try:
        text = path.read_text(encoding="utf-8")
        if len(text) > MOST_CHARACTERS:
            raise ExperimentError(
                f"{path} cannot be used: it has {len(text):,} characters, more than {MOST_CHARACTERS:,}"
            )
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        if is_bomb(root):
            raise ExperimentError(f"{path} cannot be used: its aliases make it enormous or endless, or it is too deep")
        data = yaml.safe_load(text)
    except ExperimentError:
        raise
    except OSError as error:
        raise ExperimentError(f"{path}: {error.strerror}") from None
    except Exception as error:  # YAML's readers pass on whatever int(), date() and the stack say
        raise ExperimentError(f"{path} is not YAML: {error}") from None
    faults = list(repeated_keys(root))
    try:
        experiment = Experiment.model_validate(data, context={"folder": path.parent})
        faults += [*_clashes(experiment), *_of_thinking(experiment), *_of_recorded(experiment)]
    except ValidationError as error:
        faults += [(e["loc"], e["msg"].removeprefix("Value error, ")) for e in error.errors()]
        experiment = None
    if faults or experiment is None:
        lines = [f"  line {line_of(root, where)}, {dotted(where)}: {what}" for where, what in faults]
        raise ExperimentError("\n".join([f"{path} cannot be used:", *lines]))
    return experiment


def _clashes(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield what no single field can know: references, families and counts that do not fit."""
    models = experiment.models
    most = max(experiment.k, *experiment.ks, 1)
    known = f"there are {', '.join(models)}"
    for family in experiment.families:
        for other in experiment.families:
            if other.startswith(f"{family}-"):
                yield (
                    ("families", other),
                    f"the wildcard {family}-* would name this family too; write it without the "
                    f"'-', as in {other.replace('-', '', 1)}",
                )
    for name, benchmark in experiment.benchmarks.items():
        if benchmark.samples < most:
            what = f"{benchmark.samples} samples cannot fill a group of k={most} candidates"
            yield ("benchmarks", name, "samples"), what
    if experiment.evaluation.candidate_tokens < most:
        yield ("evaluation", "candidate_tokens"), f"must leave each of the k={most} candidates a token"
    for name, aggregation in experiment.aggregations.items():
        place = ("aggregations", name)
        if aggregation.refiner is not None and aggregation.refiner not in models:
            yield (*place, "model"), f"no model {aggregation.refiner!r}; {known}"
        if experiment.k < aggregation.least_k:
            yield place, f"a group of k={experiment.k} candidate has no other order"
        if not aggregation.draws:
            continue
        for sampler in [aggregation.refiner] if aggregation.refiner else models:
            if sampler in models and isinstance(models[sampler].engine, RecordedSamples):
                yield place, f"{sampler} is recorded: it has candidates and refinements, and nothing else can be drawn"
    if experiment.students and experiment.training_problems is None:
        yield ("students",), "students learn from training_problems, which the file does not name"
    for name, student in experiment.students.items():
        place = ("students", name)
        for role in ("base", "teacher", "candidates_from"):
            model = getattr(student, role)
            if model is not None and model not in models:
                yield (*place, role), f"no model {model!r}; {known}"
        if name in models:
            yield place, "a model has this key already"
        base = models.get(student.base)
        if base and isinstance(base.engine, OpenAI | RecordedSamples):
            yield (*place, "base"), "its base needs an engine that loads weights, not a server or recorded samples"
        if base and base.trust_remote_code:
            yield (*place, "base"), "its base needs code of its own, and nothing is trained with that"
        served = base and isinstance(base.engine, VLLM | Ray)
        if served and student.lora and student.lora.rank > LORA_RANKS[-1]:
            yield (*place, "lora", "rank"), f"vLLM serves an adapter of a rank up to {LORA_RANKS[-1]}"
        for role in ("teacher", "sampler"):
            model = models.get(getattr(student, role))
            if model and isinstance(model.engine, RecordedSamples):
                yield (*place, role), "recorded samples are of benchmarks: nothing can be drawn for training"
        if base and not name.startswith(f"{experiment.family(student.base)}-"):
            yield place, f"must start with its base's family, as in {experiment.family(student.base)}-{name}"
        training = student.training
        if {"direct": 1, "refinement": 0}.get(student.rows) == training.refine_weight:
            what = f"a weight of {training.refine_weight} gives rows: {student.rows} no weight at all"
            yield (*place, "training", "refine_weight"), what
        if training.batch_size % (training.processes * training.rows_in_a_process):
            yield (
                (*place, "training", "batch_size"),
                f"{training.batch_size} rows a step do not divide into {training.processes} processes "
                f"of {training.rows_at_once} rows at once",
            )
        if student.candidates.samples < experiment.k:
            yield (
                (*place, "candidates", "samples"),
                f"{student.candidates.samples} samples cannot fill a group of k={experiment.k} candidates",
            )


def _of_thinking(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield the settings that bound thinking where no model that is sampled with them thinks first, or has room to."""
    for place, settings, sampled in _sampled(experiment):
        if settings.thinking_tokens is None:
            continue
        models = {name: experiment.models[name] for name in sampled if name in experiment.models}
        ends = [model.thinking_end for model in models.values()]
        if place[0] == "evaluation":  # a student ends its thinking as its teacher does
            taught = [student for student in experiment.students.values() if student.teacher in experiment.models]
            ends += [experiment.models[student.teacher].thinking_end for student in taught]
        if not any(ends):
            named = f": none of {', '.join(models)} has a thinking_end" if models else ""
            yield (*place, "thinking_tokens"), f"no model that is sampled with them thinks first{named}"
        for name, model in models.items():
            most = model.max_new_tokens if place[0] == "evaluation" else None
            if model.thinking_end and most and most <= settings.thinking_tokens:
                yield (
                    ("families", *_key_parts(experiment, name), "max_new_tokens"),
                    f"{most} leave no room for an answer after thinking_tokens of {settings.thinking_tokens}",
                )


def _sampled(experiment: Experiment) -> Iterator[tuple[Place, RolloutSettings, list[str]]]:
    """Yield every place of rollout settings, with the models that are sampled with them."""
    drawn = [name for name, model in experiment.models.items() if not isinstance(model.engine, RecordedSamples)]
    yield ("evaluation", "direct"), experiment.evaluation.direct, drawn
    yield ("evaluation", "refinement"), experiment.evaluation.refinement, drawn
    for name, student in experiment.students.items():
        yield ("students", name, "candidates"), student.candidates, [student.sampler]
        yield ("students", name, "refinements"), student.refinements, [student.teacher]
        yield ("students", name, "solutions"), student.solutions, [student.teacher]


def _of_recorded(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield what says how to sample a model that is not sampled."""
    for name, model in experiment.models.items():
        if isinstance(model.engine, RecordedSamples) and model.chat_template_kwargs:
            place = ("families", *_key_parts(experiment, name), "chat_template_kwargs")
            yield place, "recorded samples are not sampled: no chat template is used"


def _key_parts(experiment: Experiment, name: str) -> tuple[str, str]:
    family = experiment.family(name)
    return family, name.removeprefix(f"{family}-")
