"""Receivers: real HTTP on loopback, and moto's SNS."""

import sys
from dataclasses import replace

import pytest
from dagster._utils.error import serializable_error_info_from_exc_info

from resources.alerts.messages import Message
from resources.alerts.receivers import (
    AlertSettingError,
    NotDeliveredError,
    RefusedError,
    Slack,
    SnsTopic,
    Webhook,
    configured,
)
from tests.journeys.serving import free_port
from tests.resources.alerts.examples import FAILED_CHECK

SECRET = "T000SECRET"


def test_slack_gets_text_and_a_webhook_the_whole_message(inbox):
    Slack(f"{inbox.address}/slack").send(FAILED_CHECK)
    Webhook(f"{inbox.address}/hook").send(FAILED_CHECK)
    assert inbox.taken("/slack") == [{"text": FAILED_CHECK.text()}]
    (document,) = inbox.taken("/hook")
    assert Message(**document) == FAILED_CHECK
    for word in ("WARN", "pool_complete", "base/candidate_pools", "sums|llama-tiny", "candidates 95", "/runs/7f3a"):
        assert word in FAILED_CHECK.text()


def test_sns_gets_the_text_with_attributes_to_filter_by(topic, s3_environment, monkeypatch):
    arn, received = topic
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    SnsTopic(arn).send(replace(FAILED_CHECK, description="naïve 数 \x00\ud800" + "x" * 9000))
    (told,) = received()
    assert told["Subject"] == FAILED_CHECK.title()
    assert "naïve 数 x" in told["Message"]
    assert told["MessageAttributes"]["severity"]["Value"] == "WARN"
    assert told["MessageAttributes"]["id"]["Value"] == FAILED_CHECK.id


def test_a_topic_that_is_not_there_is_an_error_without_its_name(topic, s3_environment, monkeypatch):
    for name, value in s3_environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(NotDeliveredError, match="NotFound") as caught:
        SnsTopic(f"arn:aws:sns:us-east-1:123456789012:{SECRET}").send(FAILED_CHECK)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("status", [301, 401, 404, 408, 410, 429, 500, 503])
def test_an_answer_that_may_change_keeps_the_message(inbox, status):
    inbox.status = status
    with pytest.raises(NotDeliveredError, match=str(status)):
        Webhook(f"{inbox.address}/{SECRET}").send(FAILED_CHECK)
    assert len(inbox.posts) == 1, "a redirect is not followed"


@pytest.mark.parametrize("status", [400, 413, 415, 422])
def test_an_answer_about_the_message_refuses_it(inbox, status):
    inbox.status = status
    with pytest.raises(RefusedError, match=str(status)):
        Webhook(inbox.address).send(FAILED_CHECK)


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/", "http://{port}.invalid./", "http://[::1/"])
def test_no_error_holds_the_address(address):
    receiver = Slack(address.format(port=free_port()) + SECRET)
    assert SECRET not in repr(receiver)
    try:
        receiver.send(FAILED_CHECK)
    except NotDeliveredError:
        told = str(serializable_error_info_from_exc_info(sys.exc_info()))
    assert "no answer" in told
    assert SECRET not in told


def test_a_setting_that_is_no_address_is_refused_without_being_repeated(monkeypatch):
    monkeypatch.setenv("GSR_ALERT_SLACK", f"hooks.slack.com/{SECRET}")
    monkeypatch.setenv("GSR_ALERT_SNS_TOPIC", f"{SECRET}")
    monkeypatch.delenv("GSR_ALERT_WEBHOOK", raising=False)
    for name, wanted in (("slack", "GSR_ALERT_SLACK: an address"), ("sns", "GSR_ALERT_SNS_TOPIC: a topic's ARN")):
        with pytest.raises(AlertSettingError, match=wanted) as caught:
            configured(name)
        assert SECRET not in str(caught.value)
    assert configured("webhook") is None
