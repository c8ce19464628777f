"""Problems: those of the benchmarks, and those that students learn from."""

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from gsr_dagster.experiment import Experiment
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactStore
from resources.grader import Grader, Question
from resources.manifests import ArtifactKey, Manifest
from resources.problems import Problems, load_problems


def problem_assets(experiment: Experiment, partitions: Partitions) -> list:
    """Return the assets of the group "problems" that hold problems, with their checks."""

    @dg.asset(partitions_def=partitions.benchmark, group_name="problems", kinds={"parquet"})
    def benchmark_problems(
        context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader
    ) -> dg.MaterializeResult:
        """The problems of a benchmark, each with its answer."""
        benchmark = context.partition_key
        recipe = Recipes(experiment, store).benchmark_problems(benchmark)

        def make() -> Made:
            return loaded(grader, load_problems(benchmark, experiment.benchmarks[benchmark]))

        return keep(context, store, recipe, make)

    @dg.asset_check(asset=benchmark_problems, partitions_def=partitions.benchmark)
    def problems_sound(context: dg.AssetCheckExecutionContext, store: ArtifactStore) -> dg.AssetCheckResult:
        """There are as many problems as were asked for, none of the source was left out, and every gold can be read."""
        return soundness(store.existing(ArtifactKey("benchmark_problems", context.partition_key)))

    if experiment.training_problems is None:
        return [benchmark_problems, problems_sound]
    training_set = experiment.training_problems

    @dg.asset(deps=[benchmark_problems], group_name="problems", kinds={"parquet"})
    def training_problems(
        context: dg.AssetExecutionContext, store: ArtifactStore, grader: Grader
    ) -> dg.MaterializeResult:
        """The problems students learn from. A text that stands in any benchmark is left out."""
        recipe = Recipes(experiment, store).training_problems()

        def make() -> Made:
            held_out = {row["problem"] for key in recipe.upstream for row in store.read(key)}
            return loaded(grader, load_problems("training", training_set, excluded=held_out))

        return keep(context, store, recipe, make)

    @dg.asset_check(asset=training_problems)
    def training_problems_sound(store: ArtifactStore) -> dg.AssetCheckResult:
        """There are as many problems as were asked for, none of the source was left out, and every gold can be read."""
        return soundness(store.existing(ArtifactKey("training_problems")))

    return [
        benchmark_problems,
        problems_sound,
        training_problems,
        training_problems_sound,
    ]


def loaded(grader: Grader, problems: Problems) -> Made:
    """Return the problems with what was left out, and with the ids of those whose gold is not readable."""
    questions = {row["problem_id"]: Question(row["answer"], row["domain"]) for row in problems.rows}
    grades = grader.grade("golds", questions, [(row["problem_id"], row["answer"]) for row in problems.rows])
    unreadable = [
        row["problem_id"]
        for row, grade in zip(problems.rows, grades, strict=True)
        if grade.verdict == "gold unparseable"
    ]
    return Made(problems.rows, summary={"left_out": problems.left_out, "unreadable_golds": unreadable})


def soundness(manifest: Manifest) -> dg.AssetCheckResult:
    """Return an error where problems are fewer or more than were asked for, else a warning where some are unfit.

    Unfit are those that the source has empty or twice, which were left out, and those
    whose gold cannot be read, which are not scored.
    """
    wanted = manifest.wanted.get("problems") or manifest.rows
    left_out = {reason: n for reason, n in manifest.summary["left_out"].items() if reason != "in a benchmark"}
    unreadable = manifest.summary["unreadable_golds"]
    faults = [
        f"there are {manifest.rows} problems, not {wanted}" if manifest.rows != wanted else None,
        f"{sum(left_out.values())} of the source were left out" if left_out else None,
        f"{len(unreadable)} have a gold that cannot be read, and are not scored" if unreadable else None,
    ]
    return dg.AssetCheckResult(
        passed=not any(faults),
        severity=dg.AssetCheckSeverity.ERROR if faults[0] else dg.AssetCheckSeverity.WARN,
        description="; ".join(filter(None, faults)) or None,
        metadata={"problems": manifest.rows, "left_out": left_out, "unreadable_golds": unreadable},
    )
