"""A stage as Lightning sees it: one step of training and of validation."""

from typing import Any

import lightning as L
import torch
from torch import Tensor
from torchmetrics import Metric

from selcn.data.augmentation import Colour, Geometry
from selcn.data.datasets import Batch, as_floats
from selcn.tasks.stages import Stage
from selcn.training.mixing import mix
from selcn.training.optimisers import build_optimiser, build_schedule
from selcn.training.profiling import AUGMENTATION

SEEDS_APART = 1_000_003  # more steps than a training has


class WeighedMean(Metric):
    """Mean of values that stand for different masses; no number where any value is none.

    torchmetrics' own forgets the weights, or else the values that are no numbers.
    """

    total: Tensor
    mass: Tensor

    def __init__(self) -> None:
        super().__init__()
        for name in ("total", "mass"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")

    def update(self, value: Tensor, mass: Tensor | float) -> None:
        """Count one value in."""
        self.total += value * mass
        self.mass += mass

    def compute(self) -> Tensor:
        """The mean."""
        return self.total / self.mass


class StageModule(L.LightningModule):
    """Trains one stage's network: augmentation, loss, score and optimiser.

    All randomness of a step is drawn from the seed and the step's number, so that a resumed run goes on as an unbroken
    one would, and for the whole batch of all processes, so that several train as one would.

    Args:
        stage: what is trained.
        seed: of everything that is drawn.
        rank, world: which of how many processes this is.
    """

    def __init__(self, stage: Stage, seed: int, *, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.stage, self.seed, self.process, self.world = stage, seed, rank, world
        self.network = stage.network()
        self.score, self.val_loss = stage.metric(), WeighedMean()

    def on_fit_start(self) -> None:
        """Bring the stage's constants to the device once, not at every step."""
        self.stage = self.stage.to(self.device)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Loss of an augmented batch; augmentation, mixing and dropout are seeded by the step."""
        generator = self._seeded(self.current_epoch * int(self.trainer.num_training_batches) + number)
        with self.trainer.profiler.profile(AUGMENTATION):  # type: ignore[attr-defined]
            batch = self.stage.seen(augment(batch, self.stage, generator, self.process, self.world))
            how, alpha = self.stage.mixing
            if how:
                batch = mix(batch, how, alpha, generator)
        loss, _logits = self.stage.loss(self.network, batch)
        if self.world > 1:
            loss = self._of_all(loss, self.stage.mass(batch))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.image), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        """Loss and score of a batch as it is."""
        torch.manual_seed(self.seed + number)  # of what a control draws
        batch = self.stage.seen(batch._replace(image=as_floats(batch.image)))
        loss, logits = self.stage.loss(self.network, batch)
        self.stage.update(self.score, logits, batch)
        # Weighed as the loss itself is, so that the mean does not depend on how images fall into batches.
        self.val_loss.update(loss, self.stage.mass(batch))
        self.log("val_loss", self.val_loss, batch_size=len(batch.image))
        self.log(f"val_{self.stage.score}", self.score, batch_size=len(batch.image))

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of shapes
        """Optimiser and schedule of the section, counted in the run's true number of steps."""
        optimiser = build_optimiser(self.network, self.stage.section)
        schedule = build_schedule(optimiser, self.stage.section, int(self.trainer.estimated_stepping_batches))
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _of_all(self, loss: Tensor, mass: Tensor | float) -> Tensor:
        """This process's part in the mean over the whole batch: what DDP averages is then that mean itself."""
        own = torch.as_tensor(mass, device=loss.device)
        whole = own.clone()
        torch.distributed.all_reduce(whole)
        return loss * own * self.world / whole

    def _seeded(self, step: int) -> torch.Generator:
        step_seed = self.seed * SEEDS_APART + step
        torch.manual_seed(step_seed + self.process * SEEDS_APART**2)
        return torch.Generator().manual_seed(step_seed)


def augment(batch: Batch, stage: Stage, generator: torch.Generator, rank: int = 0, world: int = 1) -> Batch:
    """Draw one geometry for image, mask and saliency, and one colour for the image; apply them.

    Drawn is for the whole batch of ``world`` processes; this one has every ``world``-th image of it, from ``rank`` on.
    """
    images, ranges = as_floats(batch.image), stage.section.augment
    own, whole = slice(rank, None, world), len(images) * world
    geometry = Geometry.draw(whole, ranges, generator).of(own)
    if batch.copy.numel():
        geometry = geometry.of_copies(batch.copy.cpu())
    colour = Colour.draw(whole, ranges, generator).of(own)
    aspect = images.shape[3] / images.shape[2]
    saliency = geometry.apply(batch.saliency, aspect) if batch.saliency.numel() else batch.saliency
    return batch._replace(
        image=colour.apply(geometry.apply(images, aspect)),
        mask=(geometry.apply(batch.mask.float(), aspect) > 0.5).float(),
        saliency=saliency,
    )
