"""What no single field of the experiment file can know: references, families and counts that do not fit together."""

from collections.abc import Iterable, Iterator

from gsr_dagster.experiment.engines import LORA_RANKS, VLLM, OpenAI, Ray, RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.likeness import which
from gsr_dagster.experiment.line_numbers import Fault, Place
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.experiment.training.fine_tuning import Training

DIRECT: Place = ("evaluation", "direct")


def clashes(experiment: Experiment) -> Iterator[Fault]:
    """Yield every clash between sections of a file that is right section by section."""
    circles = list(_of_circles(experiment))
    for place, what in circles:
        yield Fault(place, what)
    if circles:  # what a student is trained from has no end, so that nothing else can be told of it
        return
    for check in (_of_counts, _of_references, _of_students, _of_thinking, _of_recorded, _of_logprobs):
        for place, what in check(experiment):
            yield Fault(place, what)


def _known(experiment: Experiment, name: str, students: Iterable[str] = ()) -> str:
    """Return the models that there are, and the students that can stand for one; and which of them may be meant."""
    return f"no model {name!r}{which(name, [*experiment.models, *students])}"


def _of_circles(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield every circle of students that are made with each other, at the first of them."""
    told = set[str]()
    for name in experiment.students:
        if name in told:
            continue
        for step, chain in _chains(experiment, name):
            told |= set(chain)
            what = (
                f"a student cannot be made with itself: {' → '.join(chain)}. Let one of them name a model in its stead"
            )
            yield ("students", name, *step.split(".")), what
            break


def _chains(experiment: Experiment, start: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the ways from a student back to itself, each with the key of the student at which it begins."""
    seen = set[str]()
    open_ends = [(step, [start, name]) for step, name in experiment.students[start].models.items()]
    while open_ends:
        step, chain = open_ends.pop(0)
        if chain[-1] == start:
            yield step, chain
        elif chain[-1] in experiment.students and chain[-1] not in seen:
            seen.add(chain[-1])
            open_ends += [(step, [*chain, name]) for name in experiment.students[chain[-1]].models.values()]


def _of_counts(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    most = max(experiment.k, *experiment.ks, 1)
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
            yield (
                ("benchmarks", name, "samples"),
                f"{benchmark.samples} samples cannot fill a group of k={most} candidates: write {most} or more, "
                "or a smaller k",
            )
        for chosen, aggregation in experiment.aggregations.items():
            if benchmark.samples < (least := aggregation.least_samples(experiment.k)):
                yield (
                    ("aggregations", chosen),
                    f"it needs {least} candidates a problem, and benchmarks.{name}.samples is {benchmark.samples}: "
                    f"write {least} or more there",
                )
    if experiment.evaluation.candidate_tokens < most:
        yield (
            ("evaluation", "candidate_tokens"),
            f"must leave each of the k={most} candidates a token: write {most} or more",
        )


def _of_references(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    models = experiment.models
    if not experiment.subjects("base"):
        yield ("families",), "evaluate: false leaves no model to evaluate: leave it out at one of them"
    if experiment.judge and experiment.judge.model not in models:
        yield ("judge", "model"), _known(experiment, experiment.judge.model)
    for name, aggregation in experiment.aggregations.items():
        place = ("aggregations", name)
        if aggregation.refiner is not None and aggregation.refiner not in models:
            yield (*place, "model"), _known(experiment, aggregation.refiner)
        if aggregation.of_base and not experiment.students:
            yield place, "only students have a base, and the file names no students: leave it out, or write students:"
        if experiment.k < aggregation.least_k:
            yield (
                place,
                f"a group of k={experiment.k} candidate has no other order: write k: {aggregation.least_k} or more",
            )
        if not aggregation.draws:
            continue
        subjects = () if aggregation.of_base else experiment.subjects("base")
        for sampler in [aggregation.refiner] if aggregation.refiner else subjects:
            if sampler in models and isinstance(models[sampler].engine, RecordedSamples):
                yield (
                    place,
                    f"{sampler} is recorded: it has candidates and refinements, and nothing else can be drawn. Take kind: "
                    "recorded_scores or reward_model, or a model that can be asked",
                )


def _of_students(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    models = experiment.models
    if experiment.students and experiment.training_problems is None:
        yield (
            ("students",),
            'students learn from training_problems, which the file does not name: write training_problems: {source: "…"}',
        )
    for name, student in experiment.students.items():
        place = ("students", name)
        for role, model in student.models.items():
            if model not in models and model not in experiment.students:
                others = [other for other in experiment.students if other != name]
                yield (*place, *role.split(".")), _known(experiment, model, others)
        if name in models:
            yield place, f"a model has this key already: write another one, as in {name}-gsr"
        root = experiment.root(name)
        base = models.get(root)
        if base and isinstance(base.engine, OpenAI | RecordedSamples):
            yield (*place, "base"), "its base needs an engine that loads weights, not a server or recorded samples"
        if base and not base.evaluate:
            yield (
                ("families", *_key_parts(experiment, root), "evaluate"),
                f"{name} is compared with {root}, its base: leave evaluate out",
            )
        if base and base.trust_remote_code:
            yield (*place, "base"), "its base needs code of its own, and nothing is trained with that"
        served = base and isinstance(base.engine, VLLM | Ray)
        if served and student.lora and student.lora.rank > LORA_RANKS[-1]:
            yield (*place, "lora", "rank"), f"vLLM serves an adapter of a rank up to {LORA_RANKS[-1]}"
        ends = {experiment.thinking_end(teacher) for teacher in student.teachers if _is_there(experiment, teacher)}
        if len(ends) > 1:
            what = f"{' and '.join(student.teachers)} end their thinking in different ways, and a student has one: "
            yield (*place, "teacher"), f"{what}take two that both think, with the same thinking_end, or two that do not"
        if base and not name.startswith(f"{experiment.family(root)}-"):
            yield place, f"must start with its base's family, as in {experiment.family(root)}-{name}"
        training = student.training
        weight = training.refine_weight if isinstance(training, Training) else None
        if weight is not None and {"direct": 1, "refinement": 0}.get(student.rows) == weight:
            what = f"a weight of {weight} gives rows: {student.rows} no weight at all"
            yield (*place, "training", "refine_weight"), what
        if training.batch_size % (training.processes * training.rows_in_a_process):
            yield (
                (*place, "training", "batch_size"),
                f"{training.batch_size} rows a step do not divide into {training.processes} processes "
                f"of {training.rows_at_once} rows at once: write a multiple of "
                f"{training.processes * training.rows_in_a_process}",
            )
        if student.candidates.samples < experiment.k * student.groups and student.rows != "direct":
            of = f"{student.groups} groups" if student.groups > 1 else "a group"
            yield (
                (*place, "candidates", "samples"),
                f"{student.candidates.samples} samples cannot fill {of} of k={experiment.k} candidates",
            )
        if student.hard_share is not None and student.rows == "direct":
            yield (*place, "hard_share"), "rows: direct has no refinements, of hard groups or easy ones: leave it out"


def _is_there(experiment: Experiment, name: str) -> bool:
    """Return whether a name is a model's, or a student's that can be followed back to models."""
    student = experiment.students.get(name)
    return (
        name in experiment.models
        if student is None
        else all(_is_there(experiment, one) for one in student.models.values())
    )


def _of_thinking(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield the settings that bound thinking where no model that is sampled with them thinks first, or has room to."""
    for place, settings, sampled in _sampled(experiment):
        if settings.thinking_tokens is None:
            continue
        models = {name: experiment.subject_model(name) for name in sampled if _is_there(experiment, name)}
        ends = [model.thinking_end for model in models.values()]
        if place[0] == "evaluation":  # a student ends its thinking as its teacher does
            teachers = [teacher for student in experiment.students.values() for teacher in student.teachers]
            ends += [experiment.thinking_end(name) for name in teachers if _is_there(experiment, name)]
        if not any(ends):
            named = f": none of {', '.join(models)} has a thinking_end" if models else ""
            yield (*place, "thinking_tokens"), f"no model that is sampled with them thinks first{named}"
        for name, model in models.items():
            most = model.max_new_tokens if place[0] == "evaluation" else None
            if name in experiment.models and model.thinking_end and most and most <= settings.thinking_tokens:
                yield (
                    ("families", *_key_parts(experiment, name), "max_new_tokens"),
                    f"{most} leave no room for an answer after thinking_tokens of {settings.thinking_tokens}",
                )


def _sampled(experiment: Experiment) -> Iterator[tuple[Place, RolloutSettings, list[str]]]:
    """Yield every place of rollout settings, with the models that are sampled with them."""
    drawn = [name for name, model in experiment.models.items() if not isinstance(model.engine, RecordedSamples)]
    yield DIRECT, experiment.evaluation.direct, drawn
    yield ("evaluation", "refinement"), experiment.evaluation.refinement, drawn
    if experiment.judge:
        yield ("judge",), experiment.judge, [experiment.judge.model]
    for name, student in experiment.students.items():
        yield ("students", name, "candidates"), student.candidates, [student.sampler]
        if not student.by_rewards:
            yield ("students", name, "refinements"), student.refinements, [student.refiner]
            yield ("students", name, "solutions"), student.solutions, [student.solver]


def _of_recorded(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield what says how to sample a model that is not sampled."""
    for name, model in experiment.models.items():
        if isinstance(model.engine, RecordedSamples) and model.chat_template_kwargs:
            place = ("families", *_key_parts(experiment, name), "chat_template_kwargs")
            yield place, "recorded samples are not sampled: no chat template is used"


def _of_logprobs(experiment: Experiment) -> Iterator[tuple[Place, str]]:
    """Yield where log-probabilities are asked for that nobody reads or nobody gives, or are read and not asked for."""
    for place, settings, _ in _sampled(experiment):
        if settings.logprobs and place != DIRECT:
            yield (*place, "logprobs"), "they are kept of the evaluation's direct samples alone: leave it out here"
    asked = experiment.evaluation.direct.logprobs
    names = [name for name in (*experiment.subjects("base"), *experiment.students) if _is_there(experiment, name)]
    subjects = {name: experiment.subject_model(name).engine for name in names}
    for name in [name for name, engine in subjects.items() if asked and isinstance(engine, Ray)]:
        yield (*DIRECT, "logprobs"), f"{name} is sampled on Ray, which hands on none: take vllm, transformers or openai"
    for place in [("aggregations", name) for name, kind in experiment.aggregations.items() if kind.of_logprobs]:
        if not asked:
            yield place, "it reads how sure a model was of its tokens: write evaluation: {direct: {logprobs: 20, …}}"


def _key_parts(experiment: Experiment, name: str) -> tuple[str, str]:
    family = experiment.family(name)
    return family, name.removeprefix(f"{family}-")
