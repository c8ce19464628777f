"""What the end of a run tells, and that each receiver is told once: a real instance, a real HTTP receiver."""

import logging

import dagster as dg
import pytest

from gsr_dagster.definitions import build_definitions
from gsr_dagster.experiment.loading import SHIPPED, load_experiment
from gsr_dagster.operations.alerts.sensors import alert_sensors, tell
from resources.alerts.receivers import RECEIVERS, AlertSettingError, NotDeliveredError, Slack, Webhook

log = logging.getLogger(__name__)
PARTITIONS = dg.StaticPartitionsDefinition(["sums", "knights"])


@dg.asset(partitions_def=PARTITIONS)
def pool() -> None:
    pass


@dg.asset_check(asset=pool, partitions_def=PARTITIONS)
def complete(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    measured = {"rows": 95, "missing": ["p7"], "share": float("nan"), "plot": dg.MarkdownMetadataValue("![](data:)")}
    return dg.AssetCheckResult(passed=False, severity=dg.AssetCheckSeverity.WARN, metadata=measured)


@dg.asset_check(asset=pool, partitions_def=PARTITIONS, description="passes")
def readable(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def broken() -> None:
    raise ValueError("no such weights")


@dg.asset
def shaky() -> None:
    pass


@dg.asset_check(asset=shaky)
def in_the_end_it_passes(context: dg.AssetCheckExecutionContext):
    yield dg.AssetCheckResult(passed=context.retry_number > 0)
    if context.retry_number == 0:
        raise dg.RetryRequested(max_retries=1)


@pytest.fixture
def instance():
    with dg.instance_for_test() as instance:
        yield instance


@pytest.fixture
def hook(inbox, instance) -> Webhook:
    """A receiver whose alerts have begun."""
    receiver = Webhook(f"{inbox.address}/hook")
    assert "Alerts begin" in tell(instance, "webhook", receiver, log)
    return receiver


def run(instance: dg.DagsterInstance, *parts, partition: str | None = None) -> str:
    tags = {"gsr/experiment": "demo"}
    return dg.materialize(
        parts, instance=instance, partition_key=partition, tags=tags, raise_on_error=False
    ).dagster_run.run_id


def test_a_failed_check_tells_what_it_measured_and_where(instance, hook, inbox, monkeypatch):
    monkeypatch.setenv("GSR_PAGE_URL", "https://dagster.example/")
    run_id = run(instance, pool, complete, readable, partition="sums")
    tell(instance, "webhook", hook, log)
    (told,) = inbox.taken("/hook")
    said = [told[name] for name in ("kind", "severity", "asset", "check")]
    assert said == ["check failed", "WARN", "pool", "complete"]
    assert (told["partition"], told["experiment"]) == ("sums", "demo")
    assert told["measured"] == {"rows": 95, "missing": '["p7"]', "share": "nan"}
    assert told["link"] == f"https://dagster.example/runs/{run_id}"


def test_a_failed_run_tells_the_step_and_its_error(instance, hook, inbox):
    run(instance, broken)
    tell(instance, "webhook", hook, log)
    (told,) = inbox.taken("/hook")
    assert (told["kind"], told["severity"]) == ("run failed", "ERROR")
    assert told["description"] == "broken: ValueError: no such weights"


def test_what_was_before_the_first_tick_is_not_news_and_nothing_is_told_twice(instance, inbox):
    run(instance, broken)
    receiver = Webhook(f"{inbox.address}/hook")
    for _ in range(3):
        tell(instance, "webhook", receiver, log)
    assert inbox.posts == []
    run(instance, broken)
    assert "taken: 1" in tell(instance, "webhook", receiver, log)
    assert tell(instance, "webhook", receiver, log) == "Nothing new."
    assert len(inbox.posts) == 1


def test_the_last_evaluation_of_a_check_is_the_one_that_counts(instance, hook, inbox):
    run_id = run(instance, shaky, in_the_end_it_passes)
    evaluated = instance.all_logs(run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION)
    assert len(evaluated) == 2
    tell(instance, "webhook", hook, log)
    assert inbox.posts == []


def test_a_receiver_that_is_down_gets_everything_in_order_when_it_is_back(instance, hook, inbox):
    slack = Slack(f"{inbox.address}/slack")
    tell(instance, "slack", slack, log)
    runs = [run(instance, pool, complete, partition="sums"), run(instance, broken), run(instance, broken)]
    inbox.status = 503
    for _ in range(3):
        with pytest.raises(NotDeliveredError, match="503"):
            tell(instance, "webhook", hook, log)
    assert len(inbox.refused("/hook")) == 3, "one attempt a tick"
    inbox.status = 200
    tell(instance, "slack", slack, log)
    assert len(inbox.taken("/slack")) == 3, "the other receiver does not wait"
    tell(instance, "webhook", hook, log)
    assert [told["run_id"] for told in inbox.taken("/hook")] == runs


def test_a_message_that_is_refused_for_good_is_an_error_in_the_log_and_blocks_no_other(instance, hook, inbox, caplog):
    run(instance, broken)
    inbox.status = 400
    assert "refused: 1" in tell(instance, "webhook", hook, log)
    assert "refuses a message" in caplog.text
    assert "no such weights" in caplog.text
    assert inbox.address not in caplog.text
    inbox.status = 200
    run_id = run(instance, broken)
    tell(instance, "webhook", hook, log)
    assert [told["run_id"] for told in inbox.taken("/hook")] == [run_id]


class DiesAfter:
    """A receiver behind which the process dies when ``messages`` are taken."""

    def __init__(self, receiver: Webhook, messages: int):
        self.receiver = receiver
        self.left = messages

    def send(self, message) -> None:
        if self.left == 0:
            raise KeyboardInterrupt
        self.receiver.send(message)
        self.left -= 1


def test_a_daemon_that_dies_between_two_messages_repeats_neither(instance, hook, inbox):
    runs = [run(instance, broken), run(instance, broken)]
    with pytest.raises(KeyboardInterrupt):
        tell(instance, "webhook", DiesAfter(hook, 1), log)
    tell(instance, "webhook", hook, log)
    assert [told["run_id"] for told in inbox.taken("/hook")] == runs


@dg.asset_check(asset=pool, partitions_def=PARTITIONS)
def sound(context: dg.AssetCheckExecutionContext) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=False, description="no row is right")


def test_the_checks_of_a_run_are_one_message_that_is_as_severe_as_the_worst(instance, hook, inbox):
    run(instance, pool, complete, sound, partition="knights")
    tell(instance, "webhook", hook, log)
    (told,) = inbox.taken("/hook")
    assert (told["kind"], told["severity"], told["partition"]) == ("checks failed", "ERROR", "knights")
    assert told["measured"] == {"WARN complete on pool": "", "ERROR sound on pool": "no row is right"}


def test_a_failed_run_and_its_checks_are_one_message(instance, hook, inbox):
    @dg.asset(partitions_def=PARTITIONS, deps=[pool])
    def after() -> None:
        raise ValueError("no room")

    run(instance, pool, complete, after, partition="sums")
    tell(instance, "webhook", hook, log)
    (told,) = inbox.taken("/hook")
    assert (told["kind"], told["description"]) == ("run failed", "after: ValueError: no room")
    assert told["measured"] == {"WARN complete on pool": ""}


@pytest.fixture
def clock(monkeypatch) -> list[float]:
    now = [1_000_000.0]
    monkeypatch.setattr("gsr_dagster.operations.alerts.sensors.time.time", lambda: now[0])
    return now


def test_warnings_come_once_an_hour_and_errors_at_once(instance, hook, inbox, clock):
    first, *later = [run(instance, pool, complete, partition=partition) for partition in ("sums", "knights", "sums")]
    failed = run(instance, broken)
    assert "kept for the hour's digest: 2" in tell(instance, "webhook", hook, log)
    assert [told["run_id"] for told in inbox.taken("/hook")] == [first, failed]
    clock[0] += 3599
    assert tell(instance, "webhook", hook, log) == "Nothing new."
    clock[0] += 1
    assert "taken: 1" in tell(instance, "webhook", hook, log)
    *_, told = inbox.taken("/hook")
    assert (told["kind"], told["severity"], told["job"], told["run_id"]) == (
        "checks failed",
        "WARN",
        "2 runs",
        later[-1],
    )
    said = "check complete failed on pool, partition {}"
    assert list(told["measured"]) == [said.format("knights"), said.format("sums")]


def test_a_digest_that_is_not_taken_waits_and_loses_nothing(instance, hook, inbox, clock):
    for partition in ("sums", "knights", "sums"):
        run(instance, pool, complete, partition=partition)
    tell(instance, "webhook", hook, log)
    clock[0], inbox.status = clock[0] + 3600, 503
    with pytest.raises(NotDeliveredError):
        tell(instance, "webhook", hook, log)
    inbox.status = 200
    tell(instance, "webhook", hook, log)
    assert len(inbox.taken("/hook")[-1]["measured"]) == 2


def test_what_is_less_severe_than_asked_for_is_not_sent(instance, hook, inbox, monkeypatch):
    monkeypatch.setenv("GSR_ALERT_LEAST", "error")
    run(instance, pool, complete, partition="sums")
    run_id = run(instance, pool, complete, sound, partition="sums")
    tell(instance, "webhook", hook, log)
    (told,) = inbox.taken("/hook")
    assert (told["run_id"], told["check"]) == (run_id, "sound")


def test_a_least_severity_that_there_is_not_is_refused(instance, hook, inbox, monkeypatch):
    monkeypatch.setenv("GSR_ALERT_LEAST", "loud")
    run(instance, broken)
    with pytest.raises(AlertSettingError, match="GSR_ALERT_LEAST: WARN or ERROR is wanted"):
        tell(instance, "webhook", hook, log)
    monkeypatch.delenv("GSR_ALERT_LEAST")
    tell(instance, "webhook", hook, log)
    assert len(inbox.taken("/hook")) == 1


def test_a_daemon_that_dies_before_it_notes_an_answer_repeats_that_one_message_with_its_id(
    instance, hook, inbox, monkeypatch
):
    run(instance, broken)
    with monkeypatch.context() as patched:
        patched.setattr(
            "gsr_dagster.operations.alerts.sensors.Position.save", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        with pytest.raises(KeyboardInterrupt):
            tell(instance, "webhook", hook, log)
    tell(instance, "webhook", hook, log)
    first, second = inbox.taken("/hook")
    assert first == second


def test_a_run_that_ends_again_tells_only_what_is_new(instance, hook, inbox):
    """As one that Dagster gave up and that went on."""
    run_id = run(instance, pool, complete, partition="sums")
    ended = instance.get_run_by_id(run_id)
    instance.report_run_canceled(ended)
    instance.report_run_canceled(ended)
    tell(instance, "webhook", hook, log)
    assert [told["kind"] for told in inbox.taken("/hook")] == ["check failed", "run cancelled"]


def test_the_sensors_run_where_a_receiver_is_named_and_say_so_where_not(monkeypatch, instance):
    monkeypatch.setenv("GSR_ALERT_SLACK", "https://hooks.example/x")
    for variable in ("GSR_ALERT_WEBHOOK", "GSR_ALERT_SNS_TOPIC"):
        monkeypatch.delenv(variable, raising=False)
    statuses = {sensor.name: sensor.default_status for sensor in alert_sensors()}
    running, stopped = dg.DefaultSensorStatus.RUNNING, dg.DefaultSensorStatus.STOPPED
    assert statuses == {"alerts_to_slack": running, "alerts_to_webhook": stopped, "alerts_to_sns": stopped}
    assert "GSR_ALERT_WEBHOOK is not set" in tick("webhook", instance)


def tick(name: str, instance: dg.DagsterInstance) -> str:
    """What a receiver's sensor says after one evaluation."""
    (sensor,) = (sensor for sensor in alert_sensors() if sensor.name == f"alerts_to_{name}")
    return sensor(dg.build_sensor_context(instance)).skip_message


def test_a_tick_of_the_sensor_sends_and_says_how_many(monkeypatch, instance, inbox):
    monkeypatch.setenv("GSR_ALERT_SLACK", f"{inbox.address}/slack")
    assert "Alerts begin here" in tick("slack", instance)
    run(instance, broken)
    assert tick("slack", instance) == "Messages taken: 1, refused: 0."
    inbox.status = 400
    run(instance, broken)
    assert tick("slack", instance) == "Messages taken: 0, refused: 1."
    assert tick("slack", instance) == "Nothing new."


def test_the_code_location_holds_a_sensor_for_each_receiver():
    definitions = build_definitions(load_experiment(SHIPPED / "demo.yaml"))
    assert {sensor.name for sensor in definitions.sensors} >= {f"alerts_to_{name}" for name in RECEIVERS}
