"""`holdfast publish`: put an entry's results on the Hugging Face Hub."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from ..tasks import HoldfastError, RemoteError, UsageError
from .options import Registry
from .terminal import InterruptedRunError, err, out, size, visible

if TYPE_CHECKING:
    from huggingface_hub import HfApi

    from ..submissions.hub import Change, Commit
    from ..submissions.publish import Target


def publish(
    entry: Annotated[str, typer.Argument(metavar="ENTRY", help="Slug of an entry in the registry, or its folder.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            metavar="OWNER/NAME",
            help="Model repo for evaluation results and model card.",
            show_default="those of the manifest's checkpoints",
        ),
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", metavar="OWNER/NAME", help="Data-set repo for results and traces.")
    ] = None,
    benchmark: Annotated[
        str | None,
        typer.Option(
            "--benchmark",
            metavar="OWNER/NAME",
            help="Data-set repo that evaluation results name as their benchmark.",
            show_default="the one of --dataset",
        ),
    ] = None,
    no_model: Annotated[bool, typer.Option("--no-model", help="Leave model repos alone.")] = False,
    registry: Registry = None,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Propose the changes as pull requests on the Hub.")
    ] = False,
    create: Annotated[bool, typer.Option("--create", help="Make the data-set repo if there is none.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show every file; publish nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was done as JSON.")] = False,
) -> None:
    """Publish an entry: evaluation results and a model-card section, and results and traces in a data-set repo.

    Each repo gets one commit, whole or not at all. Files that are there already are left out.
    """
    if no_model and model:
        raise UsageError("--model names a model repo and --no-model leaves them alone; give one of the two.")
    from huggingface_hub import HfApi, constants, get_token

    from ..submissions.entry import find_entry
    from ..submissions.hub import commit, require_repo
    from ..submissions.hub_errors import NO_TOKEN, remote_errors
    from ..submissions.publish import publishable_entry, repo_name, targets_of

    for option, name in (("--model", model), ("--dataset", dataset), ("--benchmark", benchmark)):
        if name is not None:
            repo_name(name, option)
    published: list[tuple[Change, Commit | None]] = []
    under_way: Target | None = None
    try:
        loaded = publishable_entry(find_entry(entry, registry))
        targets = targets_of(
            loaded,
            model=model,
            dataset=dataset,
            benchmark=benchmark,
            model_repos=not no_model,
            endpoint=constants.ENDPOINT,
        )
        with remote_errors("token", constants.ENDPOINT):
            api = HfApi(token=get_token(), library_name="holdfast")
        if api.token is None and not dry_run:
            raise RemoteError(NO_TOKEN)
        changes = [_look(api, target, create_pr, dry_run) for target in targets]
        if dry_run:
            _show(changes, create, create_pr, as_json)
            return
        for change in changes:
            require_repo(change, create=create)
        for change in changes:
            under_way = change.target
            published.append((change, commit(api, change, pull_request=create_pr, create=create)))
            under_way = None
            if not as_json:
                _say(*published[-1])
    except KeyboardInterrupt:
        raise InterruptedRunError(_interrupted(published, under_way)) from None
    except HoldfastError as error:
        if any(done for _, done in published):
            raise type(error)(f"{error} {_so_far(published)}") from error
        raise
    if as_json:
        out.print_json(json.dumps({"dry_run": False, "repos": [_as_data(change, done) for change, done in published]}))


def _look(api: "HfApi", target: "Target", create_pr: bool, dry_run: bool) -> "Change":
    from ..submissions.hub import look, unseen

    if not dry_run:
        return look(api, target, pull_request=create_pr)
    try:
        return look(api, target, pull_request=create_pr)
    except RemoteError as error:
        return unseen(target, str(error).removesuffix("."))


def _say(change: "Change", done: "Commit | None") -> None:
    if done is None:
        text = f"{change.target}: nothing to do, all {len(change.files)} files are there already."
    else:
        what = "proposed" if done.pull_request else "published"
        text = f"{change.target}: {len(change.pending)} files {what} at {visible(done.url, 300)}"
    out.print(Text(text), soft_wrap=True)


def _interrupted(published: "Sequence[tuple[Change, Commit | None]]", under_way: "Target | None") -> str:
    if under_way is not None:
        here = (
            f"Interrupted while committing to the {under_way}: the commit arrived whole or not at all. "
            f"{_so_far(published)}"
        )
    else:
        here = f"Interrupted. {_so_far(published)}"
    return f"{here} Give the same command again to do the rest; what is there already is left out."


def _so_far(published: "Sequence[tuple[Change, Commit | None]]") -> str:
    names = [str(change.target) for change, done in published if done]
    return f"Published so far: {', '.join(names)}." if names else "Nothing was published before that."


def _show(changes: "Sequence[Change]", create: bool, create_pr: bool, as_json: bool) -> None:
    """Every file, and the full text of what is written for people and for the Hub."""
    if as_json:
        out.print_json(
            json.dumps({"dry_run": True, "repos": [_as_data(change, None, texts=True) for change in changes]})
        )
        return
    for change in changes:
        out.print(Text(f"{change.target}: {_situation(change, create, create_pr)}", style="bold"), soft_wrap=True)
        for file in change.files:
            length = "" if file.size is None else size(file.size)
            out.print(Text(f"  {file.state:<8} {length:>8}  {visible(file.path, 300)}"), soft_wrap=True)
        out.print()
    for change in changes:
        for name, text in _texts(change).items():
            out.print(Text(f"{name} of {change.target}", style="bold"), soft_wrap=True)
            out.print(Text(text), soft_wrap=True)
    out.print("Nothing was published.")
    if any(change.exists is None for change in changes):
        err.print("What is on the Hub is not known, so files may be there already.", style="yellow", soft_wrap=True)


def _situation(change: "Change", create: bool, create_pr: bool) -> str:
    if change.exists is None:
        return f"not known what is there ({visible(change.reason, 300)})"
    if not change.exists:
        made = create and change.target.kind == "dataset"
        return "not there yet, to be made" if made else "not there, or not to be seen with this token"
    if not change.pending:
        return "nothing to do"
    if change.revision != "main":
        return f"to be added to pull request {change.revision.rpartition('/')[2]}"
    return "to be proposed as a pull request" if create_pr else "to be committed"


def _texts(change: "Change") -> dict[str, str]:
    """The files of a model repo that are made for publishing; of the model card only the section."""
    if change.target.section is None:
        return {}
    texts = {path: content.decode() for path, content in change.target.files.items()}
    return {**texts, "Section of README.md": change.target.section + "\n"}


def _as_data(change: "Change", done: "Commit | None", *, texts: bool = False) -> dict[str, object]:
    target = change.target
    return {
        "repo": target.repo,
        "type": target.kind,
        "exists": change.exists,
        "reason": change.reason or None,
        "commit": done.oid if done else None,
        "url": done.url if done else None,
        "pull_request": done.pull_request if done else change.revision != "main",
        "files": [{"path": file.path, "bytes": file.size, "state": file.state} for file in change.files],
        **({"texts": _texts(change)} if texts else {}),
    }
