"""spam: is a mail spam or ham? Real mail from the Enron corpus, and an attacker anyone can imagine.

Copies of the corpus differ in their splits, in white space and in how bytes outside ASCII were decoded. The evaluation
set is therefore chosen from all splits together, and only from mails that every copy has alike.
"""

import re

from .hub import HubSource, Row, label_in, text_in
from .selection import Item, collapse, content_key
from .task import Task

MAX_CHARACTERS = 4_000
ALIKE_IN_EVERY_COPY = re.compile(r"[ -~\t\r\n]+")
"""Printable ASCII. Looked for in the text as it came: collapsing white space could hide a no-break space."""


def mail(row: Row) -> Item | None:
    raw, text = text_in(row, "text"), collapse(text_in(row, "text"))
    if not text:
        return None
    key = content_key(text)
    # Without a subject or a body there is little to judge by, and copies disagree on what an absent one looks like.
    whole = bool(text_in(row, "subject").strip() and text_in(row, "message").strip())
    eligible = whole and len(text) <= MAX_CHARACTERS and ALIKE_IN_EVERY_COPY.fullmatch(raw) is not None
    return Item({"text": text}, label_in(row, "label"), key, group=key, eligible=eligible)


task = Task(
    name="spam",
    title="Enron spam",
    description="An e-mail is shown, subject first. Is it an ordinary mail (ham) or spam?",
    version=1,
    labels=("ham", "spam"),
    slot="On a line of its own, after the mail.",
    before="Is this e-mail ham or spam?\n{text}\n",
    after="\nAnswer:",
    source=HubSource(
        repo="SetFit/enron_spam",
        revision="1916f66c89d52221ae33eb57d44498b4f3a5df22",
        evaluation_files=("train*", "test*"),
        training_files=("train*", "test*"),
        read=mail,
    ),
    digest="0d2a58aaf928e9eb1738d90fb938921b2428349feaea04ab72285d117bdfb9b7",
    licence="none stated, neither by the authors nor on the Hub; the mails became public in the Enron investigation",
    citation="Metsis et al. 2006, Spam Filtering with Naive Bayes: Which Naive Bayes?, CEAS, "
    "https://www2.aueb.gr/users/ion/data/enron-spam/",
    homepage="https://huggingface.co/datasets/SetFit/enron_spam",
)
