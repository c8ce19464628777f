"""One aggregation of a subject's groups on a benchmark, while its artifact is made."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from assets.evaluation.evaluation_run import EvaluationRun
from assets.evaluation.fingerprints import CandidatePools
from assets.materializing import ArtifactContents
from assets.sampling import candidates_chat, draw_samples
from gsr_dagster.experiment.aggregations.base import Aggregation, ChoicePrompt, GroupPrompt
from gsr_dagster.experiment.settings import RolloutSettings
from gsr_dagster.method.candidate_pool import CandidatePool
from gsr_dagster.method.policies.confidence import TraceConfidence, in_nats, trace_confidence
from gsr_dagster.method.prompting.prompts import (
    NO_ANSWER,
    Message,
    RefinementPrompt,
    refinement_messages,
    refinement_turns,
)
from gsr_dagster.method.rows import Row
from resources import gpus
from resources.engines.base import UNASKED, Engine
from resources.engines.loading import Engines
from resources.engines.reward_model import RewardModel, complete_scores
from resources.engines.sample_log import Prompt
from resources.models.weights import fetch
from resources.problems.score_files import read_scores
from resources.store.errors import ArtifactError
from resources.store.manifests import Recipe


@dataclass(frozen=True)
class AggregationRun:
    """What an aggregation's kind can ask for: a model's answers, or scores. See ``Work`` of its base class."""

    run: EvaluationRun
    recipe: Recipe
    aggregation: Aggregation
    engines: Engines

    def make(self) -> ArtifactContents:
        return self.aggregation.make(self, self.pool)

    @cached_property
    def pool(self) -> CandidatePool:
        return (self.run.of_base() if self.aggregation.of_base else self.run).scored_pool()

    @property
    def thinking_end(self) -> str | None:
        return self.run.model.thinking_end

    def refine(
        self, prompts: Sequence[GroupPrompt], samples: int = 1, wording: RefinementPrompt | None = None
    ) -> ArtifactContents:
        """Draw refinements of the groups, by the subject or by the model that the aggregation names.

        A student that refines sees the plain prompt.
        """
        of_student = self.aggregation.refiner is None and self.run.key.is_student
        wording = wording or self.run.experiment.prompts.ask_refinement
        before = refinement_turns(self.run.benchmark.refinements(of_student), wording)
        return self._ask(prompts, partial(refinement_messages, ask=wording), samples, before)

    def choose(self, prompts: Sequence[GroupPrompt], write: ChoicePrompt) -> ArtifactContents:
        return self._ask(prompts, write, 1, [])

    def greedy_direct(self) -> ArtifactContents:
        run = self.run
        prompts = [
            Prompt(f"{run.subject}/{row['problem_id']}", run.direct_chat(row), 1, {"problem_id": row["problem_id"]})
            for row in run.problems()
        ]
        greedy = run.rollout("direct").model_copy(update={"temperature": 0.0, "logprobs": None})
        return draw_samples(run.store, self.recipe, prompts, "sample_id", greedy, run.engine(self.engines))

    def answers(self, contents: ArtifactContents) -> dict[str, Row]:
        rows = self.run.store.read_shards(self.recipe.key, self.recipe.fingerprint, contents.shards)
        return {row["sample_id"]: row for row in rows}

    def reward_scores(self, source: str, batch_size: int) -> ArtifactContents:
        """Score every candidate's summary as a response to its problem; one without is shown as "(no answer)"."""

        def chat(row: Row) -> list[Message]:
            response = row["summary"] or NO_ANSWER
            problem = self._problems[row["problem_id"]]
            return [{"role": "user", "content": problem}, {"role": "assistant", "content": response}]

        def load() -> RewardModel:
            self.engines.release()  # two models may not fit
            gpus.hold(self.aggregation.gpus)
            return RewardModel(fetch(source), batch_size)

        store, recipe = self.run.store, self.recipe
        shards = complete_scores(store, recipe, [Prompt(r["candidate_id"], chat(r), 1) for r in self._candidates], load)
        rows = store.read_shards(recipe.key, recipe.fingerprint, shards, "scored_tokens")
        tokens = [row["scored_tokens"] for row in rows]
        return ArtifactContents(shards=shards, summary={"scores": len(tokens), "scored_tokens": sum(tokens)})

    def recorded_scores(self, path: Path) -> ArtifactContents:
        scores = read_scores(path, [row["candidate_id"] for row in self._candidates])
        return ArtifactContents(
            [{"candidate_id": id_, "score": score, "scored_tokens": 0} for id_, score in scores.items()]
        )

    def confidences(self, window: int) -> dict[str, TraceConfidence]:
        """Raises ArtifactError where a candidate came without: its server sent none, or nobody recorded them."""
        wanted = {row["candidate_id"] for row in self._candidates}
        found: dict[str, TraceConfidence] = {}
        pool = self.run.key.artifact(CandidatePools.name)
        for row in self.run.store.rows(pool, "candidate_id", "finish_reason", "confidences"):
            stored = [] if row["finish_reason"] == UNASKED else row.get("confidences")
            if row["candidate_id"] in wanted and stored is not None:
                found[row["candidate_id"]] = trace_confidence(in_nats(stored), window)
        if missing := sorted(wanted - set(found)):
            raise ArtifactError(
                f"{len(missing)} of {len(wanted)} candidates, the first is {missing[0]}, came without the log-probabilities "
                "of their tokens: the server that drew them sends none, or they were recorded without"
            )
        return found

    def refined_groups(self) -> list[Row]:
        return self.run.read("gap_reports")

    def computed(self, rows: Sequence[Row]) -> ArtifactContents:
        return ArtifactContents(rows)

    @cached_property
    def _problems(self) -> dict[str, str]:
        return {row["problem_id"]: row["problem"] for row in self.run.problems()}

    @property
    def _candidates(self) -> list[Row]:
        return [row for rows in self.pool.by_problem.values() for row in rows]

    def _ask(
        self, prompts: Sequence[GroupPrompt], write: ChoicePrompt, samples: int, before: Sequence[Message]
    ) -> ArtifactContents:
        load, rollout = self._refiner()
        engine = load()
        written, shortened = [], 0
        for prompt in prompts:
            problem = self._problems[prompt.problem_id]
            messages, cut = candidates_chat(
                self.run.experiment, engine, rollout, problem, prompt.summaries, write, before
            )
            columns = {"problem_id": prompt.problem_id, "candidate_ids": list(prompt.shown_ids)}
            written.append(Prompt(prompt.id, messages, samples, columns))
            shortened += cut
        store = self.run.store
        return draw_samples(store, self.recipe, written, "sample_id", rollout, load, shortened_candidates=shortened)

    def _refiner(self) -> tuple[Callable[[], Engine], RolloutSettings]:
        """Return what loads the model that answers, and how it is sampled."""
        name = self.aggregation.refiner
        if name is None:
            return self.run.engine(self.engines), self.run.rollout("refinement")
        experiment = self.run.experiment
        return self.engines.loader(experiment.models[name]), experiment.rollout("refinement", name)
