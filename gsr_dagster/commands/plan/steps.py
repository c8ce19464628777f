"""The steps of a run from nothing: what each samples or trains, and what that costs at most.

    plan(experiment)[0]
    Step(what="candidate_pools", model="qwen2.5-7b", sampler="qwen2.5-7b", prompts=1318, samples=22528, ...)

Tokens are counted to the limits of the rollout settings: no run costs more, but for what a
reward model reads, whose size the file does not say. What models really write is a share of
it (on AIME 13,000 of 32,768, arXiv 2509.00084).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil

from gsr_dagster.experiment.aggregations.base import Pools
from gsr_dagster.experiment.engines import VLLM, OpenAI, Price, Ray, RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.problems.datasets import REGISTRY
from gsr_dagster.experiment.problems.problem_sets import ProblemSet
from gsr_dagster.experiment.settings import MOST
from gsr_dagster.experiment.students import Student
from gsr_dagster.experiment.training.fine_tuning import Training
from gsr_dagster.method.judging import judge_messages
from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages, refinement_turns
from resources.problems.sources import load_problems

# A rate is that of a model of so many parameters; others are slower in proportion.
RATED_PARAMETERS = 7e9
# arXiv 2509.00084: 56K problems have an extracted answer and a pass rate within the filter.
PAPERS_PROBLEMS = 56_000
CHARACTERS_A_TOKEN = 4
# Of a problem that is not in a file: those of MATH500 and AIME have 200 to 400.
USUAL_CHARACTERS = 400


@dataclass(frozen=True)
class Step:
    """The sampling or training of one model, ``sampler``, for a subject, ``model``.

    ``tokens`` are generated, or trained on, at most. ``prompt_tokens`` are those of the prompts, an
    estimate: each is read once, and of a server's once for up to n samples. ``server`` is None of
    a model that runs here, ``price`` of one without, and of a training.
    """

    what: str
    model: str
    sampler: str
    parameters: float | None
    prompts: int
    samples: int
    tokens: int
    prompt_tokens: int = 0
    server: OpenAI | None = None
    price: Price | None = None

    @property
    def trains(self) -> bool:
        return self.what == "lora_checkpoints"

    def hours(self, rate: float, share: float) -> float | None:
        """Return hours at ``rate`` tokens/s of a 7B model, where ``share`` of the limit is written.

        None of a model on a server, and of one whose size is unknown.
        """
        if self.server or self.parameters is None:
            return None
        return self.tokens * share * self.parameters / RATED_PARAMETERS / rate / 3600

    def operations(self, share: float) -> float:
        """Return the floating point operations where ``share`` of the limit is written: 2 a parameter and token, 6 in training.

        0 of a model on a server, and of one whose size is unknown.
        """
        if self.server or self.parameters is None:
            return 0.0
        tokens = self.tokens * share + self.prompt_tokens
        return (6 if self.trains else 2) * self.parameters * tokens

    def money(self, share: float = 1) -> float | None:
        """Return what the samples cost where ``share`` of the limit is written; None without a price."""
        return None if self.price is None else self.price.of(self.prompt_tokens, self.tokens * share)


def plan(experiment: Experiment) -> list[Step]:
    """Return the steps of a run from nothing, in the order of the graph."""
    planned = Planned(experiment)
    steps: list[Step] = []
    drawn: set = set()
    for name in experiment.subjects("base"):
        steps += planned.evaluation(name, name)
        steps += planned.aggregations(name, name)
        steps += planned.judging(name)
    for name in [name for of_round in experiment.rounds.values() for name in of_round]:
        steps += planned.teaching(name, experiment.students[name], drawn)
        steps += planned.evaluation(name, name)
        steps += planned.aggregations(name, name)
        steps += planned.judging(name)
    return steps


def size_of(problem_set: ProblemSet) -> tuple[int, int]:
    """Return how many problems a set has, and their mean tokens, loading it once at most.

    The tokens are by their characters; of problems that are generated, or whose number is known, they are a usual
    number. Of the hub only a data set by its id is loaded, where the file does not say how many of its problems.
    """
    kind, _, name = problem_set.source.partition(":")
    usual = USUAL_CHARACTERS // CHARACTERS_A_TOKEN
    if kind == "hub":
        return problem_set.problems or REGISTRY[name].problems or PAPERS_PROBLEMS, usual
    if problem_set.problems and kind != "file":
        return problem_set.problems, usual
    rows = load_problems("plan", problem_set).rows
    characters = sum(len(row["problem"]) for row in rows) / len(rows)
    return problem_set.problems or len(rows), ceil(characters / CHARACTERS_A_TOKEN)


class Planned:
    """What the steps of an experiment are made of: how many problems, and how long their prompts."""

    def __init__(self, experiment: Experiment):
        self.experiment = experiment
        self.sets: Mapping[str, ProblemSet] = dict(experiment.benchmarks)
        if experiment.training_problems and experiment.students:
            self.sets = {**self.sets, "training_problems": experiment.training_problems}
        sizes = {name: size_of(problem_set) for name, problem_set in self.sets.items()}
        self.problems = {name: problems for name, (problems, _) in sizes.items()}
        self.lengths = {name: tokens for name, (_, tokens) in sizes.items()}

    def evaluation(self, subject: str, model: str) -> Iterator[Step]:
        """Yield the direct samples and the refinements of a subject over all benchmarks."""
        if isinstance(self.experiment.subject_model(model).engine, RecordedSamples):
            return
        direct = self.experiment.rollout("direct", subject).max_new_tokens
        refinement = self.experiment.rollout("refinement", subject).max_new_tokens
        ks = (self.experiment.k, *self.experiment.further_ks)
        pools = [
            (self.problems[n], self.problems[n] * b.samples, self.direct(n, subject))
            for n, b in self.experiment.benchmarks.items()
        ]
        refined = [
            (groups, groups, self.refinement(n, subject, direct))
            for n, b in self.experiment.benchmarks.items()
            for groups in [self.problems[n] * sum(b.samples // k for k in ks)]
        ]
        yield self.step("candidate_pools", subject, model, pools, direct)
        yield self.step("self_refinements", subject, model, refined, refinement)

    def aggregations(self, subject: str, model: str) -> Iterator[Step]:
        """Yield what the aggregations of a subject's groups draw, over all benchmarks."""
        k, benchmarks = self.experiment.k, self.experiment.benchmarks
        candidate = self.experiment.rollout("direct", subject).max_new_tokens
        pools = Pools(
            benchmarks=len(benchmarks),
            problems=sum(self.problems[name] for name in benchmarks),
            candidates=sum(self.problems[name] * benchmark.samples for name, benchmark in benchmarks.items()),
            groups=sum(self.problems[name] * (benchmark.samples // k) for name, benchmark in benchmarks.items()),
            k=k,
        )
        lane = "student" if subject in self.experiment.students else "base"
        for name, aggregation in self.experiment.aggregations_of(lane).items():
            if not aggregation.draws:
                continue
            sampler, stage = aggregation.refiner or model, "direct" if aggregation.direct else "refinement"
            rollout = self.experiment.rollout(stage, aggregation.refiner or subject)
            prompts, samples = aggregation.cost(pools)
            lengths = (
                self.direct(name, subject) if aggregation.direct else self.refinement(name, sampler, candidate)
                for name in benchmarks
            )
            yield self.step(name, subject, sampler, [(prompts, samples, max(lengths))], rollout.max_new_tokens)

    def judging(self, subject: str) -> Iterator[Step]:
        """Yield what the judge is asked of a subject: at most about every candidate and refinement, if no two answer alike."""
        judge = self.experiment.judge
        if judge is None or isinstance(self.experiment.models[judge.model].engine, RecordedSamples):
            return
        k = self.experiment.k
        asked = [
            (answers, answers, self.lengths[name] + _tokens(judge_messages("", "", "")))
            for name, benchmark in self.experiment.benchmarks.items()
            for answers in [self.problems[name] * (benchmark.samples + benchmark.samples // k)]
        ]
        yield self.step("judge_samples", subject, judge.model, asked, judge.max_new_tokens)

    def teaching(self, name: str, student: Student, drawn: set) -> Iterator[Step]:
        """Yield what is sampled to teach a student, and its training: at most all solutions and as many refinements.

        What another student's teaching has ``drawn`` with the same settings is not drawn again.
        """
        problems, candidate = self.problems["training_problems"], student.candidates.max_new_tokens
        candidates = ("training_candidates", student.sampler, student.candidates)
        refinements = ("teacher_refinements", student.refiner, student.refinements)
        solutions = ("teacher_solutions", student.solver, student.solutions)
        for settings, length in (
            (candidates, self.direct("training_problems", student.sampler)),
            (
                (*refinements, candidates, student.groups),
                self.refinement("training_problems", student.refiner, candidate),
            ),
            (solutions, self.direct("training_problems", student.solver)),
        ):
            what, model, rollouts = settings[:3]
            recorded = isinstance(self.experiment.subject_model(model).engine, RecordedSamples)
            if settings in drawn or recorded or not student.samples(what):
                continue
            drawn.add(settings)
            prompts = problems * (student.groups if what == "teacher_refinements" else 1)
            asked = [(prompts, prompts * rollouts.samples, length)]
            yield self.step(what, model, model, asked, rollouts.max_new_tokens)
        yield from self.training(name, student)

    def training(self, name: str, student: Student) -> Iterator[Step]:
        """Yield the training of a student, and by rewards the rollouts that are sampled for it."""
        problems, candidate = self.problems["training_problems"], student.candidates.max_new_tokens
        training, most = student.training, student.rows_a_problem or MOST
        solved = min(1 if student.by_rewards else student.solutions.samples, most)
        refined = min((1 if student.by_rewards else student.refinements.samples) * student.groups, most)
        rows = problems * {"direct": solved, "refinement": refined, "hybrid": 2 * min(solved, refined)}[student.rows]
        rows = min(rows, student.most_rows or rows)
        direct = self.direct("training_problems", name) + student.solutions.max_new_tokens
        shown = min(self.refinement("training_problems", name, candidate), student.prompt_tokens)
        longest = {"direct": direct, "refinement": shown + student.refinements.max_new_tokens}
        kinds = [student.rows] if student.rows in longest else [*longest]
        most_tokens = training.max_length if isinstance(training, Training) else MOST
        length = sum(min(longest[kind], most_tokens) for kind in kinds) / len(kinds)
        parameters = self.experiment.subject_model(student.base).parameters
        if isinstance(training, Training):
            yield Step(
                "lora_checkpoints", name, student.base, parameters, rows, rows, int(rows * training.epochs * length)
            )
            return
        rollouts = training.rollouts
        a_step = training.batch_size // rollouts.samples
        prompts = max(round(training.epochs * rows / a_step), 1) * a_step  # whole steps, one at least
        asked = [(prompts, prompts * rollouts.samples, int(length) - rollouts.max_new_tokens)]
        yield self.step("training_rollouts", name, student.base, asked, rollouts.max_new_tokens)
        learned = prompts * rollouts.samples * training.num_iterations
        yield Step("lora_checkpoints", name, student.base, parameters, rows, learned, int(learned * length))

    def step(self, what: str, subject: str, sampler: str, asked: list[tuple[int, int, int]], limit: int) -> Step:
        """Return a step that asks for so many (prompts, samples), with so many tokens a prompt."""
        model = self.experiment.subject_model(sampler)
        server = model.engine if isinstance(model.engine, OpenAI) else None
        prompts, samples = sum(p for p, _, _ in asked), sum(s for _, s, _ in asked)
        # A request for several samples pays its prompt once.
        n = server.n if server else 1
        read = sum(p * (ceil(s / p / n) if server else 1) * length for p, s, length in asked if p)
        tokens, price = samples * limit, model.engine.price
        return Step(what, subject, sampler, model.parameters, prompts, samples, tokens, read, server, price)

    def direct(self, name: str, sampler: str) -> int:
        """Return the tokens of a direct prompt that a model or student reads."""
        examples = self.sets[name].examples(sampler in self.experiment.students)
        return self.lengths[name] + _tokens(
            direct_messages("", [] if self._reads_once(sampler) else examples, self.experiment.prompts.ask_direct)
        )

    def refinement(self, name: str, sampler: str, candidate: int) -> int:
        """Return the tokens of a prompt with candidates, each as long as it may be: ``candidate`` tokens, within their budget."""
        examples = self.sets[name].refinements(sampler in self.experiment.students)
        ask = self.experiment.prompts.ask_refinement
        before = refinement_turns([] if self._reads_once(sampler) else examples, ask)
        written = _tokens([*before, *refinement_messages("", [""] * self.experiment.k, ask)])
        shown = min(self.experiment.k * candidate, self.experiment.evaluation.candidate_tokens)
        return self.lengths[name] + written + shown

    def _reads_once(self, sampler: str) -> bool:
        """Return whether an engine keeps what it has read of worked examples, which are the same before every prompt."""
        return isinstance(self.experiment.subject_model(sampler).engine, VLLM | Ray)


def _tokens(messages: list[dict[str, str]]) -> int:
    return sum(len(message["content"]) for message in messages) // CHARACTERS_A_TOKEN
