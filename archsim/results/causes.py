"""What the energy of an image was spent for: its counters split by cause, exactly. Pure.

``useful``: layers that the image needed. ``wasted``: what an exit made useless, fetched for layers that never ran or
run for an image that had left, and the cycles from the decision to the end of the image. ``branch``, ``dbp``: the
units, their fetches, and the cycles in which the array waits for their decision. ``stalled``: cycles (leakage, clock,
DRAM background) in which the array holds a layer and waits for data or space. ``idle``: cycles between images.
"""

from __future__ import annotations

from archsim.counters import Counters
from archsim.mapping.fusion import fuse_layers
from archsim.network.graph import Network
from archsim.sim.records import ImageRecord, LayerRecord

CAUSES = ("useful", "wasted", "branch", "dbp", "stalled", "idle")
_PER_CYCLE = {("leakage", "core_cycle"), ("dram", "standby_cycle")}


class CauseSplit:
    """Splits the counters of images of one network.

    burst_bytes: of the DRAM. result_cycles: from a decision to exit to the written result, which are useful.
    """

    def __init__(self, network: Network, burst_bytes: int, result_cycles: int) -> None:
        self._burst_bytes = burst_bytes
        self._result_cycles = result_cycles
        self._branches = {branch.name for branch in network.branches}
        self._branches_after = {
            run.layer.name: [branch.name for branch in network.branches_after(run.output_tensor)]
            for run in fuse_layers(network.layers)[0]
        }

    def add(self, record: ImageRecord, causes: dict[str, Counters]) -> None:
        """Add every count of an image to that of its cause; the sum over causes grows by ``record.counters``."""
        image = _Image(record, self._burst_bytes)
        plain = {layer.name for layer in record.layers if layer.useful and not self._is_branch(layer.name)}
        useful = causes.setdefault("useful", Counters()).counts
        for key, amount in record.counters.counts.items():
            component, action, layer = key
            if layer in plain and (component, action) not in _PER_CYCLE:  # nearly all of them
                useful[key] = useful.get(key, 0) + amount
                continue
            for cause, part in self._shares(image, component, action, layer, amount).items():
                causes.setdefault(cause, Counters()).add(component, action, layer, part)

    def _shares(self, image: _Image, component: str, action: str, layer: str, amount: int) -> dict[str, int]:
        if (component, action) in _PER_CYCLE:
            return self._cycle_shares(image, layer, amount)
        if layer in image.thrown_away:
            return {"wasted": amount}
        if not self._is_branch(layer):
            return {"useful": amount}
        if component == "dbp_unit":
            return {"dbp": amount}
        if (component, action) == ("controller", "decision"):
            by_dbp = min(amount, 1) if image.total("dbp_unit", "compare", layer) else 0
            return {"dbp": by_dbp, "branch": amount - by_dbp}
        wasted = image.wasted_part(component, action, layer, amount)
        return {"wasted": wasted, "branch": amount - wasted}

    def _is_branch(self, layer: str) -> bool:
        return layer.partition(".")[0] in self._branches

    def _cycle_shares(self, image: _Image, layer: str, amount: int) -> dict[str, int]:
        """Of the cycles from the start of a layer to that of the next one, in units of ``amount``."""
        work = "branch" if self._is_branch(layer) else "useful"
        record = image.array.get(layer)
        if record is None:
            return {work: amount}
        if not record.useful:
            return {"wasted": amount}
        cycles = image.total("leakage", "core_cycle", layer)
        held = min(record.cycles, cycles)
        stalled = min(record.stall_cycles, held)
        shares = {"stalled": stalled} | self._waiting(image, record, cycles - held)
        found = {cause: share * amount // cycles for cause, share in shares.items()}
        return found | {work: found.get(work, 0) + amount - sum(found.values())}

    def _waiting(self, image: _Image, record: LayerRecord, cycles: int) -> dict[str, int]:
        """Of the cycles behind a layer until the next one starts or the image ends, those that a branch causes."""
        names = self._branches_after.get(record.name, [record.name.partition(".")[0]])
        met = [image.branches[name] for name in names if name in image.branches]
        if not met:
            return {}
        branch = next((branch for branch in met if branch.exited), met[-1])
        if not branch.exited:
            return {"dbp" if branch.skipped else "branch": cycles}
        deciding = min(max(branch.decided_cycle - record.end_cycle, 0), cycles)
        result = min(self._result_cycles, cycles - deciding)
        return {"branch": deciding, "wasted": cycles - deciding - result}


class _Image:
    """One record, by name."""

    def __init__(self, record: ImageRecord, burst_bytes: int) -> None:
        self._counts = record.counters.counts
        self.array = {layer.name: layer for layer in record.layers if layer.unit == "pe_array"}
        self.branches = {branch.name: branch for branch in record.branches}
        self.thrown_away = {layer.name for layer in record.layers if not layer.useful}
        read_for_them = sum(self.total("dram", "read_burst", name) for name in self.thrown_away)
        self._wasted_bursts = record.wasted_bytes // burst_bytes - read_for_them
        """Bursts for layers that never started; they are counted for the branch that the image left at."""

    def total(self, component: str, action: str, layer: str) -> int:
        return self._counts.get((component, action, layer), 0)

    def wasted_part(self, component: str, action: str, branch: str, amount: int) -> int:
        """Of a count of a branch, what was fetched for layers behind it that never started."""
        left_here = branch in self.branches and self.branches[branch].exited
        if not left_here or component not in ("dram", "global_buffer"):
            return 0
        if component == "global_buffer":  # the unit's own weights do not pass the buffer
            return amount if branch not in self.array else 0
        bursts = self.total("dram", "read_burst", branch) + self.total("dram", "write_burst", branch)
        if action == "read_burst":
            return min(self._wasted_bursts, amount)
        return (
            amount * min(self._wasted_bursts, bursts) // bursts if bursts and action != "write_burst" else 0
        )
