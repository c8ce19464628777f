"""A right value of every key whose default does not show one, by the section that has it."""

SERVED = '{kind: openai, base_url: "http://localhost:8000/v1", model: NAME}'

EXAMPLES: dict[tuple[str, str], str] = {
    ("Experiment", "name"): "mine",
    ("Experiment", "owners"): '["team:gsr"]',
    ("Experiment", "ks"): "[2, 8]",
    ("Experiment", "benchmarks"): '{mine: {source: "file:mine.csv", samples: 8}}',
    ("Experiment", "families"): f"{{qwen2.5: {{7b: {{engine: {SERVED}}}}}}}",
    ("Experiment", "evaluation"): "{candidate_tokens: 6144}",
    ("Experiment", "aggregations"): "{pick: {kind: generative_selection}}",
    ("Experiment", "training_problems"): '{source: "hub:math-train", problems: 4000}',
    ("Experiment", "students"): "{qwen2.5-7b-gsr: {base: qwen2.5-7b, teacher: qwen2.5-72b, …}}",
    ("Experiment", "checks"): "{most_truncated: 0.1}",
    ("ProblemSet", "source"): '"file:mine.csv"',
    ("ProblemSet", "options"): "{problem: question}",
    ("ProblemSet", "problems"): "100",
    ("ProblemSet", "domain"): "math",
    ("ProblemSet", "worked_examples"): '[{problem: "1 + 1?", solution: "\\\\boxed{2}"}]',
    ("Benchmark", "samples"): "8",
    ("WorkedExample", "problem"): '"What is 1 + 1?"',
    ("WorkedExample", "solution"): '"1 + 1 = 2. The answer is \\\\boxed{2}."',
    ("Model", "source"): '"hf:ORG/NAME@main"',
    ("Model", "parameters"): "7.6e9",
    ("Model", "thinking_end"): '"</think>"',
    ("Model", "chat_template_kwargs"): "{enable_thinking: false}",
    ("Model", "max_new_tokens"): "4096",
    ("Model", "engine"): "{kind: transformers}",
    ("VLLM", "max_model_len"): "16384",
    ("Ray", "address"): '"ray://head:10001"',
    ("Ray", "max_model_len"): "16384",
    ("OpenAI", "base_url"): '"http://localhost:8000/v1"',
    ("OpenAI", "model"): "Qwen/Qwen2.5-7B-Instruct",
    ("OpenAI", "api_key_variable"): "OPENAI_API_KEY",
    ("OpenAI", "tokenizer"): '"hf:ORG/NAME@main"',
    ("OpenAI", "context"): "32768",
    ("OpenAI", "extra_body"): "{provider: {sort: price}}",
    ("OpenAI", "reasoning_effort"): "low",
    ("OpenAI", "price"): "{prompt: 0.15, generated: 0.6}",
    ("OpenAI", "most_tokens"): "1000000",
    ("OpenAI", "most_cost"): "5.0",
    ("Price", "prompt"): "0.15",
    ("Price", "generated"): "0.6",
    ("RecordedSamples", "path"): "imported/mine",
    ("RecordedScores", "path"): "scores.jsonl",
    ("RewardModelScores", "source"): '"hf:ORG/NAME@main"',
    ("PlannedRefinement", "groups_per_stratum"): "20",
    ("Synthesis", "model"): "qwen2.5-72b",
    ("Evaluation", "direct"): "{temperature: 0.7, max_new_tokens: 4096}",
    ("Evaluation", "refinement"): "{temperature: 0.7, max_new_tokens: 4096}",
    ("RolloutSettings", "top_k"): "20",
    ("RolloutSettings", "min_p"): "0.05",
    ("RolloutSettings", "repetition_penalty"): "1.05",
    ("RolloutSettings", "stop"): '["Problem:"]',
    ("RolloutSettings", "thinking_tokens"): "2048",
    ("Rollouts", "samples"): "4",
    ("Rollouts", "temperature"): "1.0",
    ("Rollouts", "max_new_tokens"): "4096",
    ("Student", "base"): "qwen2.5-7b",
    ("Student", "teacher"): "qwen2.5-72b",
    ("Student", "candidates_from"): "qwen2.5-7b",
    ("Student", "candidates"): "{samples: 6, temperature: 1.0, max_new_tokens: 4096}",
    ("Student", "refinements"): "{samples: 4, temperature: 0.7, max_new_tokens: 4096}",
    ("Student", "solutions"): "{samples: 2, temperature: 0.7, max_new_tokens: 4096}",
    ("Student", "most_rows"): "20000",
    ("Student", "lora"): "{rank: 16, alpha: 32}",
    ("Student", "training"): "{epochs: 2, learning_rate: 1.0e-4}",
}

SMALLEST = f"""\
name: mine
benchmarks:
  mine: {{source: "file:mine.csv", samples: 8}}
families:
  qwen2.5:
    7b: {{engine: {SERVED}}}
"""
