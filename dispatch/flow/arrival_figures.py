"""Between what is learned about arrivals and the rows that keep it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from geo.arrival_model import BEFORE_ANYBODY, ArrivalModel, Detours
from geo.calibration import Calibration

from ..store.arrivals import ArrivalFigures, StoredPace
from ..store.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Read:
    """A campus's figures, and what was learned of runners since the last look."""

    figures: ArrivalFigures
    paces: list[StoredPace]

    @property
    def newest(self) -> datetime | None:
        return self.paces[-1].learned_at if self.paces else None


def read_figures(uow: UnitOfWork, since: datetime | None = None) -> Read:
    return Read(uow.arrivals.figures(), uow.arrivals.paces(since))


def take_in(known: ArrivalModel, found: Read) -> ArrivalModel:
    """The runners that are known with those that were read; everything else as it was read."""
    figures = found.figures
    for one in found.paces:
        known.paces.put((one.runner_id, one.vehicle), one.pace)
    known.paces.put_kinds(figures.kinds)
    return ArrivalModel(
        known.paces,
        Detours.from_json(figures.detours),
        Calibration.from_json(figures.errors),
        figures.services,
        Calibration.from_json(figures.promises, BEFORE_ANYBODY),
    )


def figures_of(model: ArrivalModel, served_at_ms: int) -> ArrivalFigures:
    """What is to be stored of a model, the runners apart."""
    return ArrivalFigures(
        kinds=dict(model.paces.kinds),
        detours=model.detours.to_json(),
        services=dict(model.services),
        errors=model.errors.to_json(),
        promises=model.promises.to_json(),
        served_at_ms=served_at_ms,
    )
