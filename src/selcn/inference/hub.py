"""Bundles on the Hugging Face hub: `hf://owner/name@revision` to a folder in the hub's cache, and a bundle to the hub.

A revision is a branch, a tag or a commit; only a commit always means the same bundle. What comes from the hub is
verified by the bundle's own checksums when it is loaded. The hub's environment variables hold here: HF_HUB_OFFLINE,
HF_ENDPOINT, HF_HOME, HF_TOKEN.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

from selcn.errors import ConfigError, RunError, require_extra
from selcn.inference.bundle import WEIGHTS, Engine, bundle_files, read_config

# As a path of a command line the address has a single slash.
_ADDRESS = re.compile(r"hf:/{1,2}(?P<repository>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
logger = logging.getLogger(__name__)


class HubAddress(NamedTuple):
    """A bundle's place on the hub.

    Attributes:
        repository: `owner/name`.
        revision: branch, tag or commit; None for the newest commit of the default branch.
    """

    repository: str
    revision: str | None

    @property
    def pinned(self) -> bool:
        """Whether it is a commit, which always means the same files."""
        return bool(self.revision and _COMMIT.fullmatch(self.revision))

    def __str__(self) -> str:
        return f"hf://{self.repository}{f'@{self.revision}' if self.revision else ''}"


def parse_address(text: str | Path) -> HubAddress | None:
    """The address that a text such as `hf://owner/name@revision` holds; None of a folder's path.

    Args:
        text: address or path.

    Raises:
        ConfigError: it begins with `hf:/` and is no address.
    """
    written = text.as_posix() if isinstance(text, Path) else text
    if not written.startswith("hf:/"):
        return None
    found = _ADDRESS.fullmatch(written)
    if found is None:
        raise ConfigError(f"{written}: is no address; write hf://owner/name or hf://owner/name@revision")
    return HubAddress(**found.groupdict())


def locate_bundle(bundle: str | Path, engine: str = Engine.TORCH) -> Path:
    """The folder of a bundle, which is fetched first if it is on the hub.

    Args:
        bundle: folder, or `hf://owner/name@revision`.
        engine: a name of `selcn.inference.bundle.Engine`; what other engines alone need is not fetched.

    Raises:
        ConfigError: no address, or the extra `hub` is not installed.
        RunError: there is no such repository or revision, or it can be neither fetched nor found in the cache.
    """
    address = parse_address(bundle)
    if address is None:
        return Path(bundle)
    hub = _library(address)
    others = [f"{other}/*" for other in Engine if other not in (engine, Engine.TORCH)]
    ignored = others if engine == Engine.TORCH else [*others, "plain/*", WEIGHTS]
    with _in_one_line(address):
        folder = Path(hub.snapshot_download(address.repository, revision=address.revision, ignore_patterns=ignored))
    if not address.pinned:
        logger.info("%s: is now hf://%s@%s; write this to stay with it", address, address.repository, folder.name)
    return folder


def push_bundle(folder: Path, target: str) -> str:
    """Upload a bundle to the hub as one commit, after verifying it; a repository that is not there is made, private.

    Files of the repository that the bundle does not have are removed, so that a commit holds one bundle and no more.

    Args:
        folder: of the bundle.
        target: `hf://owner/name`, or `hf://owner/name@branch`.

    Returns:
        The address of the commit.

    Raises:
        ConfigError: no address, a commit in place of a branch, or the extra `hub` is not installed.
        RunError: no bundle, a file of it was changed, or the hub refuses.
    """
    address = parse_target(target)
    config = read_config(folder)
    hub = _library(address)
    with _in_one_line(address):
        api = hub.HfApi()
        api.create_repo(address.repository, private=True, exist_ok=True)
        if address.revision:
            api.create_branch(address.repository, branch=address.revision, exist_ok=True)
        files = bundle_files(folder)
        stale = set(api.list_repo_files(address.repository, revision=address.revision)) - {*files, ".gitattributes"}
        done = api.create_commit(
            address.repository,
            [
                *(hub.CommitOperationAdd(name, str(folder / name)) for name in files),
                *(hub.CommitOperationDelete(name) for name in sorted(stale)),
            ],
            commit_message=f"{config.name}: {config.target}, by selcn {config.selcn}",
            revision=address.revision,
        )
    return str(HubAddress(address.repository, done.oid))


def parse_target(text: str) -> HubAddress:
    """The address to push to.

    Args:
        text: `hf://owner/name`, or `hf://owner/name@branch`.

    Raises:
        ConfigError: no address, or a commit in place of a branch.
    """
    address = parse_address(text)
    if address is None:
        raise ConfigError(f"--push {text}: is no address; write hf://owner/name")
    if address.pinned:
        raise ConfigError(f"--push {text}: nothing can be pushed to a commit; name a branch, or leave it out")
    return address


def _library(address: HubAddress) -> ModuleType:
    return require_extra("huggingface_hub", "hub", f"{address}: the hub")


@contextmanager
def _in_one_line(address: HubAddress) -> Iterator[None]:
    """Turn what the hub's library raises into one line with its remedy."""
    from huggingface_hub import constants, errors

    try:
        yield
    except (errors.RepositoryNotFoundError, errors.GatedRepoError):
        raise RunError(f"{address}: no such repository, or not yours; check its name, or `hf auth login`") from None
    except errors.RevisionNotFoundError:
        raise RunError(f"{address}: the repository has no such revision; give a branch, a tag or a commit") from None
    except errors.LocalEntryNotFoundError as error:
        if constants.HF_HUB_OFFLINE:
            raise RunError(
                f"{address}: is not in the hub's cache, and HF_HUB_OFFLINE is set; fetch it once without"
            ) from None
        raise RunError(f"{address}: the hub cannot be reached ({_cause(error)}); check the connection") from None
    except (OSError, ValueError, errors.HTTPError) as error:  # type: ignore[attr-defined]  # httpx's, not in its __all__
        raise RunError(f"{address}: {_cause(error)}; check the connection, and HF_TOKEN") from None


def _cause(error: BaseException) -> str:
    return " ".join(str(error.__cause__ or error).split()).partition(" For more information")[0][:200]
