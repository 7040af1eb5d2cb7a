import pytest
import torch

from prolepsis.training import arithmetic
from prolepsis.training.arithmetic import count_products, known_peak, matrix_rate, peak_rate

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("name", "half", "single"),
    [
        ("NVIDIA A100-SXM4-80GB", 312e12, 19.5e12),
        ("NVIDIA A100 80GB PCIe", 312e12, 19.5e12),
        ("NVIDIA H100 80GB HBM3", 989.5e12, 67e12),
        ("NVIDIA H100 PCIe", 756.5e12, 51e12),
        ("NVIDIA H200", 989.5e12, 67e12),
        ("NVIDIA L4", 121e12, 30.3e12),
        ("NVIDIA L40S", 362e12, 91.6e12),
    ],
)
def test_peaks_of_known_devices_by_the_names_that_they_give(name: str, half: float, single: float) -> None:
    assert known_peak(name, torch.bfloat16) == known_peak(name, torch.float16) == half
    assert known_peak(name, torch.float32) == single


@pytest.mark.parametrize(
    "name",
    [
        "NVIDIA GeForce RTX 4090 Laptop GPU",
        "NVIDIA H200 NVL",
        "NVIDIA A100-SXM4-40GB MIG 1g.5gb",
        "NVIDIA A1000",
        "Quadro P400",
    ],
)
def test_a_device_that_only_sounds_alike_is_not_known(name: str) -> None:
    assert known_peak(name, torch.bfloat16) is None


@pytest.mark.parametrize(("name", "peak"), [("Tesla T4", 65e12), ("Tesla V100-SXM2-16GB", 125e12)])
def test_old_devices_have_a_peak_for_float16_but_none_for_bfloat16(name: str, peak: float) -> None:
    assert known_peak(name, torch.float16) == peak
    assert known_peak(name, torch.bfloat16) is None


def test_float32_counts_as_tf32_where_that_is_allowed() -> None:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        assert known_peak("NVIDIA A100-SXM4-80GB", torch.float32) == 156e12
        assert known_peak("Tesla T4", torch.float32) == 8.1e12
    finally:
        torch.set_float32_matmul_precision(before)


def test_a_known_gpu_is_not_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA L4")
    monkeypatch.setattr(arithmetic, "matrix_rate", lambda device, dtype: 7.0)
    cuda = torch.device("cuda")
    assert peak_rate(cuda, torch.bfloat16) == 121e12
    assert peak_rate(cuda, torch.float64) == 7.0


def test_the_rate_of_a_machine_without_a_figure_is_measured_and_moves_no_generator() -> None:
    matrix_rate.cache_clear()
    torch.manual_seed(0)
    drawn = torch.get_rng_state()
    assert peak_rate(CPU, torch.float32) > 0
    assert torch.equal(torch.get_rng_state(), drawn)


class Machine:
    """A clock, and a device whose products of larger matrices are the faster ones, up to a limit."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.now = 0.0
        self.sizes: list[int] = []

    def perf_counter(self) -> float:
        return self.now

    def product_seconds(self, size: int, device: torch.device, dtype: torch.dtype) -> float:
        self.sizes.append(size)
        seconds = 2 * size**3 / self.rate(size)
        self.now += 2 * seconds
        return seconds

    def rate(self, size: int) -> float:
        return self.limit * size / (size + 1000)


@pytest.mark.parametrize(("limit", "largest"), [(1e9, 512), (1e11, 1024), (1e13, 4096), (1e15, 8192)])
def test_products_grow_while_there_is_time_and_the_best_rate_counts(
    monkeypatch: pytest.MonkeyPatch, limit: float, largest: int
) -> None:
    machine = Machine(limit)
    monkeypatch.setattr(arithmetic, "time", machine)
    monkeypatch.setattr(arithmetic, "_product_seconds", machine.product_seconds)
    matrix_rate.cache_clear()
    rate = matrix_rate(CPU, torch.float32)
    assert max(machine.sizes) == largest
    assert rate == pytest.approx(machine.rate(largest))
    measured = machine.now - 4 * 512**3 / machine.rate(512)  # the first only loads the library
    assert measured <= 0.3 or machine.sizes == [512, 512]
    took = machine.now
    assert matrix_rate(CPU, torch.float32) == rate
    assert machine.now == took
    matrix_rate.cache_clear()


def test_products_are_counted_also_where_they_are_added_in_place() -> None:
    left, right, total = torch.ones(4, 3), torch.ones(3, 5), torch.zeros(4, 5)
    assert count_products(lambda: left @ right) == 2 * 4 * 3 * 5
    assert count_products(lambda: total.addmm_(left, right)) == 2 * 4 * 3 * 5
    queries = torch.ones(2, 3, 4, 8)
    attend = torch.nn.functional.scaled_dot_product_attention
    assert count_products(lambda: attend(queries, queries, queries)) == 2 * (2 * 2 * 3 * 4 * 4 * 8)
