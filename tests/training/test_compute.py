import pytest

from selcn.errors import ConfigError
from selcn.training.compute import Compute, rank


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, 0),
        ({"RANK": "3", "LOCAL_RANK": "1"}, 3),  # torchrun
        ({"LOCAL_RANK": "1", "NODE_RANK": "0", "WORLD_SIZE": "2"}, 1),  # Lightning, one machine
        ({"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}, 2),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, 0),
    ],
)
def test_the_rank_is_what_the_launcher_says(
    environment: dict[str, str], expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "NODE_RANK", "WORLD_SIZE", "NUM_NODES", "SLURM_PROCID", "SLURM_NTASKS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert rank() == expected


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"--devices 64: this machine has \d+ GPUs; use fewer"):
        Compute(devices=64, accelerator="gpu").check()


def test_precision_is_named_as_lightning_does() -> None:
    on_cpu = Compute(accelerator="cpu")
    assert [on_cpu.precision(name) for name in ("float32", "bfloat16", "float16", "auto")] == [
        "32-true",
        "bf16-mixed",
        "16-mixed",
        "32-true",
    ]
