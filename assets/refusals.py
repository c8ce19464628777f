"""What an asset refuses to read, and why: samples that are incomplete, rows out of balance, a broken chain.

A failed check stops no other run, so what reads an artifact asks again, as with contamination.
"""

from collections.abc import Iterable, Sequence

from assets.recorded_pools import available
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import JUDGE_SAMPLES, TRAINING_PROBLEMS, ArtifactKey, EvaluationKey
from gsr_dagster.method.mixture import Kind, is_mixed
from gsr_dagster.method.rows import Row
from resources.store.artifacts import ArtifactStore
from resources.store.errors import ArtifactError, DamageError
from resources.store.lineage import broken_links

SAMPLE_IDS = {
    "candidate_pools": "candidate_id",
    "self_refinements": "refinement_id",
    "curve_refinements": "refinement_id",
    "training_candidates": "candidate_id",
    "teacher_refinements": "refinement_id",
    "teacher_solutions": "solution_id",
    JUDGE_SAMPLES: "sample_id",
}


def wanted_samples(experiment: Experiment, store: ArtifactStore, key: ArtifactKey) -> list[str]:
    """Return the ids of the samples that the experiment asks of an artifact: PROMPT-ID/INDEX."""
    if key.lane:
        evaluation = EvaluationKey.of(key)
        problems, there = _problems(store, evaluation.problems), available(experiment, evaluation)
        wanted = {problem: there.candidates(problem) for problem in problems}
        if key.name == "self_refinements":
            groups = [f"{p}/g{number}" for p, n in wanted.items() for number in range(n // experiment.k)]
            wanted = {group: 1 for group in groups if there.is_refined(group)}
        elif key.name == "curve_refinements":
            groups = [
                (k, f"{p}/g{number}")
                for k in experiment.further_ks
                for p, n in wanted.items()
                for number in range(n // k)
            ]
            wanted = {f"k{k}/{group}": 1 for k, group in groups if there.is_refined(group, further_k=True)}
        prompts = {f"{evaluation.subject}/{prompt}": samples for prompt, samples in wanted.items()}
    else:
        student = experiment.students[key.partition]
        unscored = set(store.existing(TRAINING_PROBLEMS).summary.get("unreadable_golds", ()))
        problems = _problems(store, TRAINING_PROBLEMS)
        model, groups = {
            "training_candidates": (student.sampler, [""]),
            "teacher_refinements": (student.refiner, [f"/g{number}" for number in range(student.groups)]),
            "teacher_solutions": (student.solver, [""]),
        }[key.name]
        # A problem whose gold cannot be read has candidates, but no group: none of them is right or wrong.
        asked = [problem for problem in problems if not (groups[0] and problem in unscored)]
        prompts = {f"{model}/{problem}{group}": student.samples(key.name) for problem in asked for group in groups}
    return [f"{prompt}/{index}" for prompt, samples in prompts.items() for index in range(samples)]


def missing_samples(wanted: Sequence[str], store: ArtifactStore, key: ArtifactKey) -> list[str]:
    """Return the ids among the wanted ones that an artifact does not hold."""
    column = SAMPLE_IDS[key.name]
    there = {row[column] for row in store.rows(key, column)}
    return [sample for sample in wanted if sample not in there]


def refuse_incomplete(experiment: Experiment, store: ArtifactStore, *keys: ArtifactKey) -> None:
    """Raise ArtifactError where one of the artifacts lacks samples that the experiment asks for."""
    for key in keys:
        if missing := missing_samples(wanted_samples(experiment, store, key), store, key):
            raise ArtifactError(
                f"{key} lacks {len(missing)} of its samples, the first {missing[0]}: "
                "materialize it again, and only what is missing is drawn"
            )


def refuse_unbalanced(key: ArtifactKey, rows: Iterable[Row], wanted: Kind) -> None:
    """Raise ArtifactError unless a training set holds rows of the kinds that are wanted: as many of both, or of one."""
    kinds = [row["kind"] for row in rows]
    if not is_mixed(kinds, wanted):
        raise ArtifactError(
            f"{key} holds {kinds.count('refinement')} refinements and {kinds.count('direct')} direct solutions in "
            f"{len(kinds)} rows, which is no {wanted} mixture: materialize it again"
        )


def refuse_broken_chain(store: ArtifactStore, student: str) -> None:
    """Raise ArtifactError where a checkpoint is not what today's training set, teacher and candidates made."""
    if broken := broken_links(store, "lora_checkpoints", student):
        first = broken[0].text.replace("BROKEN, ", "")
        refusal = DamageError if any(link.damaged for link in broken) else ArtifactError
        raise refusal(
            f"the lineage of {student}'s checkpoint is broken in {len(broken)} places, first at {first}. "
            f"Materialize the teaching of {student} again, or restore what it was made from; "
            f"`gsr lineage {student}` shows the whole chain"
        )


def _problems(store: ArtifactStore, key: ArtifactKey) -> list[str]:
    return [row["problem_id"] for row in store.read(key)]
