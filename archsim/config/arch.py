"""``archsim.arch/1``: an accelerator. Every hardware default lives here; presets only override."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, model_validator

from archsim.config.base import ConfigModel
from archsim.config.mapping import MappingSpec
from archsim.config.workload import Logit, MagnitudeSum, Name

Count = Annotated[int, Field(ge=1, le=1 << 16)]
Bits = Literal[4, 8, 16, 32]


class ClockSpec(ConfigModel):
    core_mhz: Annotated[int, Field(ge=1, le=10_000)] = 200
    """Clock of everything but the DRAM; the DRAM clock must be an integer multiple of it."""
    idle: Literal["running", "clock_gated", "power_gated"] = "running"
    """From an exit or the last layer to the next arrival (``--arrivals``): the clock runs, stops, or the supply of the
    logic is off. SRAM keeps its contents."""


class PrecisionSpec(ConfigModel):
    activation_bits: Bits = 8
    """Width of activations for timing, buffer space and energy. Values are computed in 8 bits whatever stands here."""
    weight_bits: Bits = 8
    """Width of weights, likewise."""
    psum_bits: Bits = 32
    """Width of partial sums in scratchpads, on the NoC and in the global buffer."""


class ScratchpadSpec(ConfigModel):
    """Words of each kind that one PE holds (Eyeriss: 12, 224, 24)."""

    ifmap_words: Count = 12
    """Activations that one PE holds."""
    filter_words: Count = 224
    """Weights that one PE holds."""
    psum_words: Count = 24
    """Partial sums that one PE holds."""


class NocSpec(ConfigModel):
    """Widths of the buses between global buffer and PE array; a word is multicast in one bus cycle."""

    ifmap_bytes_per_cycle: Count = 4
    """Width of the bus that carries activations to the array; a word is multicast in one bus cycle."""
    filter_bytes_per_cycle: Count = 8
    """The same for weights."""
    psum_bytes_per_cycle: Count = 16
    """The same for partial sums and outputs, both ways."""


class PeArraySpec(ConfigModel):
    rows: Annotated[int, Field(ge=1, le=1024)] = 12
    """Rows of PEs."""
    cols: Annotated[int, Field(ge=1, le=1024)] = 14
    """Columns of PEs."""
    dataflow: Literal["row_stationary", "weight_stationary", "output_stationary", "input_stationary"] = (
        "row_stationary"
    )
    """How a layer is mapped on the array; ``archsim list`` shows those that are available."""
    zero: Literal["none", "gate", "skip"] = "gate"
    """What a zero activation does: costs a MAC, costs its cycle but no MAC energy, costs neither."""
    start: Literal["filled", "arrival"] = "filled"
    """When PEs start on a pass: with filters and first windows in all scratchpads, or each word as it arrives."""
    mapping: Literal["energy", "cycles", "traffic"] = "energy"
    """What mappings are chosen for: energy and time; cycles, then traffic; DRAM bytes, buffer bytes, then cycles."""
    scratchpad: ScratchpadSpec = ScratchpadSpec()
    noc: NocSpec = NocSpec()


class GlobalBufferSpec(ConfigModel):
    size_kib: Annotated[int, Field(ge=1, le=1 << 20)] = 108
    """Size of the buffer, in KiB."""
    filter_kib: Annotated[int, Field(ge=1, le=1 << 20)] = 8
    """Part of ``size_kib`` that double-buffers filters; the rest holds feature maps and partial sums."""
    banks: Count = 27
    """Banks it is built of. Energy of an access depends on the size of a bank; timing does with ``access: banks``."""
    access: Literal["port", "banks"] = "port"
    """One port that array, loads and stores share; or a port each, which meet where they want the same bank."""
    sharing: Literal["byte", "bank"] = "byte"
    """What activations and partial sums share: every byte, or banks, each of which holds one of the two."""
    port_bytes_per_cycle: Count = 32
    """Bytes that a port between buffer, DMA and NoC moves in a cycle (reads and writes together)."""
    burst_bytes: Annotated[int, Field(ge=1, le=4096)] = 64
    """A transaction is served in bursts of this size, round-robin with the other clients of the port or the bank."""


class DmaSpec(ConfigModel):
    chunk_bytes: Annotated[int, Field(ge=16, le=65536)] = 512
    """Largest piece that is handed to the DRAM at once; the unit of arbitration and of cancelling."""
    outstanding_chunks: Annotated[int, Field(ge=1, le=64)] = 2
    """Chunks that may be between DRAM and global buffer at a time, for each direction."""
    overlap: Literal["all", "weights"] = "all"
    """What moves while the array works: everything, or weights alone; then it stops for loads and stores of maps."""
    compression: Literal["none", "rlc"] = "none"
    """Feature maps in DRAM: plain, or run-length coded (5-bit runs of zeros, as many pairs as 63 of 64 bits hold)."""


class DramSpec(ConfigModel):
    preset: str = "lpddr3-1600-x32"
    """DRAM preset: a built-in name, or a path relative to this file."""
    policy: Literal["in_order", "frfcfs", "frfcfs_row_hit"] = "in_order"
    """Order of service: of arrival; first ready, first come; the same, but older hits keep their row open."""
    address_mapping: Literal["row_bank_column", "row_column_bank"] = "row_bank_column"
    """Address bits from the top: a stream stays in one row, or visits all banks in turn."""
    queue_entries: Annotated[int, Field(ge=1, le=1024)] = 32
    """Bursts that the read buffer, and the write buffer, of the controller hold (first ready, first come only)."""
    idle: Literal["standby", "power_down"] = "standby"
    """Between images (``--arrivals``), rows closed: precharged standby, or power-down. Refreshes go on in both."""


class BranchUnitSpec(ConfigModel):
    macs: Annotated[int, Field(ge=0, le=4096)] = 16
    """MAC lanes; a logit takes ceil(features / macs) cycles. 0: none; classifiers run on the array."""
    tap_lanes: Annotated[int, Field(ge=1, le=1024)] = 16
    """Activations that the pooling registers on the write path take in a cycle."""
    weight_sram_kib: Annotated[int, Field(ge=0, le=1 << 16)] = 24
    """Branch weights stay here across images while they all fit; else each evaluated branch fetches its own."""
    pipeline_cycles: Annotated[int, Field(ge=0, le=1024)] = 5
    """From the last MAC to the exit decision: running top-2, subtraction, comparison."""
    overlap: Literal["serial", "speculative"] = "serial"
    """Whether the next layer waits for the decision or starts meanwhile."""

    @model_validator(mode="after")
    def _sram_is_that_of_the_lanes(self) -> BranchUnitSpec:
        if self.macs == 0 and self.weight_sram_kib > 0:
            raise ValueError("without MAC lanes there are no weights to keep: set weight_sram_kib to 0")
        return self


class DbpUnitSpec(ConfigModel):
    lanes: Annotated[int, Field(ge=1, le=1024)] = 16
    """Activations that the adder tree on the write path takes in a cycle."""
    decision_cycles: Annotated[int, Field(ge=0, le=1024)] = 1
    """From the last activation to run or skip."""


class ControllerSpec(ConfigModel):
    dispatch_cycles: Annotated[int, Field(ge=0, le=1 << 16)] = 4
    """Configuration of the array at the start of a layer."""
    result_cycles: Annotated[int, Field(ge=0, le=1 << 16)] = 4
    """Writing out the class at an exit."""


class ExitOverride(ConfigModel):
    threshold: Logit | None = None


class ExitsSpec(ConfigModel):
    """``enabled`` and, as further keys, a threshold for any branch (``exits.<name>.threshold``)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, ExitOverride]

    enabled: bool = True
    """``false``: no branch exists; every image runs to the end of the trunk."""

    @property
    def thresholds(self) -> dict[str, int | None]:
        """Threshold by branch name, for the branches that are overridden."""
        return {name: override.threshold for name, override in (self.__pydantic_extra__ or {}).items()}


class DbpOverride(ConfigModel):
    min_sum: MagnitudeSum | None = None
    """Replaces the least sum with which the branch ``NAME`` runs; ``null``: that of the workload, 0: none."""
    max_sum: MagnitudeSum | None = None
    """Replaces the greatest sum; ``null``: that of the workload, 1099511627776: none."""


class PruningSpec(ConfigModel):
    """``enabled`` and, as further keys, DBP bounds of any branch (``dbp.<name>.min_sum``, ``dbp.<name>.max_sum``)."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, DbpOverride]

    enabled: bool = True
    """``false``: every branch that an image meets is evaluated."""

    @property
    def bounds(self) -> dict[str, DbpOverride]:
        """Bounds by branch name, for the branches that are overridden."""
        return dict(self.__pydantic_extra__ or {})


class ArchSpec(ConfigModel):
    """One accelerator with the decisions it takes."""

    schema_: Literal["archsim.arch/1"] = Field(alias="schema")
    name: Name
    """As results show it."""
    description: str = ""
    """As ``archsim list`` shows it."""
    energy_table: str = "65nm"
    """Energy table: a built-in name, or a path relative to this file. ``--energy-table`` wins over it."""
    clock: ClockSpec = ClockSpec()
    precision: PrecisionSpec = PrecisionSpec()
    pe_array: PeArraySpec = PeArraySpec()
    global_buffer: GlobalBufferSpec = GlobalBufferSpec()
    dma: DmaSpec = DmaSpec()
    dram: DramSpec = DramSpec()
    branch_unit: BranchUnitSpec = BranchUnitSpec()
    dbp_unit: DbpUnitSpec = DbpUnitSpec()
    controller: ControllerSpec = ControllerSpec()
    exits: ExitsSpec = ExitsSpec()
    dbp: PruningSpec = PruningSpec()
    mappings: Annotated[list[MappingSpec], Field(default_factory=list, max_length=10_000)]
    """Mappings of single layers; those of all others are searched (``pe_array.mapping``)."""
