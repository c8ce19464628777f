"""The quality checks: one step an asset, which reads its rows once and answers every question about them.

A check that finds results wrong is an error (samples are missing, a gold in a prompt, a
broken chain); one that finds them poor is a warning. The experiment file's ``checks``
draw the lines. What a failed check must stop, assets/refusals.py stops.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from math import isfinite
from typing import Any

import dagster as dg

from assets import quality
from assets.evaluation import subject_model
from assets.quality import Share
from assets.refusals import SAMPLE_IDS, missing_samples, wanted_samples
from assets.scoring import scored, unscored_problems
from gsr_dagster.experiment import Experiment
from gsr_dagster.method.intervals import Interval, paired_difference
from gsr_dagster.method.prompts import summarise
from gsr_dagster.partitions import Partitions
from resources import weights
from resources.artifacts import ArtifactKey, ArtifactStore, Manifest, Row
from resources.lineage import broken_links
from resources.tensors import WeightChange, adapter_change, full_change

WARN, ERROR = dg.AssetCheckSeverity.WARN, dg.AssetCheckSeverity.ERROR


class Artifact:
    """The artifact that is asked about, read once."""

    def __init__(self, experiment: Experiment, store: ArtifactStore, key: ArtifactKey):
        self.experiment = experiment
        self.store = store
        self.key = key
        self.lane, _, self.name = key.asset.rpartition("/")
        self.id_column = SAMPLE_IDS.get(self.name, "")

    @cached_property
    def manifest(self) -> Manifest:
        return self.store.existing(self.key)

    @cached_property
    def rows(self) -> list[Row]:
        return self.store.read(self.key)

    @cached_property
    def samples(self) -> list[Row]:
        """The samples that the experiment asks for: there may be more, since N can be lowered again."""
        wanted = set(wanted_samples(self.experiment, self.store, self.key))
        return [row for row in self.rows if row[self.id_column] in wanted]

    @cached_property
    def thinking_end(self) -> str | None:
        """The end marker of the model that sampled."""
        if self.lane:
            return subject_model(self.experiment, self.lane, self.key.partition.split("|")[1]).thinking_end
        student = self.experiment.students[self.key.partition]
        sampler = student.sampler if self.name == "training_candidates" else student.teacher
        return self.experiment.models[sampler].thinking_end

    @cached_property
    def weight_change(self) -> WeightChange:
        student = self.experiment.students[self.key.partition]
        folder = self.store.local_files(self.key)
        if student.lora:
            return adapter_change(folder)
        return full_change(folder, weights.fetch(str(self.experiment.models[student.base].source)))

    def of_student(self, asset: str) -> list[Row]:
        """Return the rows of another asset's artifact of the same partition."""
        return self.store.read(ArtifactKey(asset, self.key.partition))


Question = Callable[[Artifact], dg.AssetCheckResult]


def quality_checks(experiment: Experiment, partitions: Partitions) -> list[dg.AssetChecksDefinition]:
    """Return the checks of all assets that are partitioned by a subject."""
    lanes = {"base": EVALUATION}
    if experiment.students:
        lanes["student"] = {**EVALUATION, "gap_reports": [*EVALUATION["gap_reports"], *AGAINST_BASE]}
    checks = [
        asked(experiment, partitions.lane(lane), f"{lane}/{name}", questions)
        for lane, assets in lanes.items()
        for name, questions in assets.items()
    ]
    if experiment.students:
        checks += [asked(experiment, partitions.student, name, questions) for name, questions in TEACHING.items()]
    return checks


def asked(
    experiment: Experiment, partitions: dg.PartitionsDefinition, asset: str, questions: Sequence[Question]
) -> dg.AssetChecksDefinition:
    """Return the checks of an asset, one a question; a question's name and docstring are the check's."""
    asset_key = dg.AssetKey(asset.split("/"))
    named = {question.__name__: question for question in questions}
    specs = [
        dg.AssetCheckSpec(name, asset=asset_key, description=question.__doc__, partitions_def=partitions)
        for name, question in named.items()
    ]

    @dg.multi_asset_check(name=f"{asset.replace('/', '_')}_checks", specs=specs, can_subset=True)
    def checks(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> Iterator[dg.AssetCheckResult]:
        artifact = Artifact(experiment, store, ArtifactKey(asset, context.partition_key))
        selected = {key.name for key in context.selected_asset_check_keys}
        for name, question in named.items():
            if name in selected:
                yield question(artifact)._replace(asset_key=asset_key, check_name=name)

    return checks


def within(
    artifact: Artifact, line: str, measured: Mapping[str, Share], advice: str | None = None
) -> dg.AssetCheckResult:
    """Return whether the shares stay within a line of the experiment file: under a most_, over a least_."""
    limit: float = getattr(artifact.experiment.checks, line)
    least = line.startswith("least_")
    failed = {
        what: share
        for what, share in measured.items()
        if share.total and (share.value < limit if least else share.value > limit)
    }
    texts = [f"{share} {what}" for what, share in (failed or measured).items()]
    texts += [f"checks.{line} is {limit:.1%}", *([advice] if failed and advice else [])]
    shown: dict[str, Any] = {what: share.value for what, share in measured.items()}
    worst = [name for share in (failed or measured).values() for name in share.worst]
    return dg.AssetCheckResult(
        passed=not failed,
        severity=WARN,
        description="; ".join(texts),
        metadata={**shown, line: limit, **({"such_as": worst} if worst else {})},
    )


def wrong(description: str | None, **metadata: Any) -> dg.AssetCheckResult:
    """Return an error with what is wrong, or a check that passed where nothing is."""
    return dg.AssetCheckResult(passed=not description, severity=ERROR, description=description, metadata=metadata)


# Samples of any kind


def samples_complete(artifact: Artifact) -> dg.AssetCheckResult:
    """Every prompt has the samples that the experiment asks for."""
    wanted = wanted_samples(artifact.experiment, artifact.store, artifact.key)
    missing = missing_samples(artifact.experiment, artifact.store, artifact.key)
    text = f"{len(missing)} of {len(wanted)} samples are missing: materialize {artifact.key} again"
    return wrong(text if missing else None, wanted=len(wanted), missing=len(missing), such_as=missing[: quality.WORST])


def few_truncated(artifact: Artifact) -> dg.AssetCheckResult:
    """Few samples are cut off by the token limit."""
    share = quality.truncated(artifact.samples, artifact.id_column)
    return within(artifact, "most_truncated", {"cut off by the token limit": share}, "raise max_new_tokens")


def thinking_closed(artifact: Artifact) -> dg.AssetCheckResult:
    """The thinking of few samples never ends: what follows it is the candidate. A model that does not think passes."""
    share = quality.unclosed(artifact.samples, artifact.id_column, artifact.thinking_end)
    return within(artifact, "most_unclosed", {"with thinking that never ends": share}, "raise max_new_tokens")


def few_repeated(artifact: Artifact) -> dg.AssetCheckResult:
    """Few samples have the text of an earlier one of their prompt. At temperature 0 all do, and that is allowed."""
    share = quality.repeated(artifact.samples)
    result = within(artifact, "most_repeated", {"with the text of an earlier one": share}, "raise the temperature")
    greedy = artifact.manifest.settings["rollout"]["temperature"] == 0
    return result._replace(passed=True, description="greedy decoding repeats itself") if greedy else result


# Graded rows


def golds_readable(artifact: Artifact) -> dg.AssetCheckResult:
    """Every problem's gold can be read. One that cannot leaves its problem unscored."""
    unscored = unscored_problems(artifact.rows)
    text = f"{len(unscored)} problems are not scored: their gold cannot be read" if unscored else None
    return wrong(text, unscored_problems=unscored)._replace(severity=WARN)


def few_without_answer(artifact: Artifact) -> dg.AssetCheckResult:
    """Few samples end without an answer."""
    share = quality.with_verdict(artifact.rows, _graded_id(artifact), "no answer")
    return within(artifact, "most_without_answer", {"without an answer": share})


def few_timed_out(artifact: Artifact) -> dg.AssetCheckResult:
    """The grader gave up on few answers. They count as not correct."""
    if artifact.name == "training_sets":
        counts = artifact.manifest.summary
        share = Share(counts["timed_out"], counts["teacher_refinements"] + counts["teacher_solutions"])
    else:
        share = quality.with_verdict(artifact.rows, _graded_id(artifact), "timed out")
    return within(artifact, "most_timed_out", {"that timed out in the grader": share})


def _graded_id(artifact: Artifact) -> str:
    return "refinement_id" if artifact.name == "gap_reports" else "candidate_id"


# Teaching


def teacher_gap_leads(artifact: Artifact) -> dg.AssetCheckResult:
    """The teacher's Refinement Gap is above that of the student's base, in the mean over the benchmarks.

    A teacher that gains by refining is the paper's reason to choose it.
    """
    student = artifact.experiment.students[artifact.key.partition]
    line = artifact.experiment.checks.least_gap_lead
    gaps = {
        (benchmark, model): artifact.store.manifest(ArtifactKey("base/gap_reports", f"{benchmark}|{model}"))
        for benchmark in artifact.experiment.benchmarks
        for model in (student.teacher, student.base)
    }
    metadata = {
        f"{model} on {benchmark}": _interval(found.summary["intervals"]["refinement_gap"])
        for (benchmark, model), found in gaps.items()
        if found
    }
    missing = [f"{benchmark}|{model}" for (benchmark, model), found in gaps.items() if found is None]
    if student.teacher == student.base:
        lead, text = 0.0, "the teacher is the student's own base: only its correct answers teach"
    elif missing:
        lead, text = None, f"not measured: {', '.join(missing)} of base/gap_reports are missing, materialize them"
    else:
        sums = Counter({student.teacher: 0.0, student.base: 0.0})
        for (_, model), found in gaps.items():
            sums[model] += found.summary["refinement_gap"] if found else 0
        lead = (sums[student.teacher] - sums[student.base]) / len(artifact.experiment.benchmarks)
        text = f"the teacher's gap is {lead * 100:+.1f} points from the base's; checks.least_gap_lead is {line:.1%}"
    return dg.AssetCheckResult(
        passed=lead is not None and lead > line,
        severity=WARN,
        description=text,
        metadata={**metadata, **({} if lead is None else {"lead": lead})},
    )


def teacher_yields(artifact: Artifact) -> dg.AssetCheckResult:
    """Enough of the teacher's refinements and of its solutions are right."""
    counts = artifact.manifest.summary
    measured = {
        f"of the teacher's {kind} are right": Share(counts[f"correct_{kind}"], counts[f"teacher_{kind}"])
        for kind in ("refinements", "solutions")
    }
    return within(artifact, "least_teacher_yield", measured)


def all_wrong_kept(artifact: Artifact) -> dg.AssetCheckResult:
    """Enough groups without a correct candidate have a row in the training set: only they teach to solve alone."""
    share = quality.all_wrong_kept(artifact.of_student("teacher_refinements"), artifact.rows)
    return within(artifact, "least_all_wrong_kept", {"all-wrong groups have a row in the training set": share})


def one_to_one(artifact: Artifact) -> dg.AssetCheckResult:
    """The training set holds as many refinements as direct solutions."""
    kinds = Counter(row["kind"] for row in artifact.rows)
    balanced = kinds["refinement"] == kinds["direct"] == len(artifact.rows) / 2 > 0
    text = f"{kinds['refinement']} refinements, {kinds['direct']} direct solutions in {len(artifact.rows)} rows"
    return wrong(None if balanced else text, refinement=kinds["refinement"], direct=kinds["direct"])


def few_overlong(artifact: Artifact) -> dg.AssetCheckResult:
    """Few training rows are longer than the student's max_length: what is over it, the answer, would not be learned."""
    teacher = {row["refinement_id"]: row for row in artifact.of_student("teacher_refinements")}
    teacher |= {row["solution_id"]: row for row in artifact.of_student("teacher_solutions")}
    longest = artifact.experiment.students[artifact.key.partition].training.max_length
    share = quality.overlong(artifact.rows, teacher, longest)
    result = within(artifact, "most_overlong", {f"longer than {longest} tokens": share}, "raise training.max_length")
    dropped = artifact.manifest.summary["over_long_refinements"]
    return result._replace(metadata={**(result.metadata or {}), "left_out_with_their_prompt": dropped})


def no_gold_in_prompts(artifact: Artifact) -> dg.AssetCheckResult:
    """A training prompt holds its instruction, its problem and the candidates shown, and no more: no gold has a place."""
    experiment, store = artifact.experiment, artifact.store
    student = experiment.students[artifact.key.partition]
    problem_set = experiment.training_problems
    assert problem_set is not None, "refused by the experiment file's checks"
    thinking_end = experiment.models[student.sampler].thinking_end
    candidates = artifact.of_student("training_candidates")
    found = quality.surplus_texts(
        artifact.rows,
        {row["problem_id"]: row for row in store.read(ArtifactKey("training_problems"))},
        [(example.problem, example.solution) for example in problem_set.worked_examples],
        {row["candidate_id"]: summarise(row["text"], thinking_end) for row in candidates},
    )
    with_gold = sum(surplus.holds_gold for surplus in found)
    text = f"{len(found)} prompts hold text that nothing accounts for, {with_gold} of these the gold"
    such_as = {surplus.row_id: surplus.text[:200] for surplus in found[: quality.WORST]}
    return wrong(text if found else None, rows=len(artifact.rows), with_gold=with_gold, such_as=such_as)


# Checkpoints


def differs_from_base(artifact: Artifact) -> dg.AssetCheckResult:
    """The student is not its base: a layer of the adapter, or a tensor of all weights, changes it."""
    change = artifact.weight_change
    text = f"none of {change.tensors} tensors changes the base: the student is its base"
    return wrong(None if change.changed else text, tensors=change.tensors, changed=change.changed)


def training_finite(artifact: Artifact) -> dg.AssetCheckResult:
    """Every step's loss and every weight is finite."""
    steps = [row["step"] for row in artifact.rows if not isfinite(row["loss"])]
    tensors = list(artifact.weight_change.not_finite)
    text = f"the loss of {len(steps)} steps and values of {len(tensors)} tensors are not finite"
    return wrong(text if steps or tensors else None, steps=steps[: quality.WORST], tensors=tensors[: quality.WORST])


def loss_fell(artifact: Artifact) -> dg.AssetCheckResult:
    """The mean loss of the second half of the steps is below that of the first half."""
    losses = [row["loss"] for row in sorted(artifact.rows, key=lambda row: row["step"])]
    half = max(len(losses) // 2, 1)
    first, second = sum(losses[:half]) / half, sum(losses[-half:]) / half
    text = f"the mean loss of the halves of {len(losses)} steps: {first:.4g}, then {second:.4g}"
    metadata = {"first_half": first, "second_half": second}
    return dg.AssetCheckResult(passed=second < first, severity=WARN, description=text, metadata=metadata)


def lineage_intact(artifact: Artifact) -> dg.AssetCheckResult:
    """The checkpoint's training set, teacher samples, candidates and problems are still those it was made from."""
    broken = [link.text for link in broken_links(artifact.store, artifact.key.asset, artifact.key.partition)]
    text = f"{len(broken)} links are broken, first {broken[0]}" if broken else None
    return wrong(text, broken=broken[: quality.WORST])


# A student against its base


def pass_at_1_held(artifact: Artifact) -> dg.AssetCheckResult:
    """The student's pass@1 is not significantly below its base's: an error only where the whole interval is below."""
    line = artifact.experiment.checks.most_pass_at_1_lost
    return against_base(
        artifact,
        "graded_candidates",
        lambda row: row["correct"],
        lambda change: (change.high >= -line, ERROR),
        f"pass@1; checks.most_pass_at_1_lost is {line:.1%}",
    )


def gap_gained(artifact: Artifact) -> dg.AssetCheckResult:
    """The student's Refinement Gap is significantly above its base's; an error where it is significantly below."""
    line = artifact.experiment.checks.least_gap_gained
    return against_base(
        artifact,
        "gap_reports",
        lambda row: row["refined"] - row["vote"],
        lambda change: (change.low > line, ERROR if change.high < 0 else WARN),
        f"Refinement Gap; checks.least_gap_gained is {line:.1%}",
    )


def against_base(
    artifact: Artifact,
    asset: str,
    value: Callable[[Row], float],
    judge: Callable[[Interval], tuple[bool, dg.AssetCheckSeverity]],
    what: str,
) -> dg.AssetCheckResult:
    """Return a judgement on the difference of a student to its base, paired over the problems of a benchmark."""
    benchmark, student = artifact.key.partition.split("|")
    base = ArtifactKey(f"base/{asset}", f"{benchmark}|{artifact.experiment.students[student].base}")
    if artifact.store.manifest(base) is None:
        text = f"not measured: {base} is missing, materialize it"
        return dg.AssetCheckResult(passed=False, severity=WARN, description=text)
    try:
        after, before = (
            _per_problem(artifact.store.read(key), value)
            for key in (ArtifactKey(f"student/{asset}", artifact.key.partition), base)
        )
        change = paired_difference(after, before, artifact.experiment.seed)
    except ValueError as error:
        return dg.AssetCheckResult(passed=False, severity=WARN, description=f"not measured: {error}")
    passed, severity = judge(change)
    text = f"{_interval(vars(change))} points of {what}"
    metadata = {"difference": change.estimate, "low": change.low, "high": change.high, "problems": len(before)}
    return dg.AssetCheckResult(passed=passed, severity=severity, description=text, metadata=metadata)


def _per_problem(rows: Sequence[Row], value: Callable[[Row], float]) -> dict[str, list[float]]:
    values: dict[str, list[float]] = {}
    for row in scored(rows):
        values.setdefault(row["problem_id"], []).append(float(value(row)))
    return values


def _interval(interval: Mapping[str, float]) -> str:
    """Return an interval of fractions in points."""
    return "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(interval[name] * 100 for name in ("estimate", "low", "high")))


DRAWN: list[Question] = [samples_complete, few_truncated, thinking_closed, few_repeated]
AGAINST_BASE: list[Question] = [pass_at_1_held, gap_gained]
EVALUATION: dict[str, list[Question]] = {
    "candidate_pools": DRAWN,
    "graded_candidates": [golds_readable, few_without_answer, few_timed_out],
    "self_refinements": [samples_complete, few_truncated, thinking_closed],
    "gap_reports": [few_without_answer, few_timed_out],
}
TEACHING: dict[str, list[Question]] = {
    "training_candidates": DRAWN,
    "teacher_refinements": [*DRAWN, teacher_gap_leads],
    "teacher_solutions": DRAWN,
    "training_sets": [one_to_one, no_gold_in_prompts, teacher_yields, all_wrong_kept, few_overlong, few_timed_out],
    "lora_checkpoints": [lineage_intact, differs_from_base, training_finite, loss_fell],
}
