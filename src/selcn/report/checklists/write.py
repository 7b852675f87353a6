"""Write a checklist of reporting for a run: what it knows, and what only its authors know.

Items are worded in short; their full text is in the papers, which the file cites.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from selcn.config.sections import Section
from selcn.errors import ConfigError
from selcn.io.files import write_text
from selcn.report.checklists.data import DATA_FACTS
from selcn.report.checklists.networks import NETWORK_FACTS
from selcn.report.checklists.results import RESULT_FACTS
from selcn.runs.run import Run, open_run

HERE = Path(__file__).parent
CHECKLISTS = ("tripod-ai", "clear-derm", "claim")
FACTS: Mapping[str, Callable[[Run], list[str]]] = {**DATA_FACTS, **NETWORK_FACTS, **RESULT_FACTS}
UNKNOWN = "the run does not know; state it"


class Item(Section):
    """One item of a checklist.

    Attributes:
        item: its number in the paper, such as `5a`.
        asks: what it asks for, in short.
        facts: names of `FACTS` that answer it.
        authors: what only authors know; "" where the facts are the whole answer.
    """

    item: str
    asks: str
    facts: tuple[str, ...]
    authors: str


class Checklist(Section):
    """A checklist of reporting.

    Attributes:
        title: its name.
        paper: that publishes it.
        sections: items by heading, in the paper's order.
    """

    title: str
    paper: str
    sections: dict[str, tuple[Item, ...]]


def read_checklist(name: str) -> Checklist:
    """The checklist of a name.

    Args:
        name: one of `CHECKLISTS`.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in CHECKLISTS:
        raise ConfigError(f"checklist {name}: unknown; known are {', '.join(CHECKLISTS)}")
    return Checklist.model_validate(yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8")))


def write_checklist(path: Path, name: str, out: Path | None = None) -> tuple[Path, int, int]:
    """Write a checklist of a finished run as Markdown.

    Args:
        path: the run's folder.
        name: one of `CHECKLISTS`.
        out: the file; None for `NAME.md` in the run's folder.

    Returns:
        The file, how many items hold facts of the run, and how many wait for the authors.

    Raises:
        ConfigError: there is no such checklist.
        RunError: no run, or a step of it has not finished; the line names it.
    """
    checklist, run = read_checklist(name), open_run(path)
    run.manifests()  # refuses an unfinished run before anything is computed
    answers = Answers(run)
    blocks: list[str] = []
    for heading, items in checklist.sections.items():
        blocks += [f"## {heading}", *(block for one in items for block in answers.of(one))]
    total = sum(map(len, checklist.sections.values()))
    head = [
        f"# {checklist.title} for the run {run.folder.path.resolve().name}",
        f"Written by selcn {run.environment()['selcn']} from the run's folder. {answers.filled} of {total} items "
        f"hold what the run knows, {answers.waiting} ask for what only its authors know: replace each line that begins "
        "with **Authors**, and fill in the pages. Items are worded in short; their full text is in: "
        f"{checklist.paper}.",
    ]
    file = out or run.folder.path / f"{name}.md"
    write_text(file, "\n\n".join([*head, *blocks]) + "\n")
    return file, answers.filled, answers.waiting


class Answers:
    """Answers the items of a checklist in order; what was written once is referred to afterwards.

    Args:
        run: that has finished.

    Attributes:
        filled: items so far that hold what the run knows.
        waiting: items so far that ask for what only authors know.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.filled = self.waiting = 0
        self._places: dict[str, str | None] = {}

    def of(self, one: Item) -> list[str]:
        """Blocks of Markdown of an item.

        Args:
            one: the item after those that were answered.
        """
        written, places = [], []
        for fact in one.facts:
            if fact not in self._places:
                lines = FACTS[fact](self.run)
                self._places[fact] = one.item if lines else None
                written += [_block(lines)] if lines else []
            elif place := self._places[fact]:
                places.append(place)
        places = list(dict.fromkeys(places))
        known = written + ([f"See item{'s' * (len(places) > 1)} {', '.join(places)}."] if places else [])
        asked = one.authors or ("" if known else UNKNOWN)
        self.filled, self.waiting = self.filled + bool(known), self.waiting + bool(asked)
        return [f"**{one.item}. {one.asks}** (page ____)", *known, *([f"> **Authors:** {asked}."] if asked else [])]


def _block(lines: list[str]) -> str:
    """Tables as they are, sentences as a list."""
    return "\n".join(line if line.startswith(("|", "*")) or not line else f"- {line}" for line in lines)
