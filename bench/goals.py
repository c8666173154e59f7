"""What is to be reached: so many times what another does, in the same rounds."""

from dataclasses import dataclass

from bench.table import Results


@dataclass(frozen=True)
class Goal:
    """`who` does at least `times` what `against` does, or, without one, so much a second."""

    work: str
    people: int
    who: str
    against: str | None
    times: float

    def reached(self, results: Results, who: str) -> list[float]:
        """In each round, what was reached by `who`; nothing if it was not measured."""
        case = results.get(f"{self.work} {self.people}", {})
        ours = [one["per_s"] for one in case.get(who, [])]
        if self.against is None:
            return ours
        theirs = [one["per_s"] for one in case.get(self.against, [])]
        return [one / other for one, other in zip(ours, theirs, strict=False)]


GOALS = [
    *(Goal("prompts", people, "ours", "nat", 0.4) for people in (1, 16, 64)),
    Goal("prompts", 1, "ours", "langgraph-sqlite", 4),
    *(Goal("prompts", people, "ours", "langgraph-sqlite", 7) for people in (16, 64)),
    Goal("prompts", 1, "ours-cluster", "langgraph-postgresql", 1),
    *(Goal("prompts", people, "ours-cluster", "langgraph-postgresql", 1.5) for people in (16, 64)),
    Goal("echo", 1, "ours", "nat", 1),
    Goal("echo", 16, "ours", "nat", 1.3),
    Goal("echo", 64, "ours", "nat", 1.5),
    # Three times what the cluster did on the machine of November 2026, by the second.
    Goal("echo", 1, "ours-cluster", None, 246),
    Goal("echo", 16, "ours-cluster", None, 360),
    # Nine tenths of what it was then.
    Goal("stream", 1, "ours", "nat", 7),
    Goal("stream", 16, "ours", "nat", 12.5),
]
