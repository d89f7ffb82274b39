"""Search instead of a grid: the next points are chosen from the results of those before. Optuna chooses.

Points are asked for and told about a batch at a time and in order, so that a search does not depend on how many workers
there are or which of them is quicker, and repeats exactly. For the same reason ``--resume`` needs no state of the
sampler: it plays the search again from its seed, and points that have a result take no time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from archsim.errors import InvalidInput, MissingExtra, Problem, did_you_mean
from archsim.explore.axis import Axis
from archsim.explore.runner import Runner
from archsim.explore.space import Params, Point, Space
from archsim.explore.spec import SearchSpec, SweepSpec
from archsim.explore.table import QUANTITIES, column_of
from archsim.explore.task import OK, Outcome

if TYPE_CHECKING:
    import optuna

JOURNAL = "study.journal"
_REFUSALS = 1000
"""Points in a row that violate a constraint before the search gives up."""


def search(space: Space, spec: SearchSpec, runner: Runner, folder: Path) -> None:
    """Try ``spec.points`` points, with those that other hosts have tried in the same study.

    Raises MissingExtra without optuna; InvalidInput for an objective that results do not have, a storage that cannot be
    used, and constraints that nothing satisfies.
    """
    study = _study(space.spec, spec, folder)
    for params in spec.start:
        study.enqueue_trial(_checked_start(space, params))
    number = 0
    while (left := spec.points - _tried(study)) > 0:
        trials = [_ask(study, space) for _ in range(min(spec.batch, left))]
        points = [Point(number + index, dict(trial.params)) for index, trial in enumerate(trials)]
        number += len(points)
        runner.run(points)
        for trial, point in zip(trials, points, strict=True):
            _tell(study, trial, spec, runner.outcome(point))


def _study(sweep: SweepSpec, spec: SearchSpec, folder: Path) -> optuna.Study:
    """An empty study in the journal of the folder, or the one that several hosts share."""
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise MissingExtra("dse", "search") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    samplers: dict[str, Callable[[], Any]] = {
        "nsga2": lambda: optuna.samplers.NSGAIISampler(population_size=max(2, spec.batch), seed=spec.seed),
        "tpe": lambda: optuna.samplers.TPESampler(n_startup_trials=spec.batch, seed=spec.seed),
    }
    storage: Any = spec.storage
    if storage is None:
        journal = folder / JOURNAL
        journal.unlink(missing_ok=True)
        storage = JournalStorage(JournalFileBackend(str(journal)))
    try:
        return optuna.create_study(
            storage=storage,
            study_name=sweep.name,
            sampler=samplers[spec.sampler](),
            directions=["minimize" if better == "min" else "maximize" for better in spec.objectives.values()],
            load_if_exists=True,
        )
    except Exception as error:  # whatever the database raises
        if spec.storage is None:
            raise
        message = f"cannot be used ({type(error).__name__}: {str(error).splitlines()[0]})"
        raise InvalidInput(
            [Problem("search.storage", "", message, "for example sqlite:///study.db")]
        ) from None


def _tried(study: optuna.Study) -> int:
    """Trials that count, of all hosts; those that violate a constraint do not."""
    return sum(
        "refused" not in trial.user_attrs for trial in study.get_trials(deepcopy=False, states=_finished())
    )


def _finished() -> Any:
    from optuna.trial import TrialState

    return (TrialState.COMPLETE, TrialState.FAIL)


def _ask(study: optuna.Study, space: Space) -> optuna.Trial:
    """The next trial whose point satisfies the constraints."""
    from optuna.trial import TrialState

    for _ in range(_REFUSALS):
        trial = study.ask()
        params: Params = {axis.key: _suggest(trial, axis) for axis in space.axes}
        if space.allows(params):
            return trial
        trial.set_user_attr("refused", True)
        study.tell(trial, state=TrialState.FAIL)
    message = f"found no point that satisfies them in {_REFUSALS} tries"
    raise InvalidInput([Problem("constraints", "", message, "loosen them")])


def _suggest(trial: optuna.Trial, axis: Axis) -> Any:
    interval = axis.interval
    if interval is None:
        return trial.suggest_categorical(axis.key, axis.values)
    if axis.is_integer:
        return trial.suggest_int(axis.key, int(interval.low), int(interval.high), log=interval.log)
    return trial.suggest_float(axis.key, interval.low, interval.high, log=interval.log)


def _tell(study: optuna.Study, trial: optuna.Trial, spec: SearchSpec, outcome: Outcome) -> None:
    from optuna.trial import TrialState

    if outcome.status != OK:
        study.tell(trial, state=TrialState.FAIL)
        return
    study.tell(trial, [_objective(outcome.result, name) for name in spec.objectives])


def _objective(result: dict[str, Any], name: str) -> float:
    value = result.get(column_of(name))
    if isinstance(value, bool) or not isinstance(value, int | float):
        numeric = [key for key, found in result.items() if isinstance(found, int | float)]
        hint = did_you_mean(name, [*QUANTITIES, *numeric])
        hint = f"among others: {', '.join(QUANTITIES)}" if hint.startswith("allowed") else hint
        raise InvalidInput([Problem("search.objectives", name, "no such number in the results", hint)])
    return float(value)


def _checked_start(space: Space, params: Params) -> Params:
    """A point to start with, whose values the space holds."""
    problems = list(_start_problems(space, params))
    if problems:
        raise InvalidInput(problems)
    return params


def _start_problems(space: Space, params: Params) -> Iterator[Problem]:
    axes = {axis.key: axis for axis in space.axes}
    for key, value in params.items():
        axis = axes.get(key)
        if axis is None:
            yield Problem("search.start", key, "not varied by the space", did_you_mean(key, axes))
        elif axis.interval is None and value not in axis.values:
            yield Problem("search.start", key, f"found {value}, expected one of its values in the space")
        elif axis.interval is not None and not (
            isinstance(value, int | float) and axis.interval.low <= value <= axis.interval.high
        ):
            bounds = f"{axis.interval.low} to {axis.interval.high}"
            yield Problem("search.start", key, f"found {value}, expected a number from {bounds}")
