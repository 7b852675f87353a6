"""Where `init` of a configuration finds its weights: a bundle, a network of a run on every fold, or one file."""

from pathlib import Path

from selcn.config import ClassifierSpec, SegmenterSpec, load_config, split_reference
from selcn.data.catalog import read_catalog
from selcn.errors import ConfigError, SelcnError
from selcn.inference.bundle import MANIFEST as CHECKSUMS
from selcn.inference.bundle import WEIGHTS as BUNDLE_WEIGHTS
from selcn.inference.bundle import read_config
from selcn.models.start import Start
from selcn.runs.folder import RunFolder, with_present_classes
from selcn.training.trainer import WEIGHTS


def find_start(reference: str, network: str, fold: int) -> Start:
    """The weights from which the training of a network without one fold starts.

    Args:
        reference: `BUNDLE`, `BUNDLE#NETWORK`, `RUN/networks/NETWORK` or a safetensors file.
        network: name of the network that is trained, and of the bundle's where none is named.
        fold: of a bundle or a run that one is taken which was trained without fold ``fold`` modulo their number.

    Raises:
        ConfigError: there is no such bundle, network or file.
        RunError: the bundle is incomplete or was changed.
    """
    path, named = split_reference(reference)
    if (path / CHECKSUMS).is_file():
        return _of_bundle(reference, path, named or network, fold)
    file = network_file(path, fold)
    run = run_of(file)
    try:
        spec = _spec_in(RunFolder(run), file.parent.parent.name) if run else None
    except (SelcnError, KeyError):  # of another version; the shapes of the weights are compared all the same
        spec = None
    return Start(reference, file, spec=spec)


def _spec_in(folder: RunFolder, network: str) -> SegmenterSpec | ClassifierSpec:
    """The specification of a network of a run, with the classes that it was trained on."""
    config = with_present_classes(load_config(folder.config), read_catalog(folder.catalog))
    return config.graph.nodes[network].section.spec


def network_file(path: Path, fold: int) -> Path:
    """The safetensors file that a path means for a fold.

    Args:
        path: of a file, or of a folder with `fold-0`, `fold-1` ... of a run.
        fold: taken modulo the number of those.

    Raises:
        ConfigError: there is no such file.
    """
    folds = len(list(path.glob(f"fold-*/{WEIGHTS}")))
    file = path / f"fold-{fold % folds}" / WEIGHTS if folds else path
    if not file.is_file():
        raise ConfigError(
            f"init {path}: no weights there; give BUNDLE#NETWORK, RUN/networks/NETWORK or a {WEIGHTS} file of a run"
        )
    return file


def run_of(file: Path) -> Path | None:
    """Folder of the run that a network's file belongs to; None for a file that lies elsewhere.

    Args:
        file: such as `RUN/networks/NAME/fold-0/network.safetensors`.
    """
    run = file.resolve().parents[3] if len(file.resolve().parents) > 3 else None
    return run if run and (run / "config.yaml").is_file() and file.parent.name.startswith("fold-") else None


def _of_bundle(reference: str, bundle: Path, network: str, fold: int) -> Start:
    config = read_config(bundle)
    if network not in config.networks:
        raise ConfigError(f"init {reference}: has no network {network}; it has {', '.join(config.networks)}")
    prefix = f"members.{fold % config.members}.networks.{network}."
    return Start(reference, bundle / BUNDLE_WEIGHTS, prefix, config.networks[network])
