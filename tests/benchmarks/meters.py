"""CPU time and memory of the installation's processes, as the operating system accounts them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import psutil

from tests.installation import Installation

PARTS = ("api", "worker", "valkey", "simulator")


@dataclass(frozen=True)
class Reading:
    """CPU seconds so far by part, and resident megabytes now."""

    cpu: dict[str, float]
    memory: dict[str, float]


def read(installation: Installation) -> Reading:
    cpu, memory = {}, {}
    for part in PARTS:
        cpu[part] = memory[part] = 0.0
        for process in installation.children(part):
            times = process.cpu_times()
            cpu[part] += times.user + times.system
            memory[part] += process.memory_info().rss / 2**20
    return Reading(cpu, memory)


def cpu_ms_per_call(before: Reading, after: Reading, calls: int) -> dict[str, float]:
    return {part: (after.cpu[part] - before.cpu[part]) * 1000 / calls for part in PARTS}


def cpu_seconds(processes: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    """Return the CPU seconds so far by role, those of ended children included."""
    return {role: sum(map(_cpu_seconds_of, found)) for role, found in processes.items()}


def _cpu_seconds_of(process: psutil.Process) -> float:
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


def proportional_megabytes(processes: Mapping[str, Sequence[psutil.Process]]) -> dict[str, float]:
    """Return the memory by role, in MB: each page that is shared is divided by its users (PSS)."""
    return {
        role: sum(each.memory_full_info().pss for each in found) / 2**20
        for role, found in processes.items()
    }


def difference(before: Mapping[str, float], after: Mapping[str, float]) -> dict[str, float]:
    """Return how much was added for each role; a process that ended counts as nothing."""
    return {role: max(after[role] - before[role], 0.0) for role in before}
