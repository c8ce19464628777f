"""What shapes each artifact, and what it is made from: the one place that knows.

A recipe's settings decide its fingerprint, and so every sample's seed. They hold the
content of what is upstream, not its data version, which tells of package versions too;
but refinements hold their pool's fingerprint: so N can be raised, and samples stay.
"""

from functools import lru_cache

from gsr_dagster.experiment import NOT_LEARNED, Experiment, Model, ProblemSet, Student
from gsr_dagster.method.contamination import CONTAMINATION_VERSION
from gsr_dagster.method.prompts import PROMPT_VERSION
from gsr_dagster.method.selection import SELECTION_VERSION
from gsr_dagster.settings import OpenAI, RecordedSamples, RolloutSettings
from resources import problems
from resources.artifacts import ArtifactStore
from resources.grader import grader_version
from resources.manifests import ArtifactKey, Recipe
from resources.weights import identify

REPORT_VERSION = "6"
EVALUATION_ASSETS = ("candidate_pools", "graded_candidates", "self_refinements", "gap_reports")
CURVE_ASSETS = ("curve_refinements", "gap_curves")  # where the experiment names further group sizes
TEACHING_ASSETS = (
    "training_candidates",
    "teacher_refinements",
    "teacher_solutions",
    "training_sets",
    "lora_checkpoints",
)

AGGREGATION = "aggregation"

identity = lru_cache(maxsize=None)(identify)


def evaluation_assets_of(experiment: Experiment) -> tuple[str, ...]:
    """Return the assets of an evaluation lane in the order they are made, the named aggregations and their table last."""
    named = [f"{AGGREGATION}/{name}" for name in experiment.aggregations]
    curves = CURVE_ASSETS if experiment.further_ks else ()
    return (*EVALUATION_ASSETS, *curves, *named, *(["aggregations"] if named else []))


class Recipes:
    """The recipes of an experiment, against the store that holds what upstream made."""

    def __init__(self, experiment: Experiment, store: ArtifactStore):
        self.experiment = experiment
        self.store = store
        self.grader = grader_version(experiment.evaluation.grader)

    def recipe(self, key: ArtifactKey) -> Recipe:
        """Return the recipe of an artifact by its key."""
        *path, name = key.asset.split("/")
        if not path:
            return getattr(self, name)(*filter(None, [key.partition]))
        benchmark, subject = key.partition.split("|")
        if AGGREGATION in path:
            return self.aggregation(path[0], name, benchmark, subject)
        return getattr(self, name)(path[0], benchmark, subject)

    def benchmark_problems(self, benchmark: str) -> Recipe:
        problem_set = self.experiment.benchmarks[benchmark]
        return Recipe(
            ArtifactKey("benchmark_problems", benchmark),
            settings=problems.identify(problem_set),
            wanted={"problems": problem_set.problems},
        )

    def training_problems(self) -> Recipe:
        problem_set = self.experiment.training_problems
        assert problem_set is not None, "refused by the experiment file's checks"
        benchmarks = [self.benchmark_problems(name) for name in self.experiment.benchmarks]
        return Recipe(
            ArtifactKey("training_problems"),
            settings=problems.identify(problem_set),
            wanted={"problems": problem_set.problems},
            upstream=tuple(benchmark.key for benchmark in benchmarks),
        )

    def contamination(self) -> Recipe:
        training = self.training_problems()
        upstream = (training.key, *training.upstream)
        return Recipe(
            ArtifactKey("contamination"),
            settings={"version": CONTAMINATION_VERSION, "problems": [self.store.content(key) for key in upstream]},
            upstream=upstream,
        )

    def candidate_pools(self, lane: str, benchmark: str, subject: str) -> Recipe:
        problems = ArtifactKey("benchmark_problems", benchmark)
        settings = {
            **self._direct_prompt(self.experiment.benchmarks[benchmark]),
            "rollout": self.experiment.rollout("direct", lane, subject).model_dump(),
            "problems": self.store.content(problems),
            "model": self._subject(lane, subject),
            "seed": self.experiment.seed,
        }
        return Recipe(
            ArtifactKey(f"{lane}/candidate_pools", f"{benchmark}|{subject}"),
            settings,
            wanted={"samples": self.experiment.benchmarks[benchmark].samples},
            upstream=(problems, *self._checkpoint(lane, subject)),
        )

    def graded_candidates(self, lane: str, benchmark: str, subject: str) -> Recipe:
        pool = self.candidate_pools(lane, benchmark, subject)
        return Recipe(
            ArtifactKey(f"{lane}/graded_candidates", f"{benchmark}|{subject}"),
            settings={"pool": pool.fingerprint, "grader": self.grader},
            wanted=pool.wanted,
            upstream=(ArtifactKey("benchmark_problems", benchmark), pool.key),
        )

    def self_refinements(self, lane: str, benchmark: str, subject: str) -> Recipe:
        graded = self.graded_candidates(lane, benchmark, subject)
        settings = {
            "pool": graded.settings["pool"],
            "rollout": self.experiment.rollout("refinement", lane, subject).model_dump(),
            "candidate_tokens": self.experiment.evaluation.candidate_tokens,
            "k": self.experiment.k,
            "prompt": PROMPT_VERSION,
            "seed": self.experiment.seed,
        }
        return Recipe(
            ArtifactKey(f"{lane}/self_refinements", f"{benchmark}|{subject}"),
            settings,
            wanted=graded.wanted,
            upstream=(ArtifactKey("benchmark_problems", benchmark), graded.key, *self._checkpoint(lane, subject)),
        )

    def gap_reports(self, lane: str, benchmark: str, subject: str) -> Recipe:
        return self._scored_groups(f"{lane}/gap_reports", self.self_refinements(lane, benchmark, subject))

    def curve_refinements(self, lane: str, benchmark: str, subject: str) -> Recipe:
        refined = self.self_refinements(lane, benchmark, subject)
        return Recipe(
            ArtifactKey(f"{lane}/curve_refinements", f"{benchmark}|{subject}"),
            settings={name: value for name, value in refined.settings.items() if name != "k"},
            wanted={**refined.wanted, "ks": self.experiment.further_ks},
            upstream=refined.upstream,
        )

    def gap_curves(self, lane: str, benchmark: str, subject: str) -> Recipe:
        return self._scored_groups(f"{lane}/gap_curves", self.curve_refinements(lane, benchmark, subject))

    def aggregation(self, lane: str, name: str, benchmark: str, subject: str) -> Recipe:
        """Return the recipe of one named aggregation's samples, or scores.

        Its settings hold nothing of the others, so that one more does not redo them.
        """
        chosen = self.experiment.aggregations[name]
        graded = self.graded_candidates(lane, benchmark, subject)
        settings: dict[str, object] = {"kind": chosen.kind}
        wanted = dict(graded.wanted)
        match chosen.kind:
            case "reward_model":
                settings |= {"pool": graded.settings["pool"], "weights": identity(chosen.source)}
            case "recorded_scores":
                settings |= {"pool": graded.settings["pool"], "scores": problems.file_sha256(chosen.path)}
            case _:
                settings |= self.self_refinements(lane, benchmark, subject).settings
        if chosen.kind in ("generative_selection", "universal_self_consistency"):
            settings["prompt"] = f"selection {SELECTION_VERSION}"
        elif chosen.kind == "synthesis":
            settings["model"] = self._model(chosen.model)
            settings["rollout"] = self.experiment.rollout("refinement", "base", chosen.model).model_dump()
        elif chosen.kind == "repeated_refinement":
            wanted["rounds"] = chosen.rounds
        elif chosen.kind == "planned_refinement":
            settings["grader"] = self.grader  # it decides which candidates a group holds
            wanted["groups_per_stratum"] = chosen.groups_per_stratum
        return Recipe(
            ArtifactKey(f"{lane}/{AGGREGATION}/{name}", f"{benchmark}|{subject}"),
            settings,
            wanted,
            upstream=(ArtifactKey("benchmark_problems", benchmark), graded.key, *self._checkpoint(lane, subject)),
        )

    def aggregations(self, lane: str, benchmark: str, subject: str) -> Recipe:
        report = self.gap_reports(lane, benchmark, subject)
        named = {name: self.aggregation(lane, name, benchmark, subject) for name in self.experiment.aggregations}
        return Recipe(
            ArtifactKey(f"{lane}/aggregations", f"{benchmark}|{subject}"),
            settings={
                "aggregations": {name: recipe.fingerprint for name, recipe in named.items()},
                "grader": self.grader,
                "report": report.fingerprint,
            },
            wanted={**report.wanted, "aggregations": {name: recipe.wanted for name, recipe in named.items()}},
            upstream=(
                ArtifactKey("benchmark_problems", benchmark),
                self.graded_candidates(lane, benchmark, subject).key,
                report.key,
                *(recipe.key for recipe in named.values()),
            ),
        )

    def training_candidates(self, student: str) -> Recipe:
        settings = self._student(student)
        return self._teaching(
            "training_candidates",
            student,
            settings.candidates,
            self._model(settings.sampler),
            upstream=(ArtifactKey("training_problems"),),
        )

    def teacher_refinements(self, student: str) -> Recipe:
        settings = self._student(student)
        return self._teaching(
            "teacher_refinements",
            student,
            settings.refinements,
            self._model(settings.teacher),
            upstream=(ArtifactKey("training_problems"), ArtifactKey("training_candidates", student)),
            k=self.experiment.k,
            candidate_tokens=self.experiment.evaluation.candidate_tokens,
            grader=self.grader,
        )

    def teacher_solutions(self, student: str) -> Recipe:
        settings = self._student(student)
        return self._teaching(
            "teacher_solutions",
            student,
            settings.solutions,
            self._model(settings.teacher),
            upstream=(ArtifactKey("training_problems"),),
        )

    def training_sets(self, student: str) -> Recipe:
        settings = self._student(student)
        upstream = (
            ArtifactKey("training_problems"),
            ArtifactKey("teacher_refinements", student),
            ArtifactKey("teacher_solutions", student),
        )
        return Recipe(
            ArtifactKey("training_sets", student),
            settings={
                "samples": [settings.refinements.samples, settings.solutions.samples],
                "keep_when_all_correct": settings.keep_when_all_correct,
                "prompt_tokens": settings.prompt_tokens,
                "rows": settings.rows,
                "most_rows": settings.most_rows,
                "grader": self.grader,
                "seed": self.experiment.seed,
                "upstream": [self.store.content(key) for key in upstream],
            },
            upstream=upstream,
        )

    def lora_checkpoints(self, student: str) -> Recipe:
        settings = self._student(student)
        rows = ArtifactKey("training_sets", student)
        return Recipe(
            ArtifactKey("lora_checkpoints", student),
            settings={
                "base": _weights(self.experiment.models[settings.base]),
                "lora": settings.lora and settings.lora.model_dump(),
                "training": settings.training.model_dump(exclude=set(NOT_LEARNED)),
                "seed": self.experiment.seed,
                "training_set": self.store.content(rows),
            },
            upstream=(rows,),
        )

    def refinement_gap_scaling(self) -> Recipe:
        return Recipe(
            ArtifactKey("refinement_gap_scaling"),
            settings={
                "parameters": {name: model.parameters for name, model in self.experiment.models.items()},
                "report": REPORT_VERSION,
            },
            upstream=tuple(self._lane_keys("base", *self._reported())),
        )

    def student_comparison(self) -> Recipe:
        roles = {"base", "teacher", "candidates_from", "rows", "most_rows"}
        return Recipe(
            ArtifactKey("student_comparison"),
            settings={
                "students": {name: s.model_dump(include=roles) for name, s in self.experiment.students.items()},
                "out_of_distribution": {
                    name: benchmark.out_of_distribution for name, benchmark in self.experiment.benchmarks.items()
                },
                "report": REPORT_VERSION,
            },
            upstream=(
                ArtifactKey("refinement_gap_scaling"),
                *(ArtifactKey("lora_checkpoints", student) for student in self.experiment.students),
                *(ArtifactKey("training_sets", student) for student in self.experiment.students),
                *self._lane_keys("base", "graded_candidates", *self._reported(), *self._tables()),
                *self._lane_keys("student", "graded_candidates", *self._reported(), *self._tables()),
            ),
        )

    def _scored_groups(self, asset: str, refined: Recipe) -> Recipe:
        problems, graded, *_ = refined.upstream
        overlaps = (ArtifactKey("contamination"),) if asset.startswith("student/") else ()
        return Recipe(
            ArtifactKey(asset, refined.key.partition),
            settings={"refinements": refined.fingerprint, "grader": self.grader, "report": REPORT_VERSION},
            wanted=refined.wanted,
            upstream=(problems, graded, refined.key, *overlaps),
        )

    def _reported(self) -> list[str]:
        return ["gap_reports", "gap_curves"] if self.experiment.further_ks else ["gap_reports"]

    def _tables(self) -> list[str]:
        return ["aggregations"] if self.experiment.aggregations else []

    def _lane_keys(self, lane: str, *names: str) -> list[ArtifactKey]:
        subjects = self.experiment.models if lane == "base" else self.experiment.students
        return [
            ArtifactKey(f"{lane}/{name}", f"{benchmark}|{subject}")
            for name in names
            for benchmark in self.experiment.benchmarks
            for subject in subjects
        ]

    def _teaching(
        self,
        asset: str,
        student: str,
        rollouts: RolloutSettings,
        model: dict[str, str | None],
        upstream: tuple[ArtifactKey, ...],
        **settings: object,
    ) -> Recipe:
        """Return the recipe of samples for a training set, a new folder whenever upstream changes."""
        problem_set = self.experiment.training_problems
        assert problem_set is not None, "refused by the experiment file's checks"
        dumped = rollouts.model_dump()
        samples = dumped.pop("samples")
        return Recipe(
            ArtifactKey(asset, student),
            settings={
                **self._direct_prompt(problem_set),
                **settings,
                "rollout": dumped,
                "model": model,
                "seed": self.experiment.seed,
                "upstream": [self.store.content(key) for key in upstream],
            },
            wanted={"samples": samples},
            upstream=upstream,
        )

    def _student(self, name: str) -> Student:
        return self.experiment.students[name]

    def _subject(self, lane: str, subject: str) -> dict[str, str | None]:
        """Return what pins the weights of a model, or of a student: its base and its checkpoint."""
        if lane == "base":
            return self._model(subject)
        (checkpoint,) = self._checkpoint(lane, subject)
        return {
            **self._model(self._student(subject).base),
            "thinking_end": self.experiment.thinking_end(subject),
            "checkpoint": self.store.content(checkpoint),
        }

    def _checkpoint(self, lane: str, subject: str) -> tuple[ArtifactKey, ...]:
        return (ArtifactKey("lora_checkpoints", subject),) if lane == "student" else ()

    def _model(self, name: str) -> dict[str, str | None]:
        model: Model = self.experiment.models[name]
        engine = {} if model.engine.kind == "transformers" else {"engine": model.engine.kind}
        if isinstance(model.engine, OpenAI):
            engine["served"] = model.engine.model
        return {"key": name, "weights": _weights(model), "thinking_end": model.thinking_end, **engine}

    @staticmethod
    def _direct_prompt(problem_set: ProblemSet) -> dict[str, object]:
        return {
            "prompt": PROMPT_VERSION,
            "worked_examples": [example.model_dump() for example in problem_set.worked_examples],
        }


def _weights(model: Model) -> str:
    """Return what pins a model's samples: its weights, or the content of a recorded file."""
    if isinstance(model.engine, RecordedSamples):
        return problems.file_sha256(model.engine.path / "samples.parquet")
    return identity(str(model.source))
