r"""Strings that pages, notebooks, spreadsheets and parsers of the field stumble over, by name.

What goes out: ``CORPUS``, and what each way out of a page makes of a text on purpose:

==================  ==============================================================================
running text        nothing: what a reader copies is the original, special tokens as ``visible``
tokens in lists     ``visible``: ``␣`` at the ends, ``↵``, ``⇥``; code points of what shows nothing
words for the ear   ``spoken``: trimmed; a blank has a name
headings            ``quoted``: no white space beside the quotation marks
SVG                 ``in_xml``: what XML 1.0 cannot hold becomes U+FFFD, CR a line break
CSV                 ``in_csv``: ``'`` before what a spreadsheet would run; lone surrogates: U+FFFD
HTML without script ``in_html``: NUL, lone surrogates become U+FFFD; CR a line break
==================  ==============================================================================

Guarantees: standard library only; these functions say what is wanted and share no code with the
package. Handlers are free of quotes, which would defuse them inside JSON, and call ``liwFired``.
"""

from __future__ import annotations

import re
import unicodedata

LONG = "antidisestablishmentarianism" * 3572  # 100,016 characters without a place to break

_RUNS = {
    "script": "<script>liwFired()</script>",
    "script in capitals": "<SCRIPT>liwFired()</SCRIPT>",
    "script in mixed case": "<ScRiPt >liwFired()</sCrIpT\t>",
    "script over lines": "<script\n>liwFired()\n</script\n>",
    "script behind a slash": "<script/x>liwFired()</script/x>",
    "script of svg": "<svg><script>liwFired()</script></svg>",
    "script by address": "<script src=data:text/javascript,liwFired()></script>",
    "module by address": "<script type=module src=data:text/javascript,liwFired()></script>",
    "end of script": "</script><img src=x onerror=liwFired()>",
    "end of script, open": "</script",
    "end of script, blank": "</script ><svg onload=liwFired()>",
    "end of script, feed": "</script\x0c><img src=x onerror=liwFired()>",
    "script twice": "<!--<script>",
    "comment": "<!--",
    "end of comment": "--><img src=x onerror=liwFired()><!--",
    "odd end of comment": "--!><img src=x onerror=liwFired()>",
    "CDATA": "<![CDATA[<img src=x onerror=liwFired()>",
    "end of CDATA": "]]><img src=x onerror=liwFired()>",
    "doctype": "<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]>&e;",
    "instruction": "<?xml-stylesheet href=javascript:liwFired()?>",
    "image": "<img src=x onerror=liwFired()>",
    "image in an attribute": '"><img src=x onerror=liwFired()>',
    "image in a quoted attribute": "'><img src=x onerror=liwFired()>",
    "image behind a tick": "`><img src=x onerror=liwFired()>",
    "image without blanks": "<img/src=x/onerror=liwFired()>",
    "svg": "<svg onload=liwFired()>",
    "svg animation": "<svg><animate onbegin=liwFired() attributeName=x dur=1s>",
    "math": "<math><mtext><img src=x onerror=liwFired()>",
    "details": "<details open ontoggle=liwFired()>",
    "focus": "<input autofocus onfocus=liwFired()>",
    "style with a handler": "<style onload=liwFired()></style>",
    "video": "<video><source onerror=liwFired()>",
    "body": "<body onload=liwFired()>",
    "marquee": "<marquee onstart=liwFired()>",
    "frame": "<iframe srcdoc=<script>parent.liwFired()</script>>",
    "frame by address": "<iframe src=javascript:parent.liwFired()>",
    "object": "<object data=javascript:liwFired()>",
    "embed": "<embed src=javascript:liwFired()>",
    "link": "<a href=javascript:liwFired() id=liwLink>x</a>",
    "refresh": "<meta http-equiv=refresh content=0;url=javascript:liwFired()>",
    "base": "<base href=//evil.invalid/>",
    "form": "<form action=javascript:liwFired()><button>x",
    "template": "<template><img src=x onerror=liwFired()></template>",
    "noscript": "</noscript><img src=x onerror=liwFired()>",
    "title": "</title><img src=x onerror=liwFired()>",
    "textarea": "</textarea><img src=x onerror=liwFired()>",
    "table": "</td></tr></table><img src=x onerror=liwFired()>",
    "namespaces": "<svg></p><style><a id=</style><img src=x onerror=liwFired()>",
    "address": "javascript:liwFired()",
    "address with a tab": "java\tscript:liwFired()",
    "address of data": "data:text/html,<script>liwFired()</script>",
    "attribute": " onmouseover=liwFired() autofocus tabindex=1 ",
    "call": "liwFired()",
    "statement": "');liwFired();('",
    "template literal": "${liwFired()}",
    "double braces": "{{constructor.constructor(`liwFired()`)()}}",
    "server page": "<%=liwFired()%>",
    "jinja": "{% raw %}{{ 7*7 }}",
}
_STYLE = {
    "end of style": "</style><img src=x onerror=liwFired()>",
    "style": "<style>*{display:none!important}</style>",
    "address in style": "x;background:url(javascript:liwFired())",
    "expression": "expression(liwFired())",
    "import": "}@import url(//evil.invalid/x.css);{",
}
_ENTITIES = {
    "entity": "&lt;script&gt;liwFired()&lt;/script&gt;",
    "entity by number": "&#x3C;img src=x onerror=liwFired()&#x3E;",
    "entity of an entity": "&amp;amp;lt;",
    "entity without end": "&ltimg src=x onerror=liwFired()&gt",
    "entity of nothing": "&#0;&#xD800;&#x110000;&notit;",
    "escapes": r"\u003cscript\u003e \x3c \074 %3Cscript%3E",
    "backslash": "\\",
    "quotes": '"\'`“”«»\\"',
}
_NAMES = {
    name: name
    for name in (
        *("__proto__", "constructor", "toString", "hasOwnProperty", "prototype", "length"),
        *("NaN", "null", "undefined", "[object Object]", "-0", "1e999", "Infinity", "true"),
    )
}
_CHARACTERS = {
    "NUL": "a\x00b",
    "NUL alone": "\x00",
    "controls": "".join(map(chr, (*range(1, 9), 11, 12, *range(14, 32)))),
    "later controls": "a" + "".join(map(chr, range(0x7F, 0xA0))) + "b",
    "DEL": "a\x7f\x7fb",
    "ANSI": "\x1b[31mred\x1b[0m\x1b]0;title\x07\x1b[2J",
    "line ends": "a\r\nb\rc\nd\n\re\tf\x0bg\x0ch\x85i",
    "CR": "\r",
    "tabs": "\t\ta\t",
    "blanks": "  a   b  ",
    "blank": " ",
    "odd blanks": "\xa0\u1680\u2003\u202f\u205f\u3000",
    "line separators": "a\u2028b\u2029c",
    "line separator": "\u2028",
    "right to left": "\u202eevil\u202c",
    "right to left, open": "abc\u202etxt.exe",
    "isolates": "\u2066a\u2067b\u2068c\u2069",
    "isolates, open": "\u2067\u2066\u2068",
    "isolates, closed": "\u2069\u2069\u202c a",
    "Arabic and Hebrew": "שלום, abc مرحبا 123",
    "zero width": "a\u200bb\u200cc\u200dd\u2060e\ufefff\u00adg",
    "zero width alone": "\u200b\u200d\u2060",
    "byte order mark": "\ufeffa",
    "tower": "Z" + "".join(map(chr, range(0x300, 0x370))) * 3 + "algo",
    "combining alone": "\u0301\u0489\u20dd",
    "surrogate, high": "a\ud800b",
    "surrogate, low": "a\udc00b",
    "surrogates of bytes": "\udc80\udcff",
    "surrogates, swapped": "\udc00\ud800",
    "surrogate, last": "x\udbff",
    "astral": "𝒳𐍈𠜎\U0010fffd",
    "family": "👨\u200d👩\u200d👧\u200d👦🏳️\u200d🌈👩🏽\u200d💻🇩🇪",
    "no characters": "\ufffe\uffff\U0001ffff",
    "escape of the wire": "\ufdd0\ue000\ufdd0\ufdd0\ufdd1",
    "replacement": "\ufffd",
    "private": "\ue000\uf8ff\U000f0000",
    "tags": "\U000e0001\U000e0041\U000e007f",
    "variation": "a\ufe0f\U000e0100",
    "ligatures and case": "ﬁ ß İ ı ǅ ΣΑΣ K",
    "Chinese": "今天天气很好龘，去公园吧。",
    "Thai and Devanagari": "ที่ नि क्षि",
}
_FORMATS = {
    "formula": "=cmd|' /C calc'!A0",
    "formula by plus": "+1+1",
    "formula by minus": "-1+1",
    "formula by at": "@SUM(1+1)",
    "formula behind a tab": "\t=1+1",
    "formula behind a quote": '","=1+1',
    "maths": "$x^2$ \\(x\\) $$\\sum$$",
    "Markdown": "![x](x) [a](javascript:liwFired()) **b** `c` <b>d</b>",
    "percent": "%s %d %n %(name)s %%",
    "braces": "{0} {name} {} {{}} {0.__class__}",
    "shell": "`id` $(id) ${HOME} ; rm -rf / # & | >",
    "path": "../../../../etc/passwd\\..\\C:\\x",
    "SQL": "'; DROP TABLE tokens; --",
    "JSON": '{"a":[1,null,"\\u0000"]}',
    "URL": "https://evil.invalid/?a=b&c=<d>#e",
}
_SIZES = {
    "100,000 letters": LONG,
    "many blanks": "a" + " " * 20_000 + "b",
    "many line breaks": "a" + "\n" * 200 + "b",
}
CORPUS: dict[str, str] = (
    _RUNS | _STYLE | _ENTITIES | _NAMES | _CHARACTERS | _FORMATS | _SIZES | {"empty": ""}
)
LIVE = tuple(_RUNS)  # many of these run where they are taken for markup

# ── What is wanted of each way out ───────────────────────────────────────────

# What ECMAScript calls white space; Python's `strip` takes other characters.
_BLANK = "\t\n\x0b\x0c\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_NAMED = {"\r\n": "↵", "\n": "↵", "\r": "↵", "\u2028": "↵", "\u2029": "↵", "\t": "⇥"}
_LEAD, _TAIL = re.compile(f"^[{_BLANK}]+"), re.compile(f"[{_BLANK}]+$")


def units(text: str) -> bytes:
    """Return a text as a browser counts it, so that surrogates can be compared."""
    return text.encode("utf-16-le", "surrogatepass")


def trimmed(text: str) -> str:
    """Return a text as JavaScript trims it."""
    text = _LEAD.sub("", text)
    stop = len(text)
    while stop and _TAIL.match(text[stop - 1]):
        stop -= 1
    return text[:stop]


def visible(text: str) -> str:
    """Return a token as lists and tables show it."""
    if not text:
        return "∅"
    pairs = text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    shown = re.sub("\r\n|[\n\r\u2028\u2029\t]", lambda m: _NAMED[m[0]], pairs)
    left = len(shown) - len(shown.lstrip(" "))
    right = len(shown) - len(shown.rstrip(" ")) if left < len(shown) else 0
    shown = "␣" * left + shown[left : len(shown) - right] + "␣" * right
    if any(unicodedata.category(c)[0] != "C" and not re.match(f"[{_BLANK}]", c) for c in shown):
        return shown
    return " ".join(f"U+{ord(c):04X}" for c in pairs)


def spoken(text: str) -> str:
    """Return a token within a sentence of a screen reader."""
    if trimmed(text):
        return trimmed(text)
    return "line break" if "\n" in text else "space" if text else "empty token"


def quoted(text: str, *, always: bool = False) -> str:
    """Return what is explained as a heading names it; a target may bring its own marks."""
    shown = text if not always and re.search('["“”]', text) else f"“{text}”"
    shown = re.sub(f"“[{_BLANK}]+(?=[^{_BLANK}”])", "“", shown)
    return re.sub(f"(?<=[^{_BLANK}“])[{_BLANK}]+”", "”", shown)


def well_formed(text: str) -> str:
    """Return a text with lone surrogates replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def in_xml(text: str) -> str:
    """Return a text as a reader of an SVG gets it."""
    allowed = "\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff"
    return re.sub("\r\n?", "\n", re.sub(f"[^{allowed}]", "\ufffd", well_formed(text)))


def in_csv(text: str) -> str:
    """Return a text as a cell holds it."""
    return well_formed(f"'{text}" if re.match("[=+\\-@\t\r]", text) else text)


def in_html(text: str) -> str:
    """Return a text that was part of a page from the beginning, as its parser read it."""
    return re.sub("\r\n?", "\n", well_formed(text)).replace("\x00", "\ufffd")
