"""Open an Optuna study in a journal file or a database."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import optuna
from optuna.pruners import BasePruner, MedianPruner, NopPruner, SuccessiveHalvingPruner
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from selcn.errors import ConfigError

RETRY = "retry of"
"""Attribute of a retried trial: the number of the trial that a killed worker did not finish."""
ENDED = (TrialState.COMPLETE, TrialState.PRUNED)


def open_study(name: str, storage: str, *, pruner: str = "halving") -> optuna.Study:
    """Open a study that maximises the score, or create it.

    Args:
        name: of the study.
        storage: URL of a database such as `postgresql+psycopg://user@host/db`, or the path of a journal file.
        pruner: `halving` (asynchronous successive halving, Li et al. 2020, arXiv:1810.05934), `median` or `none`.

    Raises:
        ConfigError: the storage cannot be reached.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with _quiet():
            return optuna.create_study(
                storage=_storage(storage),
                study_name=name,
                direction="maximize",
                load_if_exists=True,
                pruner=_pruner(pruner),
            )
    except (SQLAlchemyError, ImportError, OSError, optuna.exceptions.StorageInternalError) as error:
        reason = " ".join(str(error.__cause__ or error).split())[:150]
        raise ConfigError(
            f"--storage {_shown(storage)}: cannot be reached ({reason}); check address, server and driver "
            "(pip install 'selcn[postgres]' for postgresql+psycopg)"
        ) from None


def retry(study: optuna.Study, trial: FrozenTrial) -> None:
    """Mark a trial that a killed worker left running as failed, and queue its parameters again.

    Args:
        study: that holds the trial.
        trial: in state RUNNING.
    """
    study.tell(trial.number, state=TrialState.FAIL)
    study.enqueue_trial(trial.params, user_attrs={RETRY: trial.number})


def _storage(storage: str) -> BaseStorage:
    if "://" in storage:
        return RDBStorage(storage)
    Path(storage).parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(storage))


def _pruner(name: str) -> BasePruner:
    match name:
        case "halving":
            return SuccessiveHalvingPruner(min_resource=2, reduction_factor=3)
        case "median":
            return MedianPruner(n_startup_trials=4, n_warmup_steps=1)
        case _:
            return NopPruner()


def _shown(storage: str) -> str:
    """A storage's address without its password."""
    parts = urlsplit(storage)
    if not parts.password:
        return storage
    return urlunsplit(parts._replace(netloc=parts.netloc.replace(f":{parts.password}", ":…")))


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        yield
