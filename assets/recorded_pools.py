"""What can be had of a subject: anything of a model that draws; of recorded samples, what was recorded.

So recorded problems may differ in their number of samples, and groups in whether they were refined.
"""

from dataclasses import dataclass

from gsr_dagster.experiment.engines import RecordedSamples
from gsr_dagster.experiment.experiment import Experiment
from gsr_dagster.experiment.keys import EvaluationKey
from resources.problems.recorded_samples import ImportFileError, Recording, read_recording


@dataclass(frozen=True)
class Available:
    """What can be had of a subject on a benchmark. ``recording`` is None where it draws."""

    samples: int
    recording: Recording | None

    def candidates(self, problem_id: str) -> int:
        """Return how many candidates of a problem to take: all that are wanted, or those that are recorded.

        A problem of which nothing is recorded is not left out in silence: all of its
        samples are asked for, and the engine refuses.
        """
        if self.recording is None:
            return self.samples
        return min(self.samples, self.recording.candidates.get(recorded_id(problem_id), self.samples))

    def is_refined(self, group_id: str, further_k: bool = False) -> bool:
        """Return whether a group, PROBLEM/gNUMBER, has a refinement. At a further k nothing is recorded."""
        if self.recording is None:
            return True
        if further_k or not self.recording.refined:
            return False
        # An earlier version did not write the group size: the engine refuses what is not there.
        return self.recording.k is None or recorded_id(group_id) in self.recording.refined


def available(experiment: Experiment, evaluation: EvaluationKey) -> Available:
    """Return what can be had of a subject on a benchmark.

    Raises ImportFileError where its recorded refinements are of groups of another size than the experiment's, or the
    confidences of its tokens are not those that the experiment asks for.
    """
    engine = experiment.subject_model(evaluation.subject).engine
    recording = read_recording(engine.path) if isinstance(engine, RecordedSamples) else None
    if recording is not None and recording.k not in (None, experiment.k):
        raise ImportFileError(
            f"the refinements recorded of {evaluation.subject} are of groups of {recording.k} candidates, and the "
            f"experiment file says k: {experiment.k}. Write k: {recording.k} there"
        )
    if recording is not None:
        _refuse_other_confidences(experiment, evaluation.subject, recording.logprobs)
    return Available(experiment.benchmarks[evaluation.benchmark].samples, recording)


def _refuse_other_confidences(experiment: Experiment, subject: str, recorded: int | None) -> None:
    asked = experiment.evaluation.direct.logprobs
    readers = [name for name, kind in experiment.aggregations.items() if kind.of_logprobs]
    if readers and recorded is None:
        raise ImportFileError(
            f"{subject} was recorded without the log-probabilities of its tokens, which {', '.join(readers)} read: import "
            "them too (--field logprobs=NAME), or leave one of them out"
        )
    if asked and recorded not in (None, asked):
        raise ImportFileError(
            f"the confidences recorded of {subject} are of the {recorded} likeliest tokens in each place, and the experiment "
            f"file says logprobs: {asked}. Write logprobs: {recorded} in evaluation.direct"
        )


def recorded_id(name: str) -> str:
    """Return the id of a problem or group without its problem set, as it is recorded."""
    return name.split("/", 1)[1]
