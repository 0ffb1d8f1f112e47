"""Energy, with meters and NVML that are made up."""

from __future__ import annotations

import sys
import time
from types import SimpleNamespace

import pytest
from recallscope_kernels.profiling import energy as energies
from recallscope_kernels.profiling import energy_meter
from recallscope_kernels.profiling.energy import Meter, energy_of, joules_of, nvml_meter, rapl_meter


def test_energy_by_a_counter():
    joules, called = iter([10.0, 16.0]), []
    found = energy_of(lambda: called.append(None), Meter("made up", joules=lambda: next(joules)), seconds=1e-3)
    assert found.n == len(called) >= 1 and found.joules == 6 / len(called) and found.meter == "made up"
    assert found.seconds >= 1e-3


def test_energy_by_power(monkeypatch):
    monkeypatch.setattr(energies, "EVERY", 0.002)
    found = energy_of(lambda: time.sleep(0.01), Meter("made up", watts=lambda: 50.0), seconds=0.05)
    assert found.joules * found.n == pytest.approx(50 * found.seconds, rel=0.5)  # threads are not punctual


def test_trapezoids():
    assert joules_of([(0, 10), (1, 20), (3, 0)]) == 15 + 20
    assert joules_of([(0, 10)]) == 0


def nvml(energy: int | None = None, power: int | None = None, handle: str | None = "handle"):
    class NVMLError(Exception):
        pass

    def of(value):
        def ask(given):
            assert given == handle
            if value is None:
                raise NVMLError("Not Supported")
            return value

        return ask

    def by_uuid(uuid):
        if handle is None:
            raise NVMLError("Driver Not Loaded")
        return handle

    return SimpleNamespace(
        NVMLError=NVMLError, nvmlInit=lambda: None, nvmlDeviceGetHandleByUUID=by_uuid,
        nvmlDeviceGetTotalEnergyConsumption=of(energy), nvmlDeviceGetPowerUsage=of(power),
    )  # fmt: skip


def test_nvml():
    meter = nvml_meter(nvml(energy=2500), "GPU-1")
    assert meter.name == "NVML energy" and meter.joules and meter.joules() == 2.5  # millijoules
    meter = nvml_meter(nvml(power=350_000), "GPU-1")
    assert meter.name == "NVML power, sampled" and meter.watts and meter.watts() == 350
    with pytest.raises(ValueError, match=r"energy: NVML knows neither energy nor power of this GPU \(Not Supported\)"):
        nvml_meter(nvml(), "GPU-1")
    with pytest.raises(ValueError, match=r"energy: NVML does not answer for this GPU \(Driver Not Loaded\)"):
        nvml_meter(nvml(handle=None), "GPU-1")


def test_without_nvml(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(ValueError, match=r"energy: nvidia-ml-py is not installed \(pip install nvidia-ml-py\)"):
        energy_meter("cuda")


def test_rapl(tmp_path):
    for name, micro in (("intel-rapl:0", 5_000_000), ("intel-rapl:1", 1_000_000), ("intel-rapl:0:0", 77)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "energy_uj").write_text(f"{micro}\n")
        (tmp_path / name / "max_energy_range_uj").write_text("9000000\n")
    meter = rapl_meter(tmp_path)
    assert meter.joules and meter.joules() == 6  # a part of a package does not count again
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("500000\n")  # began again
    assert meter.joules() == pytest.approx(9 + 0.5 + 1)
    with pytest.raises(ValueError, match="energy: no counter of this CPU can be read"):
        rapl_meter(tmp_path / "none")
