"""The bundles of a server: the first answers, unless a request names another."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from selcn.errors import ConfigError, SelcnError
from selcn.inference.predictor import Predictor
from selcn.serving.schema import Identity
from selcn.serving.service import Resources, Service

MIN_DIGITS = 8
"""Of a hash's beginning that names a bundle."""


class UnknownModel(SelcnError):  # noqa: N818 - what the request has
    """No bundle, or not a single one, is called as a request says."""


class Models:
    """The bundles of a server.

    Args:
        predictors: of the bundles, the default first.
        shared: by all of them.

    Raises:
        ConfigError: a bundle is given twice.
    """

    def __init__(self, predictors: Sequence[Predictor], shared: Resources) -> None:
        self.shared = shared
        self.services = [Service(predictor, shared) for predictor in predictors]
        hashes = [identity.hash for identity in self.identities]
        for number, identity in enumerate(self.identities):
            if identity.hash in hashes[:number]:
                raise ConfigError(f"bundle {identity.name}: is given twice; leave one of them out")

    @property
    def default(self) -> Service:
        """That of requests which name none."""
        return self.services[0]

    @property
    def identities(self) -> list[Identity]:
        """Of the bundles, in their order."""
        return [service.identity for service in self.services]

    @property
    def ready(self) -> bool:
        """Whether the networks of every bundle have predicted."""
        return all(service.ready for service in self.services)

    def find(self, asked: str | None) -> Service:
        """The bundle that a request names.

        Args:
            asked: its name, or the beginning of its hash; None for the default.

        Raises:
            UnknownModel: there is none, or several have the name.
        """
        if asked is None:
            return self.default
        found = [one for one in self.services if one.identity.name == asked]
        if not found and len(asked) >= MIN_DIGITS:
            found = [one for one in self.services if one.identity.hash.startswith(asked)]
        if len(found) == 1:
            return found[0]
        if found:
            hashes = ", ".join(one.identity.hash[:12] for one in found)
            raise UnknownModel(f"{len(found)} models are called {asked}; write the beginning of a hash: {hashes}")
        raise UnknownModel(f"no model is called {asked}; known are {', '.join(one.name for one in self.identities)}")

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Predict within this context."""
        tasks = [asyncio.create_task(service.run()) for service in self.services]
        self.shared.metrics.show_models(self.identities)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            self.shared.threads.close()
            await asyncio.gather(*tasks, return_exceptions=True)
