"""How fast a device multiplies matrices: what a training's rate is a share of.

The share of the peak that goes into the model's own products ("model FLOP utilisation", Chowdhery et al.
2022, appendix B) tells how well a run uses its device, whatever the model.
"""

import math
import time
from collections.abc import Callable
from functools import cache

import torch
from torch.utils.flop_counter import FlopCounterMode

_BUDGET_SECONDS = 0.25
_SMALLEST, _LARGEST = 512, 8192
_REPEATS = 2

# In 1e12 FLOP/s, dense (half of what the vendor prints for sparse matrices), by the words in a device's name
# that tell it from others: 16-bit floats with sums in 32 bits, TF32, 32 bits. None: not in hardware.
# Sources: NVIDIA's data sheets of V100, T4, A40, A100, L4, L40S, H100, H200 and HGX B200. All others are
# measured.
_PEAKS: dict[tuple[str, ...], tuple[float, float | None, float]] = {
    ("V100", "SXM2"): (125.0, None, 15.7),
    ("V100", "PCIE"): (112.0, None, 14.0),
    ("T4",): (65.0, None, 8.1),
    ("A40",): (149.7, 74.8, 37.4),
    ("A100",): (312.0, 156.0, 19.5),
    ("L4",): (121.0, 60.0, 30.3),
    ("L40S",): (362.0, 183.0, 91.6),
    ("H100", "HBM3"): (989.5, 494.5, 67.0),
    ("H100", "PCIE"): (756.5, 378.0, 51.0),
    ("H200",): (989.5, 494.5, 67.0),
    ("B200",): (2250.0, 1100.0, 75.0),
}
# Other chips under the same number, and parts of a chip.
_OTHERS = {"LAPTOP", "MAX", "TI", "SUPER", "D", "MIG", "NVL"}
_NO_BFLOAT16 = {"V100", "T4"}


def peak_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of `device` for products of dense `dtype` matrices: the vendor's figure, else `matrix_rate`."""
    if device.type == "cuda":
        figure = known_peak(torch.cuda.get_device_name(device), dtype)
        if figure is not None:
            return figure
    return matrix_rate(device, dtype)


def known_peak(name: str, dtype: torch.dtype) -> float | None:
    """The vendor's figure, in FLOP/s, for the device called `name`; None where there is none.

    float32 is taken for TF32 where `torch.set_float32_matmul_precision` allows it.
    """
    words = set(name.upper().replace("-", " ").split())
    if words & _OTHERS or (dtype == torch.bfloat16 and words & _NO_BFLOAT16):
        return None
    matching = [distinct for distinct in _PEAKS if words.issuperset(distinct)]
    if not matching:
        return None
    half, tf32, single = _PEAKS[max(matching, key=len)]
    if dtype in (torch.float16, torch.bfloat16):
        return half * 1e12
    if dtype != torch.float32:
        return None
    with_tf32 = tf32 is not None and torch.get_float32_matmul_precision() != "highest"
    return (tf32 if with_tf32 and tf32 is not None else single) * 1e12


@cache
def matrix_rate(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s that `device` reaches here and now in products of large square matrices of `dtype`.

    Takes about a quarter of a second, once per process. Matrices grow while there is time for the next size,
    since only large ones fill a GPU.
    """
    best = 0.0
    size = _SMALLEST
    _product_seconds(size, device, dtype)  # loads the library
    end = time.perf_counter() + _BUDGET_SECONDS
    while True:
        seconds = _product_seconds(size, device, dtype)
        best = max(best, 2.0 * size**3 / seconds)
        left = end - time.perf_counter()
        if size < _LARGEST and _REPEATS * 8 * seconds < left:
            size *= 2
        elif _REPEATS * seconds > left:
            return best


def _product_seconds(size: int, device: torch.device, dtype: torch.dtype) -> float:
    """The time of the fastest of a few products; the first finds its memory untouched."""
    # Not random: this must not move the generators that a training draws from.
    factor = torch.linspace(-1.0, 1.0, size * size, device=device).view(size, size).to(dtype)
    fastest = math.inf
    for _ in range(_REPEATS):
        started = time.perf_counter()
        product = factor @ factor
        product[0, 0].item()  # waits for the device
        fastest = min(fastest, time.perf_counter() - started)
    return fastest


def count_products(function: Callable[[], object]) -> float:
    """Floating-point operations of the products of matrices that a call of `function` computes.

    What is compiled in it runs as it was written, since the counter does not see into compiled code.
    """
    # torch's counter passes over attention on a CPU, and products that are added in place.
    passed_over = {
        torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_work,
        torch.ops.aten.addmm_: _added_product_work,
    }
    counter = FlopCounterMode(display=False, custom_mapping=passed_over)
    with torch.compiler.set_stance("force_eager"), counter:
        function()
    return float(counter.get_total_flops())


def _added_product_work(_: torch.Size, rows: torch.Size, columns: torch.Size, **options: object) -> int:
    return 2 * rows.numel() * columns[-1]


def _attention_work(query: torch.Size, key: torch.Size, *others: object, **options: object) -> int:
    """Of two products, of [rows, heads, length, head size] each."""
    return 4 * query.numel() * key[2]
