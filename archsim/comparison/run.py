"""``compare``: one workload on one accelerator against baselines, with the attribution ladder and what bounds it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archsim import __version__
from archsim.comparison.bounds import Bound, batch_limit, oracle
from archsim.comparison.cases import Case, Request, merged, settings
from archsim.comparison.ladder import Step, ladder, without_dbp
from archsim.comparison.records import Baseline, Comparison, Control, Measured, Rung, Variation
from archsim.comparison.relate import against, differences, measured, paired, ratio_pairs, saving, saving_pair
from archsim.comparison.runs import Machine, Progress, Run, Runs
from archsim.comparison.store import write_comparison
from archsim.energy.area import with_area
from archsim.errors import InvalidInput
from archsim.network.overrides import with_overrides
from archsim.results.defaults import COMPARE_ENGINE, DEFAULT_ARCH, DEFAULT_SEED
from archsim.results.host import Stopwatch
from archsim.results.queueing import BACK_TO_BACK, parse_arrivals
from archsim.results.store import check_out_dir

DEFAULT_BASELINE = "dense-rs"


def compare(
    workloads: Sequence[str],
    *,
    arch: str = DEFAULT_ARCH,
    baselines: Sequence[str] = (DEFAULT_BASELINE,),
    baseline_workloads: Sequence[str] = (),
    conventional: str | None = None,
    energy_table: str | None = None,
    images: int | None = None,
    data: str | None = None,
    overrides: Sequence[str] = (),
    vary: Sequence[str] = (),
    engine: str = COMPARE_ENGINE,
    arrivals: str | None = None,
    seed: int = DEFAULT_SEED,
    out_dir: Path | None = None,
    progress: Progress | None = None,
) -> Comparison:
    """Speed-up, energy saving and accuracy of workloads on an accelerator, against baselines on the same images.

    baseline_workloads: one a baseline, or one for all; each workload itself where there are none. conventional: a
    workload with conventional branches, for the ladder. overrides: ``KEY=VALUE`` for the accelerator and, but for what
    decides (``exits``, ``dbp``, ``branch_unit``, ``dbp_unit``), for all baselines. vary: ``KEY=V1,V2``, values with
    each of which accelerator and baselines are compared again. Everything else as in :func:`archsim.api.simulate`.
    out_dir: where to write ``comparison.json``, tables as CSV and a folder a run.
    Raises InvalidInput for anything that cannot be used, or when the images of two workloads are not the same.
    """
    watch = Stopwatch()
    if out_dir is not None:
        check_out_dir(out_dir)
    parse_arrivals(arrivals or BACK_TO_BACK)
    requests = [
        Request(
            workload=workload,
            arch=arch,
            baselines=_pairs(workload, baselines, baseline_workloads),
            conventional=conventional,
            overrides=merged(overrides),
            energy_table=energy_table,
            images=images,
            data=data,
            engine=engine,
            arrivals=arrivals,
            seed=seed,
        )
        for workload in workloads
    ]
    runs = Runs(requests[0])
    values = [setting for text in vary for setting in settings(text)]
    plans = [Plan.of(request, runs, values) for request in requests]
    runs.run_all([machine for plan in plans for machine in plan.machines], progress)
    found = [_compared(plan, runs) for plan in plans]
    result = replace(found[0], others=tuple(found[1:]), host=watch.stop())
    return write_comparison(result, runs.results.values(), out_dir) if out_dir is not None else result


def _pairs(workload: str, baselines: Sequence[str], workloads: Sequence[str]) -> tuple[tuple[str, str], ...]:
    names = list(workloads) or [workload]
    if len(names) == 1:
        names *= len(baselines)
    return tuple(zip(baselines, names, strict=True))


@dataclass(frozen=True)
class Plan:
    """Everything that one workload is compared by, read and checked, before anything runs.

    equal_area: one a baseline, None where it is as large as ours. without_dbp: None where DBP has nothing to decide.
    varied: by setting, ours and the baselines under it.
    """

    request: Request
    ours: Machine
    baselines: tuple[Machine, ...]
    equal_area: tuple[Machine | None, ...]
    steps: tuple[Step, ...]
    rungs: tuple[Machine, ...]
    without_dbp: Machine | None
    varied: dict[str, tuple[Machine, ...]]

    @classmethod
    def of(cls, request: Request, runs: Runs, values: Sequence[str]) -> Plan:
        """Raises InvalidInput listing the problems of all files."""
        ours, *baselines = runs.machines(_pair_cases(request))
        network = with_overrides(runs.workload(request.workload).network, ours.spec.exits, ours.spec.dbp)
        steps = ladder(request, ours.spec, network)
        prunes = ours.spec.exits.enabled and ours.spec.dbp.enabled
        has_bounds = any(branch.dbp is not None for branch in network.branches)
        unpruned = [without_dbp(request)] if prunes and has_bounds else []
        rungs = runs.machines(step.case for step in steps)
        return cls(
            request=request,
            ours=ours,
            baselines=tuple(baselines),
            equal_area=tuple(_as_large_as(ours, machine, runs) for machine in baselines),
            steps=steps,
            rungs=tuple(rungs),
            without_dbp=next(iter(runs.machines(unpruned)), None),
            varied={value: tuple(runs.machines(_pair_cases(request.but(value)))) for value in values},
        )

    @property
    def machines(self) -> list[Machine]:
        """All that must be run."""
        optional = [machine for machine in (*self.equal_area, self.without_dbp) if machine is not None]
        varied = [machine for machines in self.varied.values() for machine in machines]
        return [self.ours, *self.baselines, *self.rungs, *optional, *varied]


def _pair_cases(request: Request) -> list[Case]:
    return [request.ours, *request.baseline_cases]


def _as_large_as(ours: Machine, baseline: Machine, runs: Runs) -> Machine | None:
    """A baseline with a buffer that takes the area which ours has beyond it; None where there is none."""
    try:
        larger = with_area(baseline.spec, baseline.table, ours.energy.area.total_mm2).global_buffer
    except InvalidInput:  # it needs more without any buffer
        return None
    if larger.size_kib <= baseline.spec.global_buffer.size_kib:
        return None
    sizes = (f"global_buffer.size_kib={larger.size_kib}", f"global_buffer.banks={larger.banks}")
    return runs.machines([baseline.case.but(*sizes)])[0]


def _compared(plan: Plan, runs: Runs) -> Comparison:
    ours = runs.run(plan.ours)
    result = ours.result
    baselines = tuple(
        _baseline(ours, machine, larger, plan, runs)
        for machine, larger in zip(plan.baselines, plan.equal_area, strict=True)
    )
    return Comparison(
        workload=result.workload,
        arch=plan.ours.spec.name,
        energy_table=result.energy_table,
        images=result.images,
        batch=1,
        arrivals=result.arrivals,
        engine=result.engine,
        seed=result.seed,
        version=__version__,
        overrides=plan.request.overrides,
        ours=measured(ours),
        baselines=baselines,
        ladder=_rungs(plan, runs),
        controls=_controls(plan, runs, baselines[0]),
        variations=tuple(_variation(setting, machines, runs) for setting, machines in plan.varied.items()),
        host=result.host,
    )


def _baseline(ours: Run, machine: Machine, larger: Machine | None, plan: Plan, runs: Runs) -> Baseline:
    baseline, first = runs.run(machine), runs.run(plan.baselines[0])
    decides = baseline.spec.exits.enabled and any(baseline.result.branches)
    limited = not decides and plan.request.arrivals is None
    network = runs.workload(baseline.case.workload).network
    to_first = ratio_pairs(baseline, first)
    return Baseline(
        **vars(against(ours, baseline)),
        differs_in=differences(ours, baseline),
        dram_energy_counted=baseline.machine.counts_dram_energy,
        equal_area=None if larger is None else against(ours, runs.run(larger)),
        batch_limit=batch_limit(ours, baseline, network) if limited else None,
        speed_to_first_range=to_first[0],
        energy_to_first_range=to_first[1],
    )


def _variation(setting: str, machines: tuple[Machine, ...], runs: Runs) -> Variation:
    ours, *baselines = (runs.run(machine) for machine in machines)
    return Variation(setting, measured(ours), tuple(against(ours, baseline) for baseline in baselines))


def _rungs(plan: Plan, runs: Runs) -> tuple[Rung, ...]:
    found: list[Rung] = []
    first = before = runs.run(plan.rungs[0])
    for step, machine in zip(plan.steps, plan.rungs, strict=True):
        run = runs.run(machine)
        found.append(_rung(step, run, first, before))
        before = run
    return tuple(found)


def _rung(step: Step, run: Run, first: Run, before: Run) -> Rung:
    mine, at_first, previous = (measured(each) for each in (run, first, before))
    return Rung(
        **vars(mine),
        step=step.name,
        note=step.note,
        speedup=at_first.cycles_mean / mine.cycles_mean,
        energy_saving=saving(mine.energy_uj_per_image, at_first.energy_uj_per_image),
        energy_saving_range=saving_pair(run.result.energy_terms, first.result.energy_terms),
        step_speedup=previous.cycles_mean / mine.cycles_mean,
        step_energy_saving=saving(mine.energy_uj_per_image, previous.energy_uj_per_image),
        step_energy_saving_range=saving_pair(run.result.energy_terms, before.result.energy_terms),
        step_saved_by_component_uj={
            name: energy_uj - mine.energy_by_component_uj[name]
            for name, energy_uj in previous.energy_by_component_uj.items()
        },
        paired=paired(run, first),
    )


def _controls(plan: Plan, runs: Runs, first: Measured) -> tuple[Control, ...]:
    """Oracles and DBP switched off; with arrivals no oracle, which has no queue."""
    bounds: dict[str, Bound] = {}
    network = runs.workload(plan.request.workload).network
    if plan.ours.spec.exits.enabled and network.branches and plan.request.arrivals is None:
        machine = plan.without_dbp or Machine.of(without_dbp(plan.request), plan.request.energy_table)
        trace = runs.trace(plan.request.workload)
        bounds["oracle_exit"], bounds["ideal"] = oracle(machine, network, trace, plan.request.engine)
    if plan.without_dbp is not None:
        found = measured(runs.run(plan.without_dbp))
        bounds["without_dbp"] = Bound(found.accuracy, found.cycles_mean, found.energy_uj_per_image)
    return tuple(_control(name, bound, plan, first) for name, bound in bounds.items())


def _control(name: str, bound: Bound, plan: Plan, first: Measured) -> Control:
    clocks = plan.ours.spec.clock.core_mhz / plan.baselines[0].spec.clock.core_mhz
    return Control(
        name=name,
        accuracy=bound.accuracy,
        cycles_mean=bound.cycles_mean,
        energy_uj_per_image=bound.energy_uj_per_image,
        speedup=clocks * first.cycles_mean / bound.cycles_mean,
        energy_saving=saving(bound.energy_uj_per_image, first.energy_uj_per_image),
    )
