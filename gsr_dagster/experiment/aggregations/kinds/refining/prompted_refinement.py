"""One refinement of each group by another prompt: what of a gap is the prompt's."""

from typing import Any, Literal

from gsr_dagster.experiment.aggregations.base import Contents, Fingerprints, Work, group_prompts
from gsr_dagster.experiment.aggregations.refined import Refined
from gsr_dagster.experiment.prompts import RefinementTemplate, named_prompt
from gsr_dagster.method.candidate_pool import CandidatePool


class PromptedRefinement(Refined):
    """The groups refined once by another prompt: a name, ``rsa`` or ``agglm``, or a template (see Prompts).

    Several of them say how much of the Refinement Gap depends on the wording.
    """

    kind: Literal["prompted_refinement"]
    prompt: RefinementTemplate

    def settings(self, fingerprints: Fingerprints) -> dict[str, Any]:
        return {**fingerprints.self_refinement(), "prompt": named_prompt(self.prompt)[1]}

    def make(self, work: Work, pool: CandidatePool) -> Contents:
        wording, _ = named_prompt(self.prompt)
        return work.refine(group_prompts(self.groups(pool)), wording=wording)
