r"""The reward of a rollout is what its evaluation would say of its text, and nothing but its text earns one."""

import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assets.grading import graded_rows
from gsr_dagster.experiment.experiment import Model
from gsr_dagster.method.prompting.prompts import direct_messages, refinement_messages
from resources.engines.chat import Chat
from resources.grading import grader
from resources.grading.grader import Grader
from resources.grading.worker import Judgement
from resources.training.reinforcement.rewards import Rewards

THINKING_END = "</think>"
MOST_TOKENS = 64
PROBLEM = "State the final answer: 1 + 2 ="
HEDGES = [
    r"\boxed{1}, \boxed{2}, \boxed{3}",
    r"\boxed{1} or \boxed{2} or \boxed{3}",
    r"\boxed{\boxed{1}, \boxed{2}, \boxed{3}}",
    r"\boxed{1, 2, 3}",
    r"\boxed{3, 2}",
    r"\boxed{3 or 2}",
    r"\boxed{\text{1 or 3}}",
    r"\boxed{3 \text{ or maybe } 2}",
    r"\boxed{3 (or 2)}",
    r"\boxed{\{1, 2, 3\}}",
    r"\boxed{[1, 9]}",
    r"\boxed{1, \dots, 9}",
    r"\boxed{1/2/3}",
    r"\boxed{x \in \{1, 2, 3\}}",
    r"\boxed{\pm 3}",
    "The answer is 1, 2, 3.",
    "The answer is one of 1, 2, 3.",
    "The answer is 3 or 2.",
    "1 2 3",
]


@pytest.fixture(scope="module")
def tokenizer(tokenizer_folder):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tokenizer_folder)


class Worth:
    """Gives texts the rewards that a training gives them, from their tokens, and knows what their evaluation says."""

    def __init__(self, tokenizer, thinking_end: str | None = None, judge: Grader | None = None):
        self.tokenizer, self.thinking_end, self.judge = tokenizer, thinking_end, judge or Grader()
        self.rewards = Rewards(self.judge, Chat(tokenizer, {}, thinking_end, {tokenizer.eos_token_id}), "test")
        self.counted: dict[str, float] = {}

    def tokens(self, text: str, ends: bool = True) -> list[int]:
        return [*self.tokenizer.encode(text, add_special_tokens=False), *([self.tokenizer.eos_token_id] * ends)]

    def of(self, *texts: str, gold: str = "3", domain: str = "math", ends: bool = True) -> list[float | None]:
        return self.of_tokens([self.tokens(text, ends) for text in texts], [gold] * len(texts), domain)

    def of_tokens(self, tokens: list[list[int]], golds: list[str], domain: str = "math") -> list[float | None]:
        return self.rewards(
            completion_ids=tokens,
            problem_id=[f"p{gold}" for gold in golds],
            gold=golds,
            domain=[domain] * len(golds),
            log_metric=self.counted.__setitem__,
            # TRL hands over these too, and the right answer stands in them.
            prompts=[asked(gold) for gold in golds],
            completions=[rf"\boxed{{{gold}}}" for gold in golds],
        )

    def evaluated(self, golds: list[str], domain: str = "math") -> list[float]:
        """Return what an evaluation calls right of the texts that an engine would have stored."""
        problems = [{"problem_id": f"p{gold}", "answer": gold, "domain": domain} for gold in golds]
        samples = [
            {"problem_id": f"p{gold}", "text": row["text"]}
            for gold, row in zip(golds, self.rewards.graded, strict=True)
        ]
        model = Model.model_construct(thinking_end=self.thinking_end)
        return [float(row["correct"]) for row in graded_rows(self.judge, "test", problems, samples, model)]


def asked(gold: str) -> str:
    """A prompt with the right box in it, twice: in the problem, and in every candidate."""
    return json.dumps(refinement_messages(rf"{PROBLEM} \boxed{{{gold}}}", [rf"The answer is \boxed{{{gold}}}."] * 4))


@pytest.fixture(scope="module")
def worth(tokenizer) -> Worth:
    return Worth(tokenizer)


@pytest.fixture(scope="module")
def worth_after_thinking(tokenizer) -> Worth:
    return Worth(tokenizer, THINKING_END)


def test_a_right_box_is_worth_1_and_any_other_0(worth):
    assert worth.of(r"The answer is \boxed{3}.", r"The answer is \boxed{4}.", r"\boxed{\frac{6}{2}}") == [1, 0, 1]
    assert [row["verdict"] for row in worth.rewards.graded] == ["correct", "incorrect", "correct"]


@pytest.mark.parametrize("text", ["", " ", "\n\n", "I do not know.", r"\boxed{}", r"\boxed{answer}", r"\boxed{...}"])
def test_a_right_box_in_the_prompt_earns_nothing_where_the_text_has_no_answer(worth, text):
    assert worth.of(text) == [0]
    assert worth.rewards.graded[0]["answer"] is None
    assert worth.counted == {"no_answer": 1, "timed_out": 0}


@pytest.mark.parametrize("messages", [direct_messages(PROBLEM), refinement_messages(PROBLEM, ["So it is 2.", "4?"])])
def test_a_text_that_only_repeats_its_prompt_has_no_answer(worth, messages):
    assert worth.of("\n\n".join(message["content"] for message in messages)) == [0]


def test_of_candidates_that_a_text_repeats_the_last_box_counts_like_one_of_its_own(worth):
    prompt = refinement_messages(PROBLEM, [r"It is \boxed{3}.", r"It is \boxed{4}."])[-1]["content"]
    assert worth.of(prompt) == [0]
    assert worth.of(rf"{prompt} So \boxed{{3}}.") == [1]


@pytest.mark.parametrize("text", HEDGES)
def test_several_answers_are_not_a_right_one(worth, text):
    golds = [str(number) for number in range(1, 10)]
    assert worth.of_tokens([worth.tokens(text)] * 9, golds) == [0] * 9


@pytest.mark.parametrize(
    "text",
    [
        r"\boxed{1} \boxed{2} \boxed{3}",
        r"\boxed{1}. No, \boxed{2}. No, \boxed{3}",
        "The answer is 1, the answer is 2, the answer is 3",
        "The answer is 1. The answer is 2. The answer is 3.",
        "#### 1\n#### 2\n#### 3",
        r"\boxed{1 = 2 = 3}",
    ],
)
def test_of_answers_one_after_another_the_last_alone_counts(worth, text):
    assert worth.of_tokens([worth.tokens(text)] * 3, ["1", "2", "3"]) == [0, 0, 1]


def test_a_gold_that_is_a_list_wants_all_of_it_and_nothing_else(worth):
    right = [r"\boxed{1, 2}", r"\boxed{2} and \boxed{1}", r"\boxed{x = 1, x = 2}"]
    wrong = [r"\boxed{1}", r"\boxed{2}", r"\boxed{1, 2, 3}", r"\boxed{1, 2}. No, \boxed{2}", r"\boxed{3, 4}"]
    assert worth.of(*right, *wrong, gold="1, 2") == [1] * len(right) + [0] * len(wrong)


def test_a_choice_is_one_letter(worth):
    texts = [r"\boxed{B}", r"\boxed{A}", r"\boxed{A, B}", r"\boxed{A} or \boxed{B}", "The answer is (B).", "A B C D"]
    assert worth.of(*texts, gold="B", domain="multiple_choice") == [1, 0, 0, 0, 1, 0]


def test_an_answer_counts_after_the_thinking_alone(worth_after_thinking):
    right, thought = r"The answer is \boxed{3}.", r"<think>It is \boxed{3}."
    assert worth_after_thinking.of(f"<think></think>{right}", f"<think>Hm.</think>{right}", right) == [1, 1, 0]
    assert worth_after_thinking.of(thought, f"{thought}</think>", rf"{thought}</think>\boxed{{4}}") == [0, 0, 0]
    assert worth_after_thinking.of(f"<think></think>{right}</think>") == [0]


def test_a_thinking_end_that_is_a_special_token_is_read_as_in_an_evaluation(tokenizer_folder):
    """TRL's own texts are without it."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    tokenizer.add_special_tokens({"additional_special_tokens": ["<think>", THINKING_END]})
    worth = Worth(tokenizer, THINKING_END)
    assert worth.of(r"<think>\boxed{4}</think>\boxed{3}", r"<think>\boxed{3}</think>\boxed{4}", r"\boxed{3}") == [
        1,
        0,
        0,
    ]
    assert worth.evaluated(["3"] * 3) == [1, 0, 0]
    assert worth.rewards.graded[0]["text"] == r"\boxed{4}</think>\boxed{3}"


def test_a_text_that_the_token_limit_cut_off_counts_as_far_as_it_goes(worth):
    assert worth.of(r"The answer is \boxed{3", r"The answer is \boxed{3}", ends=False) == [0, 1]
    assert {row["finish_reason"] for row in worth.rewards.graded} == {"length"}
    assert worth.rewards.graded[1]["generated_tokens"] == len(worth.tokens(r"The answer is \boxed{3}", ends=False))


def test_what_stands_behind_the_end_of_a_turn_is_not_read(worth):
    tokens = [*worth.tokens(r"It is \boxed{4}."), *worth.tokens(r"It is \boxed{3}.")]
    assert worth.of_tokens([tokens], ["3"]) == [0]
    assert worth.rewards.graded[0]["text"] == r"It is \boxed{4}."
    assert worth.rewards.graded[0]["finish_reason"] == "stop"


def test_an_answer_that_the_grader_hangs_on_is_worth_nothing_and_takes_no_other_with_it(tokenizer, monkeypatch):
    monkeypatch.setattr(grader, "judge", hang_on_nine)
    hangs = Worth(tokenizer, judge=Grader(seconds=2))
    started = time.monotonic()
    assert hangs.of(r"\boxed{99}", r"\boxed{31}", r"\boxed{32}", gold="31", domain="hangs") == [0, 1, 0]
    assert [row["verdict"] for row in hangs.rewards.graded] == ["timed out", "correct", "incorrect"]
    assert hangs.counted == {"no_answer": 0, "timed_out": pytest.approx(1 / 3)}
    assert time.monotonic() - started < 30


def hang_on_nine(_grader: str, _domain: str, gold: str, answers: list[str], _wrong: list[str]) -> list[Judgement]:
    if "99" in answers:
        print(9**9**9**9)
    return [Judgement("correct" if answer == gold else "incorrect", answer) for answer in answers]


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        ("9" * 100_000, "unreadable"),
        ("{" * 2_000 + "4" + "}" * 2_000, "incorrect"),
        (r"9^{9^{9^{9^{9}}}}", "unreadable"),
        (r"\sum_{k=1}^{9999} k^{k}", "timed out"),
    ],
)
def test_a_huge_answer_is_worth_nothing(worth, answer, verdict):
    assert worth.of(rf"\boxed{{{answer}}}", r"\boxed{3}") == [0, 1]
    assert worth.rewards.graded[0]["verdict"] == verdict
    assert worth.counted["timed_out"] == (0.5 if verdict == "timed out" else 0)


PARTS = st.one_of(
    st.sampled_from(
        [
            *(r"\boxed{3}", r"\boxed{4}", r"\boxed{1, 2}", r"\boxed{", "}", r"\boxed{}", r"\fbox{3}", r"\frac{6}{2}"),
            *("The answer is ", "the answer is 3", "3", "4", "1, 2", ", ", " and ", " or ", ".", "\n", "#### 3", "$3$"),
            *("<think>", THINKING_END, "<|end|>", "<|assistant|>", "So ", "= ", "**3**", "Answer: B", r"\boxed{B}"),
        ]
    ),
    st.text(max_size=8),
)
TEXTS = st.lists(PARTS, max_size=10).map("".join)


@pytest.mark.parametrize("thinking_end", [None, THINKING_END], ids=["plain", "thinking"])
@settings(max_examples=40)
@given(
    rollouts=st.lists(st.tuples(TEXTS, st.sampled_from(["3", "1, 2", "4"]), st.booleans()), min_size=1, max_size=8),
    domain=st.sampled_from(["math", "multiple_choice"]),
)
def test_the_reward_of_any_text_is_what_its_evaluation_says(tokenizer, thinking_end, rollouts, domain):
    worth = Worth(tokenizer, thinking_end)
    golds = ["B" if domain == "multiple_choice" else gold for _, gold, _ in rollouts]
    tokens = [worth.tokens(text, ends)[:MOST_TOKENS] for text, _, ends in rollouts]
    rewards = worth.of_tokens(tokens, golds, domain)
    assert rewards == worth.evaluated(golds, domain)
    engine = Chat(tokenizer, {}, thinking_end, {tokenizer.eos_token_id})
    assert [(row["text"], row["generated_tokens"], row["finish_reason"] == "stop") for row in worth.rewards.graded] == [
        engine.finished(ids, ()) for ids in tokens
    ]
