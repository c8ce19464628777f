"""The text of an alert, whatever a model wrote."""

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from resources.alerts.messages import LONGEST, slack_text
from tests.resources.alerts.examples import FAILED_CHECK

ANYTHING = st.text(st.characters(categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs", "L", "P", "S"]))


@given(ANYTHING, st.floats() | ANYTHING)
def test_whatever_a_model_wrote_stays_on_its_line_and_mentions_no_one(text, value):
    message = replace(FAILED_CHECK, description=f"a{text}<!channel>"[:LONGEST], measured={"seen": value})
    told = slack_text(message)
    assert "<" not in told
    assert ">" not in told
    assert all(character.isprintable() for character in told.replace("\n", ""))
    assert told.count("\n") == FAILED_CHECK.text().count("\n")
    told.encode()
    json.dumps(message.document(), allow_nan=False).encode()
