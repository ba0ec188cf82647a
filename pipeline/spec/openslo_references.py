"""References of OpenSLO: names to the objects they name, over all files; a pure step after reading.

Pure. An object is a *part* of a document: all of it, or what is written inline. A name that no file has is a
problem when its kind is among the files, or when a judged SLO depends on it; else it is taken to be elsewhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeGuard

from pipeline.spec import openslo_rules as rules
from pipeline.spec.document import Mapping, Node, Report, Scalar, Unknown
from pipeline.spec.openslo_language import API_VERSION, ENVELOPE, LANGUAGES
from pipeline.spec.problems import Place
from pipeline.spec.reading import Reading, read
from pipeline.spec.scalars import nearest


@dataclass(frozen=True)
class Part:
    """One object: a kind's metadata and spec, below `prefix` of a document."""

    reading: Reading
    prefix: str = ""  # "", or a path and a dot

    @property
    def file(self) -> str:
        return self.reading.report.file

    @property
    def name(self) -> str:
        return str(self.get("metadata.name", ""))

    @property
    def place(self) -> Place:
        return self.reading.at(self.prefix.removesuffix("."))

    def path(self, path: str) -> str:
        return self.prefix + path

    def get(self, path: str, default: object = None) -> object:
        return self.reading.get(self.path(path), default)

    def is_given(self, path: str) -> bool:
        return self.reading.is_given(self.path(path))

    def node(self, path: str) -> Node | None:
        """Return what is written at a path: text, a tree, `Unknown` for what was refused; None when nothing is."""
        found = self.reading.values.get(self.path(path))
        if found is None:
            return Unknown(self.reading.at(self.path(path))) if self.is_given(path) else None
        if isinstance(found.value, Scalar | Unknown | Mapping):
            return found.value
        return Scalar(found.value if isinstance(found.value, str) else found.text, False, found.place)

    def items(self, path: str) -> Iterator["Part"]:
        """Return the items of a list, each as a part."""
        for each in rules.items(self.reading, self.path(path)):
            yield Part(self.reading, f"{each}.")

    def below(self, path: str) -> "Part":
        return Part(self.reading, f"{self.path(path)}.")

    def refuse(self, path: str, rule: str, remedy: str) -> None:
        where = self.path(path)
        above = (where[:end] for end in range(len(where), 0, -1) if where[end : end + 1] in {"", ".", "["})
        self.reading.refuse(where, rule, remedy, self.reading.at(*above))


@dataclass
class Library:
    """Every OpenSLO document of some files, by kind and name."""

    parts: dict[tuple[str, str], Part] = field(default_factory=dict)
    slos: list[Part] = field(default_factory=list)
    others: int = 0  # documents that are no SLO

    def add(self, node: Mapping, report: Report) -> None:
        """Read a document, and keep it by its name; what is wrong with it goes to the report."""
        kind = node.get("kind")
        envelope = Mapping(tuple(entry for entry in node.entries if entry[0].text == "kind"), node.place)
        read_kind = read(ENVELOPE, envelope, report).get("kind")
        if kind is None or read_kind is None:
            return
        reading = read(LANGUAGES[read_kind], node, report)
        rules.check(reading, read_kind)
        part = Part(reading)
        first = self.parts.setdefault((read_kind, part.name), part) if part.name else part
        if first is not part:
            taken = f"must be unique; {first.file}:{first.place.line} has this name too"
            part.refuse("metadata.name", taken, "rename one of them")
        elif read_kind == "SLO":
            self.slos.append(part)
        self.others += read_kind != "SLO"

    def resolve(self, part: Part, reference: str, kind: str, must_be_here: bool) -> Part | None:
        """Return the object that a part names, or is, when it is written inline; None when there is none."""
        return part if part.is_given("spec") else self.named(part, reference, kind, must_be_here)

    def named(self, part: Part, reference: str, kind: str, must_be_here: bool) -> Part | None:
        """Return the object that a part names; None when it names none, or none that is here."""
        is_bare = part.prefix.removesuffix(".") in part.reading.values  # `- NAME`, with no key before it
        path = part.prefix.removesuffix(".") if is_bare else part.path(reference)
        name = part.reading.get(path)
        found = self.parts.get((kind, name))
        names = [known for of_kind, known in self.parts if of_kind == kind]
        if name is not None and found is None and (must_be_here or names):
            meant = nearest(name, names)
            remedy = f"did you mean {meant}?" if meant else f"add the file that holds {kind} {name}"
            Part(part.reading).refuse(path, f"names no {kind} of these files", remedy)
        return found

    def check(self) -> None:
        """Resolve what objects refer to, whether an SLO needs it or not; problems go to their reports."""
        for (kind, _), part in self.parts.items():
            if kind == "AlertPolicy":
                self.check_policy(part)
            elif kind == "SLI":
                for source in sources(part).values():
                    self.named(source, "metricSourceRef", "DataSource", must_be_here=False)

    def check_policy(self, policy: Part) -> None:
        for each in policy.items("spec.conditions"):
            self.resolve(each, "conditionRef", "AlertCondition", must_be_here=False)
        for each in policy.items("spec.notificationTargets"):
            self.resolve(each, "targetRef", "AlertNotificationTarget", must_be_here=False)

    def type_of(self, source: Part) -> str:
        """Return the type of a metric source, its own or that of the DataSource it names; "" when nobody says it."""
        data_source = self.parts.get(("DataSource", str(source.get("metricSourceRef"))))
        inferred = data_source.get("spec.type", "") if data_source is not None else ""
        return str(source.get("type", inferred))


def sources(sli: Part) -> dict[str, Part]:
    """Return the metric sources of an SLI by the metric they are of, as in ratioMetric.good."""
    metrics = ("thresholdMetric", *(f"ratioMetric.{part}" for part in ("good", "bad", "total", "raw")))
    path = "spec.{}.metricSource"
    return {each: sli.below(path.format(each)) for each in metrics if sli.is_given(path.format(each))}


def is_openslo(node: Node) -> TypeGuard[Mapping]:
    """Tell whether a document says that it is OpenSLO v1."""
    version = node.get("apiVersion") if isinstance(node, Mapping) else None
    return isinstance(version, Scalar) and version.text == API_VERSION
