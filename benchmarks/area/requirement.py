"""What a figure has to keep to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Requirement"]


@dataclass(frozen=True)
class Requirement:
    """The most that a figure may be."""

    what: str
    figure: float
    most: float

    @property
    def holds(self) -> bool:
        return self.figure <= self.most

    def __str__(self) -> str:
        return (f"requirement: {self.what}: {self.figure:.6g}, at most {self.most:.6g}: "
                + ("holds" if self.holds else "missed"))
