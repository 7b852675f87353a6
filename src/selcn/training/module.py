"""A task as Lightning sees it: one step of training and of validation."""

from typing import Any

import lightning as L
import torch
from torch import Tensor
from torchmetrics import Metric

from selcn.data.augmentation import Colour, Geometry
from selcn.data.datasets import Batch, as_floats
from selcn.tasks.task import Task
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


class TrainingModule(L.LightningModule):
    """Trains one network: augmentation, loss, score and optimiser.

    All randomness of a step is drawn from the seed and the step's number, so that a resumed run goes on as an unbroken
    one would, and for the whole batch of all processes, so that several train as one would.

    Args:
        task: what is trained.
        seed: of everything that is drawn.
        rank, world: which of how many processes this is.
    """

    def __init__(self, task: Task, seed: int, *, rank: int = 0, world: int = 1) -> None:
        super().__init__()
        self.task, self.seed, self.process, self.world = task, seed, rank, world
        self.network = task.build()
        self.score, self.val_loss = task.metric(), WeighedMean()

    def on_fit_start(self) -> None:
        """Bring the task's constants to the device once, not at every step."""
        self.task = self.task.to(self.device)

    def training_step(self, batch: Batch, number: int) -> Tensor:
        """Loss of an augmented batch; augmentation, mixing and dropout are seeded by the step."""
        generator = self._seeded(self.current_epoch * int(self.trainer.num_training_batches) + number)
        with self.trainer.profiler.profile(AUGMENTATION):  # type: ignore[attr-defined]
            batch = self.task.look(augment(batch, self.task, generator, self.process, self.world))
            how, alpha = self.task.mixing
            if how:
                batch = mix(batch, how, alpha, generator)
        loss, _logits = self.task.loss(self.network, batch)
        if self.world > 1:
            loss = self._of_all(loss, self.task.mass(batch))
        self.log("train_loss", loss, on_step=False, on_epoch=True, batch_size=len(batch.image), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch, number: int) -> None:
        """Loss and score of a batch as it is."""
        torch.manual_seed(self.seed + number)  # of what a control draws
        batch = self.task.look(batch._replace(image=as_floats(batch.image)))
        loss, logits = self.task.loss(self.network, batch)
        self.task.update(self.score, logits, batch)
        # Weighed as the loss itself is, so that the mean does not depend on how images fall into batches.
        self.val_loss.update(loss, self.task.mass(batch))
        self.log("val_loss", self.val_loss, batch_size=len(batch.image))
        self.log(f"val_{self.task.score}", self.score, batch_size=len(batch.image))

    def configure_optimizers(self) -> Any:  # noqa: ANN401 - Lightning's own union of shapes
        """Optimiser and schedule of the section, counted in the run's true number of steps."""
        optimiser = build_optimiser(self.network, self.task.section)
        schedule = build_schedule(optimiser, self.task.section, int(self.trainer.estimated_stepping_batches))
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


def augment(batch: Batch, task: Task, generator: torch.Generator, rank: int = 0, world: int = 1) -> Batch:
    """Draw one geometry for image, mask and saliency, and one colour for the image; apply them.

    Drawn is for the whole batch of ``world`` processes; this one has every ``world``-th image of it, from ``rank`` on.
    """
    images, ranges = as_floats(batch.image), task.section.augment
    own, whole = slice(rank, None, world), len(images) * world
    geometry = Geometry.draw(whole, ranges, generator).of(own)
    if batch.copy.numel():
        geometry = geometry.of_copies(batch.copy.cpu())
    colour = Colour.draw(whole, ranges, generator).of(own)
    aspect = images.shape[3] / images.shape[2]
    mask = (geometry.apply(batch.mask.float(), aspect) > 0.5).float() if batch.mask.numel() else batch.mask
    return batch._replace(
        image=colour.apply(geometry.apply(images, aspect)),
        mask=mask,
        saliency=tuple(geometry.apply(one, aspect) for one in batch.saliency),
    )
