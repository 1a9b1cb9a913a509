"""What `score` says about executors that cannot be."""

import socket
import sys

import pytest

FEW = ("--task", "password-match", "--examples", 2, "--budget", "1e7FLOP")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--workers", 2), "--workers is for a run on a cluster; add --executor ray"),
        (("--address", "auto"), "--address is for a run on a cluster; add --executor ray"),
        (("--executor", "slurm"), "There is no executor 'slurm'; choose one of process, ray."),
        (
            ("--executor", "ray", "--dry-run"),
            "--dry-run measures on this machine and asks no cluster; say with --workers",
        ),
        (("--price", "2"), "--price is for a plan; add --dry-run, or leave it out."),
        (
            ("--executor", "ray", "--workers", 2, "--gpus-per-worker", 1, "--device", "cpu", "--dry-run"),
            "--gpus-per-worker is for cards, and --dry-run measures on this machine, which has none",
        ),
    ],
)
def test_options_that_do_not_go_together_are_refused(holdfast, checkpoint, tmp_path, options, sentence) -> None:
    outcome = holdfast("score", checkpoint(), *FEW, *options, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert sentence in outcome.sentence


def test_without_ray_it_says_how_to_install_it(holdfast, checkpoint, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "holdfast.benchmark.ray_cluster", raising=False)
    outcome = holdfast("score", checkpoint(), *FEW, "--executor", "ray", "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "pip install ray" in outcome.sentence


def test_where_no_cluster_answers_it_says_so(holdfast, checkpoint, tmp_path) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install ray")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        outcome = holdfast(
            "score", checkpoint(), *FEW, "--executor", "ray", "--address", address, "--out", tmp_path / "out"
        )
    assert outcome.code == 2
    assert f"There is no Ray cluster at {address}" in outcome.sentence


def test_an_address_of_rays_client_is_refused(holdfast, checkpoint, tmp_path) -> None:
    pytest.importorskip("ray", reason="needs Ray: pip install ray")
    options = ("--executor", "ray", "--address", "ray://head:10001")
    outcome = holdfast("score", checkpoint(), *FEW, *options, "--out", tmp_path / "out")
    assert outcome.code == 2
    assert "run the command on a node of the cluster" in outcome.sentence
