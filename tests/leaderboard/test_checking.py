"""`site check` finds what is wrong with a built site, and nothing in one that is sound."""

import random
from pathlib import Path

import pytest

from holdfast.leaderboard.checking import HEAVIEST, check_site
from holdfast.leaderboard.render import POLICY

HEAD = f'<meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{POLICY}">'
INDEX = f"""<!doctype html>
<html lang="en">
<head>{HEAD}<title>Home</title>
<link rel="stylesheet" href="static/site.css"><script src="static/site.js" defer></script>
</head>
<body>
<nav aria-label="Site"><ul><li><a href="entries/one.html#curve">One</a></li><li><a href="#top">Top</a></li></ul></nav>
<main id="main">
<h1 id="top">Home &amp; more</h1>
<p>Text with a <a href="https://example.org/a?b=c" rel="external">link</a>
and <a href="index.html#task=imdb">a state</a>.</p>
<h2>Table</h2>
<table><caption>Figures</caption>
<thead><tr><th scope="col">Name</th></tr></thead><tbody><tr><td>1</td></tr></tbody></table>
<form><label for="find">Find</label> <input id="find" type="search">
<label>Sort <select><option>Name</option></select></label></form>
<svg aria-hidden="true" viewBox="0 0 1 1"><defs><linearGradient id="grey"/></defs>
<path fill="url(#grey)" d="M0 0"/></svg>
<p><img src="images/dot.svg" alt="A dot"></p>
<script type="application/json" id="data">{{"a": 1}}</script>
<template><h2></h2></template>
</main>
</body>
</html>
"""
ONE = f"""<!doctype html>
<html lang="en"><head>{HEAD}<title>One</title><link rel="stylesheet" href="../static/site.css"></head>
<body><main><h1 id="curve">One</h1>
<p><a href="../index.html">Home</a><br><a href="../data/one.js">Data</a></p></main></body></html>
"""
FILES = {
    "index.html": INDEX,
    "entries/one.html": ONE,
    "static/site.css": "body { background: url(../images/dot.svg) }",
    "static/site.js": "(() => {})();",
    "images/dot.svg": '<svg xmlns="http://www.w3.org/2000/svg"><path d="M0 0"/></svg>',
    "data/one.js": 'holdfastData("one", {"a": [1]});\n',
    "api/index.json": '{"entries": []}',
    "feed.xml": "<feed/>",
}


def faults(folder: Path, **changed: str) -> list[str]:
    for name, content in (FILES | changed).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return [str(fault) for fault in check_site(folder)]


def test_a_sound_site_has_no_faults(tmp_path: Path) -> None:
    assert faults(tmp_path) == []


CASES = [
    # Links.
    ("One</a>", 'One</a> <a href="gone.html">x</a>', "the link 'gone.html' leads to a file that is not there"),
    ("#curve", "#gone", "the link 'entries/one.html#gone' leads to a place in entries/one.html that is not there"),
    ("#top", "#gone", "the link '#gone' leads to a place in index.html that is not there"),
    ("entries/one.html#curve", "../elsewhere.html", "the link '../elsewhere.html' leads out of the site"),
    ("entries/one.html#curve", "/index.html", "the link '/index.html' leads out of the site"),
    ("entries/one.html#curve", "entries/", "the link 'entries/' leads to a file that is not there"),
    ("https://example.org/a?b=c", "javascript:alert(1)", "does not begin with https:// or http://"),
    ("https://example.org/a?b=c", "https://example", "names no host"),
    ("https://example.org/a?b=c", "https://me:secret@example.org", "holds a user name or password"),
    ("https://example.org/a?b=c", "https://example.org:x/", "has a port that is no number"),
    ("https://example.org/a?b=c", "https://example.org/a b", "is not plain ASCII without spaces"),
    ("https://example.org/a?b=c", "https://[example.org", "cannot be read"),
    ("images/dot.svg", "https://example.org/dot.svg", "the page loads 'https://example.org/dot.svg' from elsewhere"),
    ("static/site.js", "//example.org/site.js", "the page loads '//example.org/site.js' from elsewhere"),
    ('alt="A dot"', 'alt="" srcset="images/dot.svg 1x, images/big.svg 2x"', "'images/big.svg' leads to a file"),
    ("url(#grey)", "url(#gray)", "the link '#gray' leads to a place in index.html that is not there"),
    # What runs, and what looks.
    ("<h2>", '<h2 style="color: red">', "<h2> has a style of its own"),
    ("</main>", "<style>p { color: red }</style></main>", "<style> must not stand in a page"),
    ("</main>", "<script>alert(1)</script></main>", "a script stands in the page"),
    ("<h2>", '<h2 onclick="alert(1)">', "<h2> has the inline handler onclick"),
    ("<path fill", '<path onload="x" fill', "<path> has the inline handler onload"),
    ("<path fill", "<script></script><path fill", "<script> must not stand in a drawing"),
    ("</main>", '<iframe src="index.html"></iframe></main>', "<iframe> must not stand in a page"),
    (HEAD, '<meta charset="utf-8">', "the page has no content security policy"),
    ("script-src 'self'", "script-src 'self' 'unsafe-inline'", "script-src allows 'unsafe-inline'"),
    ("default-src 'none'; ", "", "default-src is not 'none'"),
    # Markup.
    ("</h2>", "", "<h2> is not closed before </main>"),
    ("</main>", "</div></main>", "</div> closes nothing that is open"),
    ("<h2>", "<h2/><h2>", "<h2/> closes nothing in HTML"),
    ('id="find"', 'id="main"', "the id 'main' is given twice"),
    ('id="top"', 'id="a b"', "the id 'a b' of <h1> is empty or has a space"),
    ("<h2>Table</h2>", "<h2><font>Table</font></h2>", "<font> is no element of HTML, or an obsolete one"),
    ("<table>", '<table border="1">', "<table> must not have the attribute border"),
    ("<h2>", '<h2 class="a" class="b">', "<h2> has the attribute class twice"),
    ("&amp; more", "&more; less", "&more is no character"),
    ("&amp; more", "< more", "a < that opens nothing"),
    ("&amp; more", "&#x202e;", "&#x202e; stands for a hidden character"),
    ("&amp; more", "\u202e", "the hidden character U+202E stands in the page"),
    ("<p>Text", "<p><div>x</div>Text", "<div> ends the paragraph that it lies in"),
    ("<tbody>", "<tbody><td>2</td>", "<td> must not lie in <tbody>"),
    ("<ul>", "<ul><p>x</p>", "<p> must not lie directly in <ul>"),
    ('">link</a>', '"><button>x</button></a>', "<button> must not lie in <a>"),
    ("<!doctype html>\n", "", "the page does not begin with <!doctype html>"),
    ("</table>", "<caption>Late</caption></table>", "<caption> must be the first in its table"),
    # What a screen reader needs.
    (' lang="en"', "", "<html> does not name its language in lang"),
    ("<title>Home</title>", "", "the page has no <title>"),
    ("<title>Home</title>", "<title></title>", "<title> has no text"),
    ("h1", "h2", "the page has no <h1>"),
    ("h2", "h1", "the page has 2 <h1>"),
    ("h2", "h3", "<h3> skips a level after <h1>"),
    ("main", "section", "the page has no <main>"),
    (' alt="A dot"', "", "<img> has no alt"),
    (' scope="col"', "", "<th> does not say in scope what it heads"),
    ('for="find"', 'for="top"', "<input> has no label"),
    ('for="find"', 'for="gone"', "for names the id 'gone', and there is none"),
    (' aria-hidden="true"', "", "<svg> is neither hidden from screen readers nor an image with a name"),
    (">link<", "><", "<a> has no text"),
    # Data in a page.
    ('{"a": 1}', '{"a": }', "the data in <script> is not JSON"),
]


@pytest.mark.parametrize(("sound", "wrong", "said"), CASES, ids=[said for *_, said in CASES])
def test_what_is_wrong_with_a_page_is_found(tmp_path: Path, sound: str, wrong: str, said: str) -> None:
    assert sound in INDEX
    found = faults(tmp_path, **{"index.html": INDEX.replace(sound, wrong)})
    assert any(fault.startswith("index.html") and said in fault for fault in found), found


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("api/index.json", "{'entries': []}", "api/index.json:1: the file is not JSON"),
        ("api/index.json", '{"median": NaN}', "NaN is no JSON"),
        ("data/one.js", 'holdfastData("one", {"a": [1});', "data/one.js: the file is not a single call with JSON."),
        ("data/one.js", "x", "data/one.js: the file is not a single call with JSON."),
        ("feed.xml", "<feed>\n<entry></feed>", "feed.xml:2: the file is not well-formed XML"),
        ("feed.xml", '<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "feed.xml: the file declares a document type"),
        ("images/dot.svg", "<svg><script/></svg>", "images/dot.svg: <script> must not stand in a drawing."),
        ("images/dot.svg", '<svg onload="x"/>', "images/dot.svg: <svg> must not have onload='x'."),
        ("static/site.css", "a{}\nb { background: url(gone.png) }", "static/site.css:2: the address 'gone.png'"),
        ("static/site.css", "@import 'https://example.org/a.css';", "static/site.css:1: the address 'https://exam"),
    ],
)
def test_what_is_wrong_with_a_data_file_is_found(tmp_path: Path, name: str, content: str, said: str) -> None:
    (found,) = faults(tmp_path, **{name: content})
    assert found.startswith(said) or said in found


def test_a_heavy_page_is_found_with_what_it_loads(tmp_path: Path) -> None:
    noise = random.Random(0).randbytes(HEAVIEST).hex()
    (found,) = faults(tmp_path, **{"static/site.js": f"// {noise}"})
    assert found.startswith("index.html: the page takes ")
    assert found.endswith("and should take at most 250,000.")


def test_links_to_the_sites_own_address_must_lead_somewhere(tmp_path: Path) -> None:
    page = INDEX.replace("</head>", '<link rel="canonical" href="https://site.example/index.html"></head>')
    page = page.replace("https://example.org/a?b=c", "https://site.example/gone.html")
    (found,) = faults(tmp_path, **{"index.html": page})
    assert "'https://site.example/gone.html' leads to a file that is not there" in found


def test_a_folder_that_is_no_site_is_a_fault(tmp_path: Path) -> None:
    assert [str(fault) for fault in check_site(tmp_path)] == [
        "index.html: this folder is no site: it has no such file."
    ]
