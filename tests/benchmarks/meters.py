"""CPU time and memory of the installation's processes, as the operating system accounts them."""

from dataclasses import dataclass

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
