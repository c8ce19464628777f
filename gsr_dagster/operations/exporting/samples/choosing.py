"""Which samples of an experiment are taken away: those that were asked for, are there, and may be shown."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from assets.evaluation.evaluation_run import EvaluationRun
from assets.teaching.teaching_run import TeachingRun
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import LANES, TRAINING_PROBLEMS, ArtifactKey
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.operations.exporting.new_folder import ExportError
from gsr_dagster.operations.exporting.samples.gating import gated
from resources.store.artifacts import ArtifactStore


@dataclass(frozen=True)
class Asked:
    """What a user asks for: of these models and students, on these benchmarks, all where none is named.

    ``with_gated``: the problems of gated data sets too. Training sets belong to no benchmark: where some are
    named, there are none.
    """

    models: Collection[str] = ()
    benchmarks: Collection[str] = ()
    with_gated: bool = False


@dataclass
class Chosen:
    """The evaluations whose graded pools and whose scored refinements are there, and the students whose rows are.

    ``missing`` says why an artifact is not there, ``left_out`` what is not taken of one that is, ``gated`` why a
    problem set should not be published: without ``with_gated`` nothing is taken of its problems.
    """

    experiment: Experiment
    store: ArtifactStore
    with_gated: bool
    pools: list[EvaluationRun] = field(default_factory=list)
    refined: list[EvaluationRun] = field(default_factory=list)
    taught: list[TeachingRun] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    gated: dict[str, str] = field(default_factory=dict)

    @property
    def read(self) -> list[ArtifactKey]:
        """The artifacts that are read: of an evaluation in the order in which they are made."""
        keys: list[ArtifactKey] = []
        refined = {run.key for run in self.refined}
        for run in self.pools:
            keys += [run.key.problems, run.key.artifact("candidate_pools"), run.key.artifact("graded_candidates")]
            if run.key in refined:
                keys += [run.key.artifact("self_refinements"), run.key.artifact("gap_reports")]
        for run in self.taught:
            keys += [TRAINING_PROBLEMS, *map(run.key, ("teacher_refinements", "teacher_solutions", "training_sets"))]
        return list(dict.fromkeys(keys))


def choose(experiment: Experiment, store: ArtifactStore, asked: Asked, with_more_than_pools: bool = True) -> Chosen:
    """Return what is taken away, without reading a sample. Raises ExportError where that is nothing.

    ``with_more_than_pools``: refinements and training sets too.
    """
    chosen = Chosen(experiment, store, asked.with_gated)
    shown = {
        name
        for name, benchmark in experiment.benchmarks.items()
        if _among(name, asked.benchmarks) and _may_be_shown(chosen, name, benchmark)
    }
    for evaluation in (one for lane in LANES for one in experiment.evaluations(lane)):
        if evaluation.benchmark in shown and _among(evaluation.subject, asked.models):
            _choose_evaluation(chosen, EvaluationRun(experiment, store, evaluation), with_more_than_pools)
    if with_more_than_pools and experiment.training_problems and not asked.benchmarks:
        _choose_training_sets(chosen, asked, experiment.training_problems)
    if not (chosen.pools or chosen.taught):
        raise ExportError(_why_nothing(chosen))
    return chosen


def _choose_evaluation(chosen: Chosen, run: EvaluationRun, with_refinements: bool) -> None:
    pool, graded, refined, scored = map(
        run.key.artifact, ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports")
    )
    if not _is_there(chosen, pool, graded):
        return
    chosen.pools.append(run)
    _say_what_is_left_out(chosen, pool, graded, "candidates beyond those that the experiment asks for")
    if with_refinements and _is_there(chosen, refined, scored) and run.store.existing(scored).rows:
        chosen.refined.append(run)
        _say_what_is_left_out(chosen, refined, scored, "refinements that the gap report does not score")


def _choose_training_sets(chosen: Chosen, asked: Asked, problems: ProblemSet) -> None:
    students = [name for name in chosen.experiment.students if _among(name, asked.models)]
    if not students or not _may_be_shown(chosen, str(TRAINING_PROBLEMS), problems):
        return
    for run in (TeachingRun(chosen.experiment, chosen.store, name) for name in students):
        if run.student.by_rewards:
            chosen.left_out[str(run.key("training_sets"))] = "prompts alone, without a text of a teacher"
        elif _is_there(chosen, *map(run.key, ("teacher_refinements", "teacher_solutions", "training_sets"))):
            chosen.taught.append(run)


def _among(name: str, asked: Collection[str]) -> bool:
    return not asked or name in asked


def _may_be_shown(chosen: Chosen, name: str, problems: ProblemSet) -> bool:
    if why := gated(name, problems):
        chosen.gated[name] = why
    return why is None or chosen.with_gated


def _is_there(chosen: Chosen, *keys: ArtifactKey) -> bool:
    """Return whether artifacts are there, the last made from the others as they are now; else say which is not."""
    for key in keys:
        if chosen.store.manifest(key) is None:
            chosen.missing[str(key)] = "not made yet"
            return False
    made = chosen.store.existing(keys[-1])
    changed = [
        name for name, read in made.upstream.items() if chosen.store.data_version(ArtifactKey.parse(name)) != read
    ]
    if changed:
        chosen.missing[str(keys[-1])] = f"{', '.join(changed)} changed since it was made"
    return not changed


def _say_what_is_left_out(chosen: Chosen, drawn: ArtifactKey, graded: ArtifactKey, what: str) -> None:
    """Note which samples are stored and not graded, and what of the graded ones no form holds."""
    pool = chosen.store.existing(drawn)
    surplus = pool.rows - chosen.store.existing(graded).rows
    said = [f"{surplus:,} {what}"] if surplus else []
    if pool.settings["rollout"].get("logprobs") and drawn.name == "candidate_pools":
        said.append("the confidences of its tokens")
    if said:
        chosen.left_out[str(drawn)] = ", ".join(said)


def _why_nothing(chosen: Chosen) -> str:
    gated = [f"{name}: {why}" for name, why in chosen.gated.items()]
    missing = [f"{key}: {why}" for key, why in chosen.missing.items()]
    reasons: Sequence[str] = [
        *(["--gated takes these problems too: " + "; ".join(gated)] if gated else []),
        *([f"gsr run makes what is missing: {'; '.join(missing[:3])}"] if missing else []),
    ]
    return f"there is nothing to export. {'. '.join(reasons) or 'No model is evaluated, and no student taught'}"
