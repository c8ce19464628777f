"""An alert for the tests."""

from resources.alerts.messages import Message

FAILED_CHECK = Message(
    id="0123456789abcdef",
    kind="check failed",
    severity="WARN",
    time="2025-01-01T00:00:00+00:00",
    run_id="7f3a",
    job="base_evaluation",
    link="http://page/runs/7f3a",
    asset="base/candidate_pools",
    check="pool_complete",
    partition="sums|llama-tiny",
    experiment="demo",
    description="A candidate is missing.",
    measured={"candidates": 95, "expected": 96},
)
