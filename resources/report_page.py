"""report.html: one page that stands alone, with the scores, their intervals and the plots."""

from collections.abc import Mapping, Sequence

from gsr_dagster.experiment import Experiment
from gsr_dagster.method.intervals import Interval
from resources.artifacts import Row
from resources.plots import by_correct_plot, data_uri, gap_plot, training_curve

SCORES = {
    "pass_at_1": "pass@1",
    "maj_at_k": "maj@{k}",
    "self_ref_at_k": "selfRef@{k}",
    "pass_at_k": "pass@{k}",
}
# The scores in which a student is held against its base.
COMPARED = ("pass_at_1", "maj_at_k", "self_ref_at_k")

# What gap_diagnostics counts, as the report names it.
DIAGNOSTICS = {
    "copies": "copies a candidate",
    "keeps_an_answer": "answer of a candidate",
    "follows_majority": "follows the vote",
    "follows_majority_right": "… where it is right",
    "follows_majority_wrong": "… where it is wrong",
    "truncated": "cut off",
    "unclosed_thinking": "thinking never ends",
}

TEMPLATE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{{ experiment.name }}: Refinement Gap</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 72rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } caption { text-align: left; font-weight: 600; padding: .3rem 0 }
th, td { padding: .25rem .8rem; border-bottom: 1px solid #ddd; text-align: right; white-space: nowrap }
th:first-child, td:first-child, td.text, th.text { text-align: left }
th { white-space: normal; vertical-align: bottom; max-width: 8rem }
small { color: #666 } td small { display: block } img { max-width: 100% } .plots { display: flex; flex-wrap: wrap; gap: 1rem }
.clear { font-weight: 600 }
</style></head><body>
<h1>{{ experiment.name }}: does refining add to voting?</h1>
<p>A model samples candidates, then reads k = {{ experiment.k }} of them and writes a new answer.
The <b>Refinement Gap</b> is selfRef@{{ experiment.k }} − maj@{{ experiment.k }} on the same groups, in points;
a negative gap means that voting did better. Small figures are 95 % intervals (bootstrap over problems,
paired where two are compared); standard errors are cluster-robust over problems. An interval clear of 0 is set in bold.</p>
{% for fact in facts %}
<p><b>{{ fact.student }}</b> is {{ fact.base }} after LoRA training on {{ fact.rows }} rows of
{% if fact.teacher == fact.base %}its own: <b>in this experiment the teacher is the student's own base</b>, sampled more
often, of whose answers only the correct ones are kept (rejection sampling). It cannot teach what the base never gets
right. {% else %}its teacher {{ fact.teacher }}. {% endif %}
{{ fact.correct_refinements }} of {{ fact.teacher_refinements }} teacher refinements and {{ fact.correct_solutions }}
of {{ fact.teacher_solutions }} direct solutions were correct; {{ fact.kept_from_all_wrong_groups }} correct refinements
came from groups without one correct candidate.</p>
{% endfor %}
<table><caption>Scores, in percent</caption>
<tr><th>benchmark</th><th class="text">model</th><th>problems</th>
{% for label in scores.values() %}<th>{{ label.format(k=experiment.k) }}</th>{% endfor %}
<th>gap (points)</th><th>tokens</th></tr>
{% for row in gaps %}<tr><td>{{ row.benchmark }}</td>
<td class="text">{{ row.subject }}{{ " (student)" if row.lane == "student" }}</td><td>{{ row.problems }}</td>
{% for score in scores %}
<td>{{ percent(row[score]) }} <small>{{ between(row.intervals[score]) }}</small></td>{% endfor %}
<td{% if clear(row.intervals.refinement_gap) %} class="clear"{% endif %}>{{ points(row.refinement_gap) }}
<small>{{ between(row.intervals.refinement_gap) }}</small></td>
<td>{{ row.tokens_per_vote | round | int }} / {{ row.tokens_per_refined_group | round | int }}</td></tr>
{% endfor %}</table>
<p>{% for row in gaps if row.unscored_problems %}{{ row.benchmark }}, {{ row.subject }}:
{{ row.unscored_problems }} problems are not scored, since their gold cannot be read. {% endfor %}
"Tokens" are the mean generated tokens behind one answer: k candidates for a vote / k candidates and one refinement.</p>
<img alt="The Refinement Gap with its interval" src="{{ plot(gap_plot(gaps)) }}">
<table><caption>Where the gap comes from, in points of all groups: the three parts add up to the gap</caption>
<tr><th>benchmark</th><th class="text">model</th><th>rescued</th><th>rescued, all-wrong</th><th>broken</th>
<th>gap ± standard error</th><th>all-wrong groups</th><th>refined / fresh sample</th><th>maj at equal cost</th></tr>
{% for row in gaps %}<tr><td>{{ row.benchmark }}</td><td class="text">{{ row.subject }}</td>
<td>{{ points(row.parts.rescued) }}</td><td>{{ points(row.parts.rescued_all_wrong) }}</td>
<td>{{ points(0.0 - row.parts.broken) }}</td>
<td>{{ points(row.refinement_gap) }} ± {{ percent(row.intervals.refinement_gap.standard_error) }}</td>
<td>{{ row.groups - (row.by_correct | selectattr("n_correct") | sum(attribute="groups")) }}</td>
<td>{% if row.fresh_sample %}{{ percent(row.fresh_sample.self_ref) }} / {{ percent(row.fresh_sample.fresh) }}
<small>{{ between(row.fresh_sample.difference) }}</small>{% else %}–{% endif %}</td>
<td>{% if row.equal_cost.maj is not none %}{{ percent(row.equal_cost.maj) }}{% else %}–{% endif %}
<small>maj@{{ "%.1f" | format(row.equal_cost.samples) }}</small></td></tr>
{% endfor %}</table>
<p>Rescued: the vote was wrong, the refinement right, and a candidate was correct; all-wrong: the same where no candidate
was. Broken: the vote was right, the refinement wrong. "Fresh sample" is what one more direct sample would have got on
the all-wrong groups, from the other groups of their problems (with the interval of refined − fresh). "Equal cost" is the
vote over as many candidates as k candidates and one refinement cost in generated tokens. A dash: the pool holds too few
samples a problem to tell.</p>
{% if aggregations %}
<table><caption>Other aggregations of the same groups: scores in percent, differences in points</caption>
<tr><th>benchmark</th><th class="text">model</th><th class="text">aggregation</th><th>score</th>
<th>minus majority</th><th>tokens</th><th>scored tokens</th><th>choices not read</th></tr>
{% for row in aggregations %}{% for entry in row.aggregations %}<tr><td>{{ row.benchmark }}</td>
<td class="text">{{ row.subject }}</td><td class="text">{{ entry.aggregation }}</td>
<td>{{ percent(entry.score.estimate) }} <small>{{ between(entry.score) }}</small></td>
<td{% if entry.difference and clear(entry.difference) %} class="clear"{% endif %}>
{% if entry.difference %}{{ points(entry.difference.estimate) }} <small>{{ between(entry.difference) }}</small>
{% else %}–{% endif %}</td><td>{{ entry.tokens | round | int }}</td><td>{{ entry.scored_tokens | round | int }}</td>
<td>{{ entry.unread }}</td></tr>
{% endfor %}{% endfor %}</table>
<p>"Tokens" are the mean generated tokens behind one answer, its k candidates included; "scored tokens" what a reward
model read for it. A choice that names no candidate counts as wrong.</p>
{% for row in aggregations %}{% for name, change in row.order.items() %}
<p>{{ row.benchmark }}, {{ row.subject }}, {{ name }}: refined again, {{ percent(change.other_order.estimate) }} %
{{ between(change.other_order) }} of the groups change their answer with the candidates in another order, and
{{ percent(change.same_order.estimate) }} % {{ between(change.same_order) }} with them in the same; the order makes
{{ points(change.difference.estimate) }} points {{ between(change.difference) }}.</p>
{% endfor %}{% for name, strata in row.planned.items() %}
<table><caption>{{ row.benchmark }}, {{ row.subject }}, {{ name }}: groups built by their number of correct candidates
</caption><tr><th>correct of {{ experiment.k }}</th><th>groups</th><th>problems</th><th>score</th></tr>
{% for stratum in strata %}<tr><td>{{ stratum.n_correct }}</td><td>{{ stratum.groups }}</td>
<td>{{ stratum.problems }}</td><td>{{ percent(stratum.score.estimate) }}
<small>{{ between(stratum.score) }}</small></td></tr>
{% endfor %}</table>
{% endfor %}{% endfor %}
{% endif %}
<table><caption>What the refiner does with the candidates it is shown, in percent of its refinements</caption>
<tr><th>benchmark</th><th class="text">model</th>
{% for label in diagnostics.values() %}<th>{{ label }}</th>{% endfor %}</tr>
{% for row in gaps %}<tr><td>{{ row.benchmark }}</td><td class="text">{{ row.subject }}</td>
{% for name in diagnostics %}<td>{% if row.diagnostics[name] %}{{ percent(row.diagnostics[name].estimate) }}
<small>{{ between(row.diagnostics[name]) }}</small>{% else %}–{% endif %}</td>{% endfor %}</tr>
{% endfor %}</table>
<p>A copy shares an unbroken run of words as long as 0.9 of the longer text with a candidate. The vote is followed, or
not, in groups whose vote has one winner.</p>
{% if comparison %}
<table><caption>Student minus base, paired over the same problems, in points</caption>
<tr><th>benchmark</th><th class="text">student</th>
{% for score in compared %}<th>{{ scores[score].format(k=experiment.k) }}</th>{% endfor %}</tr>
{% for row in comparison %}<tr><td>{{ row.benchmark }}</td><td class="text">{{ row.student }}</td>
{% for score in compared %}
<td{% if clear(row[score]) %} class="clear"{% endif %}>{{ points(row[score].estimate) }}
<small>{{ between(row[score]) }}</small></td>{% endfor %}</tr>
{% endfor %}</table>
{% endif %}
<h2>By the number of correct candidates</h2>
<p>With no correct candidate a vote scores 0 by construction: what refining gets there is new.</p>
<div class="plots">{% for row in gaps %}
<img width="420" alt="{{ row.benchmark }}, {{ row.subject }}" src="{{ plot(by_correct_plot(row)) }}">
{% endfor %}</div>
{% if facts %}<h2>Training</h2>
{% for fact in facts %}<p>{{ fact.student }}</p>
<img width="620" alt="Loss and learning rate of {{ fact.student }}" src="{{ plot(training_curve(fact.history)) }}">
{% endfor %}{% endif %}
</body></html>
"""


def render_report(
    experiment: Experiment,
    gaps: Sequence[Row],
    comparison: Sequence[Row],
    facts: Sequence[Row],
    aggregations: Sequence[Row],
) -> str:
    """Return the report as HTML; rows as assets/reports.py makes them. All text is escaped."""
    import jinja2

    environment = jinja2.Environment(autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined)
    environment.globals |= {
        "percent": lambda value: f"{100 * value:.1f}",
        "points": points,
        "between": between,
        "clear": lambda interval: Interval(**interval).clear_of_zero,
        "plot": data_uri,
        "gap_plot": gap_plot,
        "by_correct_plot": by_correct_plot,
        "training_curve": training_curve,
    }
    template = environment.from_string(TEMPLATE)
    return template.render(
        experiment=experiment,
        gaps=gaps,
        comparison=comparison,
        facts=facts,
        aggregations=aggregations,
        scores=SCORES,
        compared=COMPARED,
        diagnostics=DIAGNOSTICS,
    )


def points(value: float) -> str:
    """Return a difference of fractions in points, with its sign."""
    return f"{100 * value:+.1f}".replace("-", "−")


def between(interval: Mapping[str, float]) -> str:
    """Return an interval of fractions in points, from its ``low`` and ``high``."""
    return f"[{100 * interval['low']:.1f}, {100 * interval['high']:.1f}]".replace("-", "−")
