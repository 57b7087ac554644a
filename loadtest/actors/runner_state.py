"""What a simulated runner knows and carries, and its habits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random

from geo.point import Point

from .protocol import Action
from .walk import Way, moved

SPEEDS_MPS = {"walk": 1.35, "e_bike": 3.9}
#: Those who wait for work stay about a place they know, on the campus.
NEAR_M = 60.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How runners behave; shares of 1, business seconds."""

    declines: float = 0.13
    ignores: float = 0.02
    wrong_pin: float = 0.02
    photo: float = 0.04
    withdraws: float = 0.2  # of settled errands, how many end with a look into the wallet
    grabs_every_s: int = 0  # 0: never looks into the hall
    handling_s: tuple[int, int] = (40, 120)
    thinking_s: tuple[int, int] = (1, 8)
    storey_s: tuple[int, int] = (15, 35)  # up its stairs and down again


@dataclass(frozen=True, slots=True)
class Stop:
    role: str
    point: Point
    floor: int = 0


@dataclass(frozen=True, slots=True)
class Carried:
    """An order in hand: the stops still to go; ``stage``: going | at_stop."""

    order_id: str
    stops: tuple[Stop, ...]
    goods_cap_fen: int = 0
    stage: str = "going"
    until_ms: int = 0
    asks: int = 0
    is_waiting: bool = False  # for an answer


@dataclass(frozen=True, slots=True)
class Runner:
    """Where the runner is, what is carried, and the offer under thought."""

    account_id: str
    campus_id: str
    way: Way
    habits: Habits = Habits()
    vehicle: str = "walk"
    speed_mps: float = 1.35
    is_on_duty: bool = False
    rate: float = 1.0  # business seconds per real one: the server asks for reports in real milliseconds
    report_every_ms: int = 5000
    report_distance_m: float = 0.0  # report sooner after having moved so far; 0: distance does not matter
    is_told: bool = False  # the hub itself has said how often on this connection
    reported: Point | None = None
    moved_at_ms: int = 0
    fix_due_ms: int = 0
    fixed_at_ms: int = 0
    offer_id: str = ""  # the one that is looked at
    offers_after: tuple[str, ...] = ()
    decide_at_ms: int = 0
    carried: tuple[Carried, ...] = ()
    target: str = ""  # the order that the way leads to
    is_asking_way: bool = False
    hall_at_ms: int = 0
    home: Point | None = None
    photo: bytes = b""
    delivered: int = 0


Did = tuple[Runner, tuple[Action, ...]]


def new_runner(
    account_id: str, campus_id: str, home: Point, luck: Random, vehicle: str = "walk", habits: Habits | None = None
) -> Runner:
    """A runner near ``home``."""
    return Runner(
        account_id=account_id,
        campus_id=campus_id,
        way=Way(moved(home, luck.uniform(-NEAR_M, NEAR_M), luck.uniform(-NEAR_M, NEAR_M))),
        habits=habits or Habits(),
        vehicle=vehicle,
        speed_mps=SPEEDS_MPS[vehicle] * luck.uniform(0.9, 1.1),
        home=home,
    )


def with_photo(state: Runner, photo: bytes, rate: float) -> Runner:
    """The same runner with a camera, at a server whose time runs ``rate`` times as fast."""
    return replace(state, photo=photo, rate=rate)
