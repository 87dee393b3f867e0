"""The filter's output through five Markdown renderers: nothing fetches, runs or links to another scheme than allowed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

from chatbot.rag.output_filter.answer_filter import MAX_HELD_CHARACTERS, AnswerFilter
from chatbot.rag.pipeline import close_fence
from tests.support.processes import ROOT

pytestmark = pytest.mark.slow

SCRIPT = ROOT / "tests/node/renderers.mjs"
RENDERERS = {"markdown-it", "marked", "commonmark", "micromark", "showdown"}
Render = Callable[[str], dict[str, list[str]]]


@pytest.fixture(scope="module")
def render() -> Iterator[Render]:
    assert (SCRIPT.parent / "node_modules/showdown").exists(), "run `make test`, which installs it"
    command = [str(Path(sys.executable).with_name("node")), str(SCRIPT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests = process.stdin
        replies = process.stdout

        def findings(text: str) -> dict[str, list[str]]:
            requests.write(f"{json.dumps(text)}\n")
            requests.flush()
            return json.loads(replies.readline())

        yield findings
        requests.close()


def filtered(*pieces: str, passages: int = 3) -> str:
    answer = AnswerFilter(passages)
    return "".join([*map(answer.feed, pieces), answer.end()])


def test_renderers_find_what_is_dangerous_without_the_filter(render: Render) -> None:
    for text in ("![a](http://e/i.png)", "<img src='x'>", "[x](javascript:a)", "<a href='data:text/html,x'>y</a>"):
        assert set(render(text)) == RENDERERS
    assert set(render("```\n![a](http://e/i.png)\n")) == {"showdown"}
    assert "showdown" in render('```x"onclick=alert(1)\ny\n```')


REFUSED = [
    "[x](javascript:a)", "[x](<javascript:a>)", "[x](javascript:a 'title')", "[x](java&#115;cript:a)", "[x](javascript&colon;a)",
    "[x](javascript&#x3A;a)", "[x](java\tscript:a)", "[x](<java\tscript:a>)", "[x](<java\nscript:a>)", "[x](JaVaScRiPt:a)", "[x](data:text/html,x)",
    "[x](vbscript:a)", "[x](file:///etc)", "[x](tel:1)", "[x](\n  javascript:a)", "> [x](\n> javascript:a)", "[x] (javascript:a)",
    "[x](javascript\\:a)", "[x](javascript%3Aa)", "[x](java[9]script:a)", "[x](java<img src=/>script:a)", "[x]<img src=q>(javascript:a)",
    "[![a](http://e/i)](javascript:a)", "[x](&#x6A;avascript:a)", "[x](\x01javascript:a)", "[x](\u00a0javascript:a)", "<javascript:a>",
    "<javascript:a@b>", "<tel:1>", "<a href='javascript:a'>x</a>", '<a href="java&#115;cript:a">x</a>', "<a href='java\tscript:a'>x</a>",
    "<a href='java\nscript:a'>x</a>", "<a title=' href=\"' href=\"javascript:x\">q</a>", "<a href='#' href='javascript:a'>x</a>",
    "<a href=javascript:a>x</a>", "<form action='javascript:a'><button formaction='javascript:a'>b</button></form>",
    "<svg><a xlink:href='javascript:a'>x</a></svg>", "<img srcset='//e 1x'>", "<video poster=//e>", "[r]: javascript:a\n\n[x][r] [r]",
    "> " * 40 + "[r]: javascript:a\n\n[x][r]", "<div></div>[r]: javascript:a\n\n[x][r]", "<java[x](javascript:a)-->",
    "http://e/x``<javascript:a>``", "[9](<a href='javascript:a'>script:a](http://e/x)", "[x](<img/>javascript:a)", "([\n`` `](javascript:a)``",
]  # fmt: skip


@pytest.mark.parametrize("text", REFUSED)
def test_no_link_leads_to_another_scheme(render: Render, text: str) -> None:
    assert render(filtered(text)) == {}
    assert filtered(*text) == filtered(text)


@pytest.mark.parametrize(
    "text",
    [
        "[x](http://e/a:b)", "[x](HTTPS://e)", "[x](mailto:a@e.example)", "[x](<https://e/a> 'it: so')", "[x](/a:b)", "[x](page.html#a:b)",
        "[x](#a)", "[x](?q=a:b)", "[x](foo%20bar.md)", "[x](a 'it: so')", "<https://e>", "<mailto:a@e.example>", "<a@e.example>",
        "<a href='/a?b=c:d' title='t'>x</a>", "Rome [1] (population: 2.8m)", "a[0] (12:30)", "std::vector, key:value", "f(x: int)",
        "[x] [javascript:a]", "javascript: a language",
    ],
)  # fmt: skip
def test_other_links_and_colons_stay(render: Render, text: str) -> None:
    assert filtered(text) == text
    assert render(text) == {}


def test_refused_link_becomes_a_fragment() -> None:
    assert filtered("[x](javascript:a) [y](<data:b>)") == "[x](#javascript:a) [y](<#data:b>)"


CODE = "![a](http://e/i.png)\n<img src=x>\n[x](javascript:a)\n[r]: javascript:a"


@pytest.mark.parametrize("info", ["html", "", " c++", "objective-c", "{.html}"])
@pytest.mark.parametrize("fence", ["```", "````", "~~~"])
def test_code_in_a_certain_fence_stays_and_an_open_one_is_closed(render: Render, fence: str, info: str) -> None:
    text = f"So:\n\n{fence}{info}\n{CODE}"
    assert filtered(text) == filtered(*text) == f"{text}\n{fence}"
    assert filtered(f"{text}\n{fence}\nSo.") == f"{text}\n{fence}\nSo."
    assert filtered(f"{text}\n") == filtered(f"{text}\n{fence}") == f"{text}\n{fence}"
    assert render(f"{text}\n{fence}") == {}


@pytest.mark.parametrize(
    "text",
    [
        f"```html title=x\n{CODE}\n```", f"- ```\n  {CODE}\n  ```", f"```\n```\n{CODE}\n```", f"```\na\n```x\n{CODE}\n```", f"~~~`\n{CODE}",
        f"```a b\n\n```\n\n```\n{CODE}", '```x"onclick=alert(1)\ny\n```', '```a b\n\n```x"onclick=alert(1)\ny\n```',
        f"[\n````\n\\[r]: javascript:a\n{CODE}\n", "[r]: javascript:a\n~~~\n```a b\n~~~[r]: javascript:a", "``<svg><code>``</code>",
        "\n   ```\n    [x](javascript:a)\n![a](http://e/i.png)\n\n    ```\n",
        f'```{"a" * 300}"onclick=alert(1)\ny\n```\n{CODE}', f"    ```\n<div></div>{CODE}",
    ],
)  # fmt: skip
def test_code_in_a_fence_that_some_renderers_do_not_see_is_harmless(render: Render, text: str) -> None:
    assert render(filtered(text)) == {}
    assert filtered(*text) == filtered(text)


def test_code_of_an_answer_that_broke_off_is_closed(render: Render) -> None:
    for text in (f"```html\n{CODE}", f"So:\n~~~\n{CODE}\n"):
        assert render(close_fence(text)) == {}
        assert close_fence(text).startswith(text)
    for text in ("", "So `x`.", "```\na\n```\nSo.", "```\na\n```"):
        assert close_fence(text) == text


FRAGMENTS = [
    "`", "``", "```", "~~~", "![", "!", "[", "]", "(", ")", "](http://e/x)", "![a](http://e/i.png)", "![a][r]", "[r]: http://e/x", "[x][r]", "[r]",
    "[r]: javascript:a", "[x](javascript:a)", "](javascript:a)", "(javascript:a)", "javascript:a", "[x](<javascript:a>)", "<javascript:a>", "(<",
    "java", "script:a", "&#58;", "&colon;", "\n", "\n\n", " ", "    ", "- ", "1. ", "> ", "\\", "<", "<img src=http://e/x>", "<img ", 'src="http://e"',
    ">", "<b>", "<div>", "</div>", "<!--", "-->", "word", "[1]", "[9]", "【9】", ":", "|", "\n|-|-|\n", "'", '"', "=", "\n```\n", "\n`` `", "<svg>",
    "<iframe src=//e>", "<b x=y>", "\t", "<https://e>", "<a href='javascript:a'>", "<a href='http://e'>", "</a>", "<pre>", "\n    ```\n", "\n  ```py\n",
    "\n   ```\n", "\n~~~\n", "\n````\n", "\n```html\n", "\n```a b\n", "<code>", "</code>", "# ", "---", "* ", "_", "**", "a" * 190, "x](javascript:b)",
    "\n![a](http://e/i.png)\n", "\n[x](javascript:a)\n", "\n<img src=x>\n", 'x"onclick=alert(1)\n',
]  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_no_composition_is_dangerous_however_it_is_cut(render: Render, seed: int) -> None:
    random = Random(seed)
    for _ in range(500):
        text = "".join(random.choices(FRAGMENTS, k=random.randint(2, 22)))
        passages = random.choice([0, 3])
        whole = filtered(text, passages=passages)
        assert render(whole) == {}, text
        answer = AnswerFilter(passages)
        passed = ""
        rest = text
        while rest:
            size = random.randint(1, 40)
            passed += answer.feed(rest[:size])
            rest = rest[size:]
            assert answer.held <= MAX_HELD_CHARACTERS
        assert passed + answer.end() == whole, text
