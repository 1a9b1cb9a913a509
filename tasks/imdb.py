"""imdb: is a film review positive or negative? The classic of sentiment analysis, with long prompts."""

from .hub import HubSource, Row, label_in, text_in
from .selection import Item, collapse, content_key
from .task import Task


def review(row: Row) -> Item:
    text = text_in(row, "text")
    key = content_key(text)
    return Item({"text": collapse(text)}, label_in(row, "label"), key, group=key)


task = Task(
    name="imdb",
    title="IMDB reviews",
    description="A film review is shown. Is its author's opinion negative or positive?",
    version=1,
    labels=("negative", "positive"),
    slot="On a line of its own, after the review.",
    before="Is this film review negative or positive?\n{text}\n",
    after="\nAnswer:",
    source=HubSource(
        repo="stanfordnlp/imdb",
        revision="e6281661ce1c48d982bc483cf8a173c1bbeb5d31",
        evaluation_files=("plain_text/test-*.parquet",),
        training_files=("plain_text/train-*.parquet",),
        read=review,
    ),
    digest="dabcb09e02ed9fe631fc49d80408797ae04c1a5b0f3875f55fcca252debd06d9",
    licence="no explicit licence: the Hub's card says 'other', and the authors ask for the citation",
    citation=("Maas et al. 2011, Learning Word Vectors for Sentiment Analysis, ACL, https://aclanthology.org/P11-1015"),
    homepage="https://huggingface.co/datasets/stanfordnlp/imdb",
)
