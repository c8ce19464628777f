"""Problems: those of the benchmarks, and those that students learn from."""

import dagster as dg

from assets.materializing import Made, keep
from assets.recipes import Recipes
from gsr_dagster.experiment import Experiment
from gsr_dagster.partitions import Partitions
from resources.artifacts import ArtifactStore
from resources.problems import load_problems


def problem_assets(experiment: Experiment, partitions: Partitions) -> list:
    """Return the assets of the group "problems" that hold problems."""

    @dg.asset(partitions_def=partitions.benchmark, group_name="problems", kinds={"parquet"})
    def benchmark_problems(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """The problems of a benchmark, each with its answer."""
        benchmark = context.partition_key
        recipe = Recipes(experiment, store).benchmark_problems(benchmark)
        return keep(context, store, recipe, lambda: Made(load_problems(benchmark, experiment.benchmarks[benchmark])))

    if experiment.training_problems is None:
        return [benchmark_problems]
    training_set = experiment.training_problems

    @dg.asset(deps=[benchmark_problems], group_name="problems", kinds={"parquet"})
    def training_problems(context: dg.AssetExecutionContext, store: ArtifactStore) -> dg.MaterializeResult:
        """The problems students learn from. A text that stands in any benchmark is left out."""
        recipe = Recipes(experiment, store).training_problems()

        def make() -> Made:
            held_out = {row["problem"] for key in recipe.upstream for row in store.read(key)}
            return Made(load_problems("training", training_set, excluded=held_out))

        return keep(context, store, recipe, make)

    return [benchmark_problems, training_problems]
