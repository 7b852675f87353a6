"""Label sets: classes in the order in which networks number them, and what words of a catalog mean them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self

from selcn.labels.concepts import CONCEPTS, UNKNOWN, find_concept, lineage, normal

ANY = "*"
"""The alias of a class that takes whatever means no other class."""


@dataclass(frozen=True)
class LabelClass:
    """One class of a label set.

    Attributes:
        name: as in prediction files and configurations, for example `mel`.
        long_name: as on pages for people, for example `melanoma`.
        malignant: whether it counts as malignant; None where the label set does not define it.
        aliases: other values of the catalog's column that mean this class; `*` for all that mean no other class.
    """

    name: str
    long_name: str = ""
    malignant: bool | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class LabelSet:
    """An ordered list of classes; a network's output k is the class at index k.

    Attributes:
        name: of the set.
        classes: at least two, with unique names and aliases.
        column: the catalog's column that holds the labels.
        ordinal: whether the order of the classes is a scale.

    Raises:
        ValueError: fewer than two classes, an empty name, or a name or alias that stands for two classes.
    """

    name: str
    classes: tuple[LabelClass, ...]
    column: str = "diagnosis"
    ordinal: bool = False
    _number: dict[str, int] = field(init=False, repr=False, compare=False, hash=False, default_factory=dict)

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            raise ValueError(f"label set {self.name}: has {len(self.classes)} classes; give at least 2")
        for number, one in enumerate(self.classes):
            for word in (one.name, *one.aliases):
                key = word if word == ANY else normal(word) or word.strip()
                if not key or self._number.setdefault(key, number) != number:
                    raise ValueError(f"label set {self.name}: {word!r} is empty or stands for two classes; rename it")
        for number, one in enumerate(self.classes):
            for word in (one.name, *one.aliases):
                if concept := find_concept(word):  # a class `melanoma` takes what an indexed data set calls `mel`
                    self._number.setdefault(normal(concept), number)

    @classmethod
    def of(cls, names: Iterable[str], name: str = "own", column: str = "diagnosis") -> Self:
        """A label set of plain names, in their order; malignancy is left undefined.

        Args:
            names: the classes' names, at least two, unique.
            name: of the set.
            column: the catalog's column that holds the labels.

        Raises:
            ValueError: see `LabelSet`.
        """
        return cls(name, tuple(LabelClass(str(one)) for one in names), column)

    @cached_property
    def names(self) -> list[str]:
        """The classes' names in order."""
        return [one.name for one in self.classes]

    @property
    def malignant(self) -> list[str]:
        """Names of the malignant classes; empty where the set does not say which are."""
        return [one.name for one in self.classes if one.malignant]

    def long_name(self, name: str) -> str:
        """The long name of a class; its name where it has no long one.

        Args:
            name: of a class, as in prediction files.
        """
        return next((one.long_name for one in self.classes if one.name == name), "") or name

    def class_of(self, word: str) -> str:
        """Name of the class that a value of the catalog means, "" where it means none.

        A value means a class by its name or an alias, or by a diagnostic concept that it is a kind of: solar-lentigo
        means the class bkl or `benign keratosis`, and malignant where there is a class of that name. Case, plural and
        punctuation do not matter. An alias `*` takes the rest, but neither `unknown` nor a value that is too coarse to
        tell, such as `malignant` where there is a class mel.

        Args:
            word: as in the catalog's column.
        """
        number = self._number_of(word)
        return self.names[number] if number >= 0 else ""

    def numbers(self, words: Iterable[str]) -> list[int]:
        """Class numbers of a catalog's values, -1 where a value means no class; see `class_of`.

        Args:
            words: as in the catalog's column.
        """
        known: dict[str, int] = {}
        return [known[word] if word in known else known.setdefault(word, self._number_of(word)) for word in words]

    def restricted(self, names: Iterable[str]) -> "LabelSet":
        """The set with some of its classes, in its order.

        Args:
            names: of the classes to keep, at least two.

        Raises:
            ValueError: see `LabelSet`.
        """
        kept = set(names)
        return replace(self, classes=tuple(one for one in self.classes if one.name in kept))

    def _number_of(self, word: str) -> int:
        key = normal(word) or word.strip()
        if not key:
            return -1
        concept = word if word in CONCEPTS else find_concept(word)
        levels = (key, *(normal(level) for level in lineage(concept)))
        number = next((self._number[level] for level in levels if level in self._number), None)
        if number is not None:
            return number
        return self._number.get(ANY, -1) if concept != UNKNOWN and concept not in self._too_coarse else -1

    @cached_property
    def _too_coarse(self) -> set[str]:
        """Concepts of which some kinds are classes of their own."""
        own = (find_concept(word) for word in self._number)
        return {above for concept in own if concept for above in lineage(concept)[1:]}


def _classes(**named: tuple[str, bool | None] | tuple[str, bool | None, Sequence[str]]) -> tuple[LabelClass, ...]:
    return tuple(
        LabelClass(name.replace("_", "-"), about[0], about[1], tuple(about[2]) if len(about) > 2 else ())
        for name, about in named.items()
    )


HAM10000 = LabelSet(
    "ham10000",
    _classes(
        nv=("melanocytic nevus", False),
        mel=("melanoma", True),
        bkl=("benign keratosis", False),
        bcc=("basal cell carcinoma", True),
        akiec=("actinic keratosis or Bowen's disease", True),
        vasc=("vascular lesion", False),
        df=("dermatofibroma", False),
    ),
)
"""The seven diagnoses of HAM10000 (Tschandl et al. 2018)."""

ISIC2019 = LabelSet(
    "isic2019",
    _classes(
        mel=("melanoma", True),
        nv=("melanocytic nevus", False),
        bcc=("basal cell carcinoma", True),
        ak=("actinic keratosis", True, ["akiec"]),
        bkl=("benign keratosis", False),
        df=("dermatofibroma", False),
        vasc=("vascular lesion", False),
        scc=("squamous cell carcinoma", True, ["bowen-disease"]),
    ),
)
"""The eight diagnoses of the ISIC challenge of 2019; its `UNK` is no class."""

ISIC2017 = LabelSet(
    "isic2017",
    _classes(
        mel=("melanoma", True), seborrheic_keratosis=("seborrheic keratosis", False), nv=("melanocytic nevus", False)
    ),
)
"""The three diagnoses of the ISIC challenge of 2017 (Codella et al. 2018)."""

PH2 = LabelSet(
    "ph2",
    _classes(common_nevus=("common nevus", False), atypical_nevus=("atypical nevus", False), mel=("melanoma", True)),
)
"""The three diagnoses of PH2 (Mendonca et al. 2013)."""

MELANOMA = LabelSet("melanoma", _classes(rest=("not melanoma", None, [ANY]), mel=("melanoma", None)))
"""Melanoma against the rest."""

BENIGN_MALIGNANT = LabelSet("benign-malignant", _classes(benign=("benign", False), malignant=("malignant", True)))
"""Benign against malignant, as the ISIC challenges of 2016 and 2020 ask."""

SYMMETRY = LabelSet(
    "symmetry",
    _classes(
        asymmetric=("asymmetric", None),
        one_axis=("symmetric about one axis", None),
        two_axes=("symmetric about two axes", None),
    ),
    column="symmetry",
    ordinal=True,
)
"""Symmetry, ordered as in SymDerm: about no axis (0), one axis (1), two axes (2)."""

SYMMETRY_BINARY = LabelSet(
    "symmetry-binary",
    _classes(asymmetric=("asymmetric", None), symmetric=("symmetric", None, ["one-axis", "two-axes"])),
    column="symmetry",
)
"""The two classes that the thesis trains on: SymDerm 0 against 1 or 2."""

LABEL_SETS: Mapping[str, LabelSet] = {
    one.name: one for one in (HAM10000, ISIC2019, ISIC2017, PH2, MELANOMA, BENIGN_MALIGNANT, SYMMETRY, SYMMETRY_BINARY)
}
"""The built-in label sets by name."""

SYMMETRIES = [*SYMMETRY.names, "symmetric"]
"""Values of a catalog's column `symmetry`; `symmetric` is a label with an unknown number of axes."""


def parse_label_set(value: Any) -> LabelSet:  # noqa: ANN401 - any YAML value
    """A label set from a configuration: a built-in's name, a list of class names, or a mapping of fields.

    Args:
        value: a name, a list of names, a mapping `{name, classes, column, ordinal}` whose classes are names or mappings
            `{name, long_name, malignant, aliases}`, or a label set.

    Raises:
        ValueError: an unknown name, or an unknown or missing field.
    """
    match value:
        case LabelSet():
            return value
        case str():
            if value not in LABEL_SETS:
                raise ValueError(f"unknown label set {value!r}; known are {', '.join(LABEL_SETS)}, or list the classes")
            return LABEL_SETS[value]
        case Mapping():
            return _from_mapping(dict(value))
        case Iterable():
            return LabelSet("own", tuple(map(_parse_class, value)))
    raise ValueError(f"{value!r} is no label set; give a name, or list the classes")


def label_set_of(names: Sequence[str]) -> LabelSet:
    """The built-in label set that has these class names, in any order; else a new set of the names in their order.

    Args:
        names: the classes' names, at least two, unique.

    Raises:
        ValueError: see `LabelSet`.
    """
    known = (one for one in LABEL_SETS.values() if sorted(one.names) == sorted(names))
    return next(known, None) or LabelSet.of(names)


def _from_mapping(fields: dict[str, Any]) -> LabelSet:
    unknown = fields.keys() - {"name", "classes", "column", "ordinal"}
    if unknown or "classes" not in fields:
        raise ValueError(f"a label set has the keys name, classes, column, ordinal; given are {', '.join(fields)}")
    classes = tuple(map(_parse_class, fields.pop("classes")))
    return LabelSet(**{"name": "own", **fields, "classes": classes})


def _parse_class(value: Any) -> LabelClass:  # noqa: ANN401 - any YAML value
    if isinstance(value, LabelClass):
        return value
    if not isinstance(value, Mapping):
        return LabelClass(_word(value))
    unknown = value.keys() - {"name", "long_name", "malignant", "aliases"}
    if unknown or "name" not in value:
        raise ValueError(f"a class has the keys name, long_name, malignant, aliases; given are {', '.join(value)}")
    aliases = value.get("aliases") or ()
    aliases = (aliases,) if isinstance(aliases, str) else aliases
    return LabelClass(**{**value, "name": _word(value["name"]), "aliases": tuple(map(_word, aliases))})


def _word(value: object) -> str:
    if isinstance(value, bool):  # what YAML makes of an unquoted yes or no
        raise ValueError(f"a class is called {value}; put yes, no, on, off, true and false in quotes")  # noqa: TRY004
    return str(value)
