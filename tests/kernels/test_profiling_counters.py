"""Nsight Compute's raw page and its errors, without Nsight Compute or a GPU."""

from __future__ import annotations

import pytest
from profile_cases import BUSY, DENIED, SPIN, UNKNOWN, page
from recallscope_kernels.profiling import counters
from recallscope_kernels.profiling.counters import METRICS, Counts, read_counts, refusal


def test_two_calls_of_several_kernels_are_summed():
    copy = {"dram__bytes_read.sum": "1,048,576", "dram__bytes_write.sum": "524,288", "lts__t_bytes.sum": "2,000,000"}
    wgmma = "sm__ops_path_tensor_op_hgmma_src_bf16_dst_fp32_sparsity_off.sum"
    sync = "sm__ops_path_tensor_op_hmma_src_bf16_dst_fp32_sparsity_off.sum"
    threads = "smsp__sass_thread_inst_executed_op_{}_pred_on.sum"
    first, second = read_counts(
        page(
            [
                (SPIN, {}),
                ("void based_forward<64, 16>(float const*, int)", copy | {wgmma: "4,096", sync: "512"}),
                ("reduce", {"dram__bytes_read.sum": "100", threads.format("fadd"): "7", threads.format("ffma"): "10"}),
                (SPIN, {}),
                ("elementwise", {threads.format("fmul"): "1", threads.format("dfma"): "3"}),
            ]
        )
    )
    assert first.kernels == 2 and first.hbm_bytes == 1048576 + 524288 + 100 and first.l2_bytes == 2e6
    assert first.flops["bfloat16"] == 4096 + 512 and first.flops["float32"] == 7 + 2 * 10
    assert first.product_flops("bfloat16") == first.product_flops("float16") == 4608
    assert first.product_flops("float32") == 27
    assert second == Counts(1, 0, 0, {**dict.fromkeys(first.flops, 0), "float32": 1, "float64": 6})
    assert second.product_flops("float64") == 6


@pytest.mark.parametrize(
    ("unit", "text", "bytes_"),
    [
        ("byte", "1,234", 1234),
        ("Kbyte", "1.5", 1500),
        ("Mbyte", "2,000.25", 2000.25e6),
        ("Gbyte", "1.073741", 1.073741e9),
        ("Tbyte", "0.001", 1e9),
        ("byte", "1.5e+3", 1500),
    ],
)
def test_units_have_decimal_prefixes(unit, text, bytes_):
    text = page([(SPIN, {}), ("k", {"lts__t_bytes.sum": text})], {"lts__t_bytes.sum": unit})
    assert read_counts(text)[0].l2_bytes == pytest.approx(bytes_, rel=1e-12)


def test_thousands_of_instructions():
    metric = "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum"
    assert read_counts(page([(SPIN, {}), ("k", {metric: "3"})], {metric: "Kinst"}))[0].flops["float32"] == 6000


def test_what_was_not_counted_is_none_and_not_zero():
    without = [name for name in counters.names() if "fp8" not in name]
    counts = read_counts(page([(SPIN, {}), ("k", {"lts__t_bytes.sum": "n/a"})], names=without))[0]
    assert counts.l2_bytes is None and counts.flops["float8"] is None and counts.hbm_bytes == 0
    assert counts.product_flops("bfloat16") == 0  # a bfloat16 product does not run there
    halves = [name for name in counters.names() if "bf16" not in name]
    assert read_counts(page([(SPIN, {})], names=halves))[0].product_flops("bfloat16") is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "==ERROR== something\n",
            "counters: a raw page in CSV, with a column 'Kernel Name', got '==ERROR== something'",
        ),
        (page([("k", {})]), "counters: the first kernel is spin_kernel, got 'k'"),
        (page([(SPIN, {}), ("k", {"lts__t_bytes.sum": "27.595.520"})]), r"lts__t_bytes.sum as a number like 1,234\.5"),
        (page([(SPIN, {}), ("k", {"lts__t_bytes.sum": "1,23"})]), "as a number like"),
        (page([(SPIN, {})], {"lts__t_bytes.sum": "sector"}), "counters: lts__t_bytes.sum in bytes, got 'sector'"),
        (page([(SPIN, {})], {"smsp__sass_thread_inst_executed_op_fadd_pred_on.sum": "%"}), "in counts, got '%'"),
        (page([]).replace('"",', '"0",', 1), "counters: units in the line after the header, got none"),
        (page([(SPIN, {}), ("k", {})]).replace('","0"\n==PROF== Dis', '"\n==PROF== Dis'), "the output was cut off"),
    ],
)
def test_pages_that_are_refused(text, message):
    with pytest.raises(ValueError, match=message):
        read_counts(text)


def test_no_metric_is_counted_twice():
    names = counters.names()
    assert len(set(names)) == len(names)
    assert "sm__ops_path_tensor_src_bf16_dst_fp32.sum" not in names  # the aggregate of two others


@pytest.mark.parametrize(
    ("log", "message"),
    [
        (DENIED, "not permitted here (ERR_NVGPUCTRPERM): run as root, "),
        (BUSY, "another tool holds the counters of this GPU (DCGM does, for one)"),
        (UNKNOWN, "this Nsight Compute knows no sm__ops_path_tensor_src_fp8_sparsity_off.sum on this device"),
        (
            "==ERROR== Cuda driver is not compatible with Nsight Compute.\n==ERROR== The application returned an error"
            " code (11).\n",
            "Nsight Compute failed: Cuda driver is not compatible with Nsight Compute.",
        ),
        ("==WARNING== No kernels were profiled.\n", "Nsight Compute saw no kernel"),
    ],
)
def test_errors_in_one_line(log, message):
    found = refusal(log)
    assert found and found.startswith(message) and "\n" not in found


def test_a_good_log_is_no_error():
    assert refusal(page([(SPIN, {})])) is None


def test_metrics_have_weights_of_the_hardware():
    assert {metric: weight for parts in METRICS.values() for metric, weight in parts.items() if weight != 1} == {
        "smsp__sass_thread_inst_executed_op_ffma_pred_on.sum": 2,
        "smsp__sass_thread_inst_executed_op_dfma_pred_on.sum": 2,
    }
