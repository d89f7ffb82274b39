"""The declared actions of the hardware and the integer counters kept of them.

(component, action) is the only key by which energy finds a count. Counting an undeclared action is an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Action:
    """One countable event: ``unit`` is what is counted, ``sentence`` says when."""

    component: str
    name: str
    unit: str
    sentence: str


ACTIONS: tuple[Action, ...] = (
    Action("dram", "activate", "command", "a row is opened (its precharge included)"),
    Action("dram", "read_burst", "burst", "a column read moves one burst over the channel"),
    Action("dram", "write_burst", "burst", "a column write moves one burst over the channel"),
    Action("dram", "refresh", "command", "all banks are refreshed"),
    Action("dram", "standby_cycle", "DRAM cycle", "background of the channel while an image runs, rows open"),
    Action("dram", "idle_cycle", "DRAM cycle", "background between images, rows closed"),
    Action("dram", "power_down_cycle", "DRAM cycle", "background between images, powered down (dram.idle)"),
    Action("global_buffer", "read_byte", "byte", "a byte is read for the array, the branch unit or the DMA"),
    Action("global_buffer", "write_byte", "byte", "a byte is written by the array or the DMA"),
    Action("noc", "ifmap_byte", "byte", "an activation byte is multicast from the buffer to its PEs"),
    Action("noc", "filter_byte", "byte", "a weight byte is multicast from the buffer to its PEs"),
    Action("noc", "psum_byte", "byte", "a partial-sum or output byte moves between buffer and array"),
    Action(
        "noc",
        "local_psum_byte",
        "byte",
        "a partial-sum byte (in a systolic array any byte) moves from a PE to the next",
    ),
    Action("pe_array", "mac", "MAC", "a multiply-accumulate is executed"),
    Action("pe_array", "gated_mac", "MAC", "a multiply-accumulate on a zero passes with the datapath gated"),
    Action("pe_array", "ifmap_spad_read", "word", "a PE reads an activation from its scratchpad"),
    Action("pe_array", "ifmap_spad_write", "word", "a PE stores an activation"),
    Action("pe_array", "filter_spad_read", "word", "a PE reads a weight from its scratchpad"),
    Action("pe_array", "filter_spad_write", "word", "a PE stores a weight"),
    Action("pe_array", "psum_spad_read", "word", "a PE reads a partial sum from its scratchpad"),
    Action("pe_array", "psum_spad_write", "word", "a PE stores a partial sum"),
    Action("pe_array", "requantise", "value", "an accumulator is rescaled to 8 bits on the write path"),
    Action("pe_array", "pool", "value", "an activation enters a pooling register on the write path"),
    Action("branch_unit", "pool_add", "value", "an activation is added to a pooling register of a branch"),
    Action("branch_unit", "mac", "MAC", "a multiply-accumulate of a branch's fully connected layer"),
    Action("branch_unit", "weight_read_byte", "byte", "a branch weight is read from the branch unit's SRAM"),
    Action(
        "branch_unit", "weight_write_byte", "byte", "a branch weight is loaded into the branch unit's SRAM"
    ),
    Action("branch_unit", "compare", "logit", "a logit enters the running top-2"),
    Action("dbp_unit", "add", "value", "an activation magnitude is accumulated"),
    Action("dbp_unit", "compare", "comparison", "the sum is compared with a bound"),
    Action("controller", "dispatch", "layer", "the array is configured for a layer"),
    Action("controller", "decision", "message", "a run, skip, exit or continue message is handled"),
    Action("leakage", "core_cycle", "cycle", "a core-clock cycle passes with the clock running"),
    Action(
        "leakage", "gated_cycle", "cycle", "a core-clock period passes with the clock stopped (clock.idle)"
    ),
    Action(
        "leakage",
        "off_cycle",
        "cycle",
        "a core-clock period passes with logic unpowered, SRAM on (clock.idle)",
    ),
)

COMPONENTS: tuple[str, ...] = tuple(dict.fromkeys(action.component for action in ACTIONS))
_DECLARED = {(action.component, action.name): index for index, action in enumerate(ACTIONS)}


def action_index(component: str, name: str) -> int:
    """Position in :data:`ACTIONS`; KeyError names an undeclared action."""
    try:
        return _DECLARED[component, name]
    except KeyError:
        raise KeyError(f"undeclared action {component}.{name}") from None


@dataclass
class Counters:
    """Integer counts keyed (component, action, layer); one object an image."""

    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)

    def add(self, component: str, action: str, layer: str, amount: int) -> None:
        """Count ``amount`` more; amount must be a non-negative int, the action declared."""
        action_index(component, action)
        if amount < 0:
            raise ValueError(f"{component}.{action}: negative count {amount}")
        if amount:
            key = (component, action, layer)
            self.counts[key] = self.counts.get(key, 0) + int(amount)

    def merge(self, other: Counters) -> None:
        """Add all counts of another object, which has checked them."""
        counts = self.counts
        for key, amount in other.counts.items():
            counts[key] = counts.get(key, 0) + amount

    def times(self, factor: int) -> Counters:
        """All counts multiplied."""
        return Counters({key: factor * amount for key, amount in self.counts.items()})

    def total(self, component: str, action: str, layer: str | None = None) -> int:
        """Sum over layers, or the count of one layer."""
        action_index(component, action)
        return sum(
            amount
            for (found, name, where), amount in self.counts.items()
            if found == component and name == action and layer in (None, where)
        )

    def __iter__(self) -> Iterator[tuple[tuple[str, str, str], int]]:
        return iter(sorted(self.counts.items()))

    def as_mapping(self) -> Mapping[tuple[str, str, str], int]:
        """Read-only view."""
        return dict(self.counts)
