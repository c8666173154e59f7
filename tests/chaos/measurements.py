"""The measurements of a form that runs for long, and the rule by which they are flat."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.chaos.forms import AnyForm
from tests.cluster.cluster import Cluster
from tests.cluster.node import Node

MB = 1024.0 * 1024.0
TABLES = {
    "local": "SELECT name FROM sqlite_master WHERE type = 'table'",
    # `audit` is the tests' own, and keeps all.
    "cluster": "SELECT tablename AS name FROM pg_tables "
    "WHERE schemaname = 'public' AND tablename <> 'audit'",
}
# By how much the last third of a soak may be above the third before it: a share of that, and so
# many more. By the end of a measurement's name.
ALLOWED = {
    "MB of memory": (0.03, 2.0),
    "threads": (0.0, 2.0),
    "descriptors": (0.05, 8.0),
    "files": (0.0, 3.0),
    "MB of files": (0.05, 4.0),
    "rows": (0.15, 60.0),
}

Sample = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Course:
    """The course of one measurement: the medians of the three thirds of the time."""

    name: str
    thirds: tuple[float, float, float]

    @property
    def allowed(self) -> float:
        """Return the highest that the last third may be."""
        kind = next(kind for kind in sorted(ALLOWED, key=len)[::-1] if self.name.endswith(kind))
        share, more = ALLOWED[kind]
        return self.thirds[1] * (1 + share) + more

    @property
    def flat(self) -> bool:
        return self.thirds[2] <= self.allowed


def courses(samples: Sequence[Sample]) -> list[Course]:
    """Return the course of each measurement; one that is missing in a sample was 0 then."""
    third = max(1, len(samples) // 3)
    spans = (samples[:third], samples[third : 2 * third], samples[2 * third :])
    names = sorted({name for sample in samples for name in sample})
    return [
        Course(name, (of(spans[0], name), of(spans[1], name), of(spans[2], name))) for name in names
    ]


def of(span: Sequence[Sample], name: str) -> float:
    return median(sample.get(name, 0.0) for sample in span)


def table(all_courses: Sequence[Course]) -> Iterator[str]:
    """Lines for people: of what was always the same there is none."""
    yield f"{'':44}{'first':>9}{'middle':>9}{'last':>9}{'allowed':>9}"
    for course in all_courses:
        if len(set(course.thirds)) == 1:
            continue
        numbers = "".join(f"{number:9.1f}" for number in (*course.thirds, course.allowed))
        yield f"{course.name:44}{numbers}{'' if course.flat else '  GROWS'}"


def sample(form: AnyForm) -> Sample:
    values: dict[str, float] = {}
    for node in form.nodes:
        values |= _process(node)
    kind = "cluster" if isinstance(form, Cluster) else "local"
    for row in form.rows(TABLES[kind]):
        count = form.rows(f"SELECT count(*) AS count FROM {row['name']}")  # noqa: S608 - of a list
        values[f"{row['name']} rows"] = count[0]["count"]
    if not isinstance(form, Cluster):
        sizes = [size for path in form.data_dir.rglob("*") if (size := _size(path)) is not None]
        values |= {"files": len(sizes), "MB of files": sum(sizes) / MB}
    return values


def _process(node: Node) -> dict[str, float]:
    proc = Path(f"/proc/{node.pid}")
    fields = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return {
        f"{node.name} MB of memory": int(fields["RssAnon"].split()[0]) * 1024 / MB,
        f"{node.name} threads": int(fields["Threads"]),
        f"{node.name} descriptors": len(list((proc / "fd").iterdir())),
    }


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except FileNotFoundError:
        return None
