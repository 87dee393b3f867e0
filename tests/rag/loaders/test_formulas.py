"""Formulas of pages: each once and in its place, as text that keeps its meaning on one line."""

from xml.etree import ElementTree

import pytest

from chatbot.rag.loaders.formulas import mathml, omml
from chatbot.rag.loaders.html import HtmlLoader

SQUARE = "<msup><mi>x</mi><mn>2</mn></msup>"
TEX = r"{\displaystyle x^{2}}"
HIDDEN = f"<span style='display: none;'><math alttext='{TEX}'><semantics><mrow><mstyle>{SQUARE}</mstyle></mrow>"
ANNOTATION = r"<annotation encoding='application/x-tex'>{\displaystyle x^{2}}</annotation></semantics></math></span>"
PICTURE = f'<img src="x.svg" class="mwe-math-fallback-image-inline" aria-hidden="true" alt="{TEX}">'
WIKIPEDIA = f"<span class='mwe-math-element'>{HIDDEN}{ANNOTATION}{PICTURE}</span>"
DRAWN = "<span class='katex-html' aria-hidden='true'><span>x<span><span>2</span></span></span></span>"
KATEX = f"<span class='katex'><span class='katex-mathml'><math>{SQUARE}</math></span>{DRAWN}</span>"
ASSISTIVE = f"<span class='MJX_Assistive_MathML' role='presentation'><math>{SQUARE}</math></span>"
MATHJAX = f"<span class='MathJax'><nobr aria-hidden='true'><span>x<span>2</span></span></nobr>{ASSISTIVE}</span>"


def load(page: str) -> str:
    return HtmlLoader().load(page.encode()).text


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (WIKIPEDIA, "x^2"),
        (f"{WIKIPEDIA}, {WIKIPEDIA}", "x^2, x^2"),
        (WIKIPEDIA.replace("span", "div"), "x^2"),
        (PICTURE, "x^{2}"),
        (f"<span style='display:none'><math></math></span>{PICTURE}", "x^{2}"),
        ("<img class='latex' alt='a &lt; b'>", "a < b"),
        (r"<img alt='\frac{a}{b}'>", r"\frac{a}{b}"),
        (KATEX, "x^2"),
        (f"{KATEX}{KATEX}", "x^2x^2"),
        (MATHJAX, "x^2"),
        (f"<m:math xmlns:m='x'>{SQUARE.replace('<m', '<m:m').replace('</m', '</m:m')}</m:math>", "x^2"),
        (f"<math>{SQUARE}</math><span aria-hidden='true'>, drawn</span>", "x^2"),
        (f"<math>{SQUARE}</math> and <span aria-hidden='true'>more</span>", "x^2 and more"),
        ("<math alttext='x^2'></math>", "x^2"),
    ],
)  # fmt: skip
def test_formula_is_read_once(formula: str, text: str) -> None:
    assert " ".join(load(f"<p>so {formula} holds").split()) == f"so {text} holds"


def test_hidden_formula_and_other_pictures_are_not_read() -> None:
    hidden = f"<span style='display:none'><math>{SQUARE}</math></span>"
    assert load(f"<p>so {hidden} it <img alt='A cat' class='aftermath'> holds") == "so it holds\n"


def test_formula_without_an_end_stays() -> None:
    assert load("<p>so <math><mi>x</mi></p><p>It holds.</p>") == "so x\n\nIt holds.\n"


def token(name: str) -> str:
    """Return each character of a formula as an element of its kind."""
    kinds = ["mn" if one.isdigit() else "mi" if one.isalpha() else "mo" for one in name]
    return "".join(f"<{kind}>{one}</{kind}>" for kind, one in zip(kinds, name, strict=True))


def row(name: str) -> str:
    return f"<mrow>{token(name)}</mrow>"


SUM = f"<munderover><mo>∑</mo>{row('i=1')}<mi>n</mi></munderover>"
CELLS = "<mtable><mtr><mtd><mn>1</mn></mtd><mtd><mn>2</mn></mtd></mtr><mtr><mtd><mn>3</mn></mtd><mtd><mn>4</mn></mtd></mtr></mtable>"
CASES = "<mtable><mtr><mtd><mi>x</mi><mo>,</mo></mtd><mtd><mtext>if&nbsp;</mtext>{}</mtd></mtr><mtr><mtd><mn>0</mn></mtd></mtr></mtable>".format(token("x>0"))  # fmt: skip
ALIGNED = "<mtable columnalign='right left'><mtr><mtd><mi>a</mi></mtd><mtd><mo>=</mo><mn>1</mn></mtd></mtr><mtr><mtd><mi>b</mi></mtd><mtd><mo>=</mo><mn>2</mn></mtd></mtr></mtable>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (f"<msqrt>{token('x+1')}</msqrt>", "√(x+1)"),
        ("<msqrt><mi>x</mi></msqrt><mi>y</mi>", "√x y"),
        ("<mroot><mi>x</mi><mn>3</mn></mroot>", "³√x"),
        (f"<mroot><mi>x</mi>{row('n+1')}</mroot>", "ⁿ⁺¹√x"),
        (f"<mroot><mi>x</mi>{row('2p')}</mroot>", "root_2p(x)"),
        ("<msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup>", "x_i^2"),
        (f"<msub><mi>a</mi>{row('i+1')}</msub>", "a_(i+1)"),
        (f"<msup>{row('a+b')}<mn>2</mn></msup>", "(a+b)^2"),
        (f"{token('(a+b')}<msup><mo>)</mo><mn>2</mn></msup>", "(a+b)^2"),
        ("<msup><mi>f</mi><mo>′</mo></msup>", "f′"),
        ("<msup><mn>90</mn><mo>∘</mo></msup>", "90°"),
        (f"<mfrac>{row('a+b')}<mi>c</mi></mfrac>", "(a+b)/c"),
        ("<mn>2</mn><mfrac><mn>1</mn><mn>2</mn></mfrac><mi>x</mi>", "2 1/2 x"),
        (f"<mo>(</mo><mfrac linethickness='0'><mi>n</mi>{row('k')}</mfrac><mo>)</mo>", "(n choose k)"),
        (f"{SUM}<msub><mi>x</mi><mi>i</mi></msub>", "∑_(i=1)^n x_i"),
        (f"<munder><mi>lim</mi>{row('x→0')}</munder><mi>f</mi>", "lim_(x→0) f"),
        ("<mover><mi>x</mi><mo>¯</mo></mover>", "x̄"),
        (f"<mover>{row('AB')}<mo>→</mo></mover>", "vec(AB)"),
        (f"<mover>{row('a+b')}<mi>n</mi></mover>", "(a+b)^n"),
        ("<munder><mi>x</mi><mo>_</mo></munder>", "x̲"),
        (CELLS, "[1 2; 3 4]"),
        (f"<mi>A</mi><mo>=</mo><mrow><mo>(</mo>{CELLS}<mo>)</mo></mrow>", "A=(1 2; 3 4)"),
        (f"<mfenced open='|' close='|'>{CELLS}</mfenced>", "|1 2; 3 4|"),
        (f"<mo>{{</mo>{CASES}", "{x, if x>0; 0"),
        (ALIGNED, "a=1; b=2"),
        (f"<mfenced><mi>a</mi><mi>b</mi>{row('c+1')}</mfenced>", "(a,b,c+1)"),
        ("<mfenced open='[' separators=';,'><mi>a</mi><mi>b</mi><mi>c</mi></mfenced>", "[a;b,c)"),
        ("<mn>2</mn><mi>sin</mi><mo>&#x2061;</mo><mi>x</mi><mo>&InvisibleTimes;</mo><mi>y</mi>", "2 sin xy"),
        ("<mi>sin</mi><mo>(</mo><mi>x</mi><mo>)</mo>", "sin(x)"),
        ("<mi>a</mi><mspace width='1em'/><mi>b</mi><mspace width='-.1em'/><mi>c</mi>", "a bc"),
        ("<mmultiscripts><mi>C</mi><mprescripts/><mn>6</mn><mn>14</mn></mmultiscripts>", "_6^14 C"),
        ("<menclose notation='radical'><mi>x</mi></menclose><mphantom><mi>y</mi></mphantom>", "√x"),
        ("<mi>a</mi><mo>&lt;</mo><mi>b</mi>", "a<b"),
        ("<msqrt><mi>x<mo>+</mo><mn>1</msqrt>", "√(x+1)"),
    ],
)  # fmt: skip
def test_formula_keeps_its_meaning_on_one_line(formula: str, text: str) -> None:
    assert load(f"<p>so <math>{formula}</math>.") == f"so {text}.\n"


def test_formula_that_is_nested_without_end_is_its_text() -> None:
    deep = "<mrow>" * 400 + "<mi>x</mi>" + "</mrow>" * 400
    assert mathml.read(f"<math>{deep}</math>") == "x"


def run(text: str) -> str:
    return f"<r><t>{text}</t></r>"


MATRIX = f"<m><mr><e>{run('1')}</e><e>{run('2')}</e></mr><mr><e>{run('3')}</e><e>{run('4')}</e></mr></m>"


@pytest.mark.parametrize(
    ("formula", "text"),
    [
        (f"<rad><deg>{run('3')}</deg><e>{run('x')}</e></rad>", "³√x"),
        (f"<rad><radPr><degHide m:val='1'/></radPr><deg>{run('3')}</deg><e>{run('x+1')}</e></rad>", "√(x+1)"),
        (f"<acc><e>{run('x')}</e></acc>", "x\u0302"),
        (f"<acc><accPr><chr m:val='\u20d7'/></accPr><e>{run('AB')}</e></acc>", "vec(AB)"),
        (f"<bar><barPr><pos m:val='top'/></barPr><e>{run('a+b')}</e></bar>", "overline(a+b)"),
        (f"<bar><e>{run('x')}</e></bar>", "x̲"),
        (f"<f><fPr><type m:val='noBar'/></fPr><num>{run('n')}</num><den>{run('k')}</den></f>", "n choose k"),
        (f"{run('2')}<f><num>{run('1')}</num><den>{run('2')}</den></f>{run('x')}", "2 1/2 x"),
        (f"<sSup><e>{run('f')}</e><sup>{run('′')}</sup></sSup>", "f′"),
        (f"<sPre><sub>{run('6')}</sub><sup>{run('14')}</sup><e>{run('C')}</e></sPre>", "_6^14 C"),
        (f"{run('A=')}<d><e>{MATRIX}</e></d>", "A=(1 2; 3 4)"),
        (f"<eqArr><e>{run('x&amp;=1')}</e><e>{run('y&amp;=2')}</e></eqArr>", "x=1; y=2"),
    ],
)  # fmt: skip
def test_formula_of_word_reads_as_one_of_a_page(formula: str, text: str) -> None:
    namespace = omml.M.strip("{}")
    root = ElementTree.fromstring(f'<oMath xmlns="{namespace}" xmlns:m="{namespace}">{formula}</oMath>')
    assert omml.read(root) == text
