"""What HTML allows [the HTML Living Standard, as far as a static site needs it]: elements, attributes, and nesting.

What is obsolete, and what this site must not use (style, inline handlers), is left out and so not allowed.
"""


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


VOID = _words("area br col hr img input link meta source wbr")
"""Elements without content or end tag."""

_EVERYWHERE = _words("class dir draggable hidden id inert lang popover role spellcheck tabindex title translate")

_OWN = {
    "a": "download href hreflang rel target type",
    "area": "alt coords href shape",
    "blockquote": "cite",
    "button": "disabled form name popovertarget popovertargetaction type value",
    "col": "span",
    "colgroup": "span",
    "data": "value",
    "details": "name open",
    "dialog": "open",
    "fieldset": "disabled form name",
    "form": "autocomplete method name novalidate",
    "html": "xmlns",
    "img": "alt decoding fetchpriority height loading sizes src srcset width",
    "input": "accept autocomplete checked disabled form inputmode list max maxlength min minlength name pattern "
    "placeholder readonly required size step type value",
    "label": "for",
    "li": "value",
    "link": "as crossorigin href hreflang integrity media rel sizes type",
    "meta": "charset content http-equiv media name property",
    "meter": "high low max min optimum value",
    "ol": "reversed start type",
    "optgroup": "disabled label",
    "option": "disabled label selected value",
    "output": "for form name",
    "progress": "max value",
    "q": "cite",
    "script": "async defer integrity src type",
    "select": "autocomplete disabled form multiple name required size",
    "source": "height media sizes src srcset type width",
    "td": "colspan headers rowspan",
    "textarea": "cols disabled form maxlength name placeholder readonly required rows wrap",
    "th": "abbr colspan headers rowspan scope",
    "time": "datetime",
    "del": "cite datetime",
    "ins": "cite datetime",
}
_PLAIN = _words(
    "abbr address article aside b bdi bdo body br caption cite code datalist dd dfn div dl dt em figcaption figure "
    "footer h1 h2 h3 h4 h5 h6 head header hgroup hr i kbd legend main map mark menu nav noscript p picture pre rp rt "
    "ruby s samp search section small span strong sub summary sup table tbody template tfoot thead title tr u ul var "
    "wbr"
)
ATTRIBUTES = {name: _EVERYWHERE | _words(_OWN.get(name, "")) for name in (*_OWN, *_PLAIN)}
"""Attributes by element, for every element there is; `aria-` and `data-` attributes are allowed on all."""

NOT_IN_A_PARAGRAPH = _words(
    "address article aside blockquote details div dl fieldset figure footer form h1 h2 h3 h4 h5 h6 header hr main menu "
    "nav ol p pre search section table ul"
)
"""A browser ends an open paragraph before these."""

PARENTS = {
    "li": {"ul", "ol", "menu"},
    "dt": {"dl", "div"},
    "dd": {"dl", "div"},
    "caption": {"table"},
    "colgroup": {"table"},
    "col": {"colgroup"},
    "thead": {"table"},
    "tbody": {"table"},
    "tfoot": {"table"},
    "tr": {"thead", "tbody", "tfoot"},
    "td": {"tr"},
    "th": {"tr"},
    "option": {"select", "optgroup", "datalist"},
    "optgroup": {"select"},
    "figcaption": {"figure"},
    "legend": {"fieldset"},
    "summary": {"details"},
    "head": {"html"},
    "body": {"html"},
    "title": {"head"},
}
"""Where an element may lie."""

CHILDREN = {
    "ul": {"li", "template", "script"},
    "ol": {"li", "template", "script"},
    "dl": {"dt", "dd", "div", "template", "script"},
    "table": {"caption", "colgroup", "thead", "tbody", "tfoot", "template", "script"},
    "tr": {"td", "th", "template", "script"},
    "select": {"option", "optgroup", "hr", "template", "script"},
}
"""All that may lie directly in an element."""

INTERACTIVE = frozenset({"a", "button", "select", "textarea", "input", "details", "label"})
"""What must not lie in a link or button."""

FORBIDDEN = _words("style foreignobject iframe object embed base")
"""What must stand nowhere in this site's pages, nor in their drawings."""

PAINTED = _words("clip-path fill filter marker-end marker-mid marker-start mask stroke")
"""Attributes of drawings that may hold an address in url()."""

SPOKEN = _words("a button h1 h2 h3 h4 h5 h6 title caption label")
"""What is nothing without text."""

CONTROLS = frozenset({"input", "select", "textarea", "meter", "progress"})
"""What needs a label."""

REFERENCES = frozenset({"for", "headers", "list", "form", "popovertarget", "aria-labelledby", "aria-describedby"}) | {
    "aria-controls",
    "aria-owns",
    "aria-details",
    "aria-activedescendant",
    "aria-errormessage",
}
"""Attributes that name ids of the same page."""
