"""What a run of `make bench` says of its machine beyond what pytest-benchmark does."""

from typing import Any

import torch


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info.update(threads=torch.get_num_threads(), torch=str(torch.__version__))
