"""The runners near each task, spread so that many tasks at one counter do not all look at the same few."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from geo.point import LocalPlane, Point

from .ground import Ground
from .ranks import rank
from .routes import Fleet
from .state import Floats, Rows

#: For each task that is picked up around a place, so many runners around it are looked at by one of the tasks there.
_RUNNERS_PER_TASK = 1.5
#: Places times runners around them, at most.
_CELLS = 2_000_000
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True, slots=True)
class _Around:
    """By distinct place, the runners around it, the nearest first: ``count[p]`` at the front of row ``p``."""

    runner: Rows
    count: Rows


def nearest(ground: Ground, fleet: Fleet, tasks: Rows, runners: Rows, most: int) -> tuple[Rows, Rows]:
    """For each of the tasks at most ``most`` of the runners, by the straight line from wherever a runner is or will be
    on their route to the task's first stop: the nearest half, and as many of those further out as it takes to have
    enough for all the tasks around."""
    xy = _xy(ground)
    here, owner = _whereabouts(ground, fleet, runners)
    tree = cKDTree(xy[here])
    asked = np.where(ground.tasks.has_place[tasks], ground.tasks.place[tasks, 0], 0)
    places, place_of = np.unique(asked, return_inverse=True)
    wanted = _how_many(xy[places], xy[asked], tree, most, len(runners))
    t: list[Rows] = []
    r: list[Rows] = []
    # Places of which equally many runners are wanted are asked about together.
    for count in np.unique(wanted):
        mine = np.flatnonzero(wanted == count)
        number = np.full(len(places), -1, dtype=np.intp)
        number[mine] = np.arange(len(mine))
        of_them = np.flatnonzero(number[place_of] >= 0)
        around = _around(tree, xy[places[mine]], owner, int(count), len(owner) > len(runners), len(ground.runners))
        chosen, is_one = _spread(around, number[place_of[of_them]], tasks[of_them], most)
        t.append(np.repeat(tasks[of_them], is_one.sum(axis=1)))
        r.append(chosen[is_one])
    return np.concatenate(t), np.concatenate(r)


def by_distance(ground: Ground, tasks: Rows, runners: Rows, most: int) -> tuple[Rows, Rows]:
    """Of these pairs the ``most`` of each task whose runners are nearest now."""
    xy = _xy(ground)
    away = xy[ground.tasks.place[tasks, 0]] - xy[ground.runners.place[runners]]
    order = np.lexsort((runners, (away * away).sum(axis=1), tasks))
    tasks, runners = tasks[order], runners[order]
    is_near = rank(tasks) < most
    return tasks[is_near], runners[is_near]


def _xy(ground: Ground) -> Floats:
    """The places in metres on a plane."""
    mid = ground.places.mean(axis=0)
    return LocalPlane(Point(float(mid[0]), float(mid[1]))).xy_many(ground.places)


def _whereabouts(ground: Ground, fleet: Fleet, runners: Rows) -> tuple[Rows, Rows]:
    """Every place where a runner is or will be, and whose it is."""
    here, who = [ground.runners.place[runners]], [runners]
    for k in range(fleet.stops.place.shape[1]):
        on = runners[fleet.count[runners] > k]
        here.append(fleet.stops.place[on, k])
        who.append(on)
    return np.concatenate(here), np.concatenate(who)


def _how_many(places: Floats, asked: Floats, tree: cKDTree, most: int, crew: int) -> Rows:
    """By place, how many runners around it there have to be for all the tasks that begin as near."""
    wanted = np.full(len(places), min(most, crew), dtype=np.intp)
    demand = cKDTree(asked)
    short = np.arange(len(places))
    count = wanted[0]
    while len(short) and count < crew:
        radius = np.asarray(tree.query(places[short], k=[min(int(count), tree.n)])[0])[:, 0]
        around = demand.query_ball_point(places[short], radius, return_length=True)
        short = short[np.asarray(around) * _RUNNERS_PER_TASK > count]
        count = min(2 * count, crew)
        if len(short) * count > _CELLS:
            break
        wanted[short] = count
    return wanted


def _around(tree: cKDTree, places: Floats, owner: Rows, count: int, is_often: bool, crew: int) -> _Around:
    """The ``count`` nearest runners of each place; ``is_often``: one with a route is in the tree more than once."""
    asked = min(len(owner), count * 2 if is_often else count)
    _, found = tree.query(places, k=asked)
    runner = owner[np.asarray(found, dtype=np.intp).reshape(len(places), asked)]
    if not is_often:
        return _Around(runner, np.full(len(places), asked, dtype=np.intp))
    key = np.arange(len(places))[:, None] * crew + runner
    is_first = np.zeros(key.shape, dtype=np.bool_)
    is_first.ravel()[np.unique(key, return_index=True)[1]] = True
    rank = np.cumsum(is_first, axis=1)
    is_first &= rank <= count
    together = np.zeros((len(places), count), dtype=np.intp)
    rows, columns = np.nonzero(is_first)
    together[rows, rank[rows, columns] - 1] = runner[rows, columns]
    return _Around(together, is_first.sum(axis=1))


def _spread(around: _Around, row: Rows, tasks: Rows, most: int) -> tuple[Rows, np.ndarray]:
    """Of each task the runners that it looks at, a row each, and which of the columns are used."""
    have = around.count[row][:, None]
    width = min(most, around.runner.shape[1])
    column = np.arange(width)[None, :]
    near = width // 2
    # Beyond the nearest half in even steps, begun at another place for each task.
    step = np.maximum(1.0, (have - near) / max(1, width - near))
    phase = (tasks * _GOLDEN % 1.0)[:, None]
    beyond = near + np.floor((column - near + np.where(step > 1.0, phase, 0.0)) * step).astype(np.intp)
    place = np.where(column < near, column, beyond)
    is_one = place < have
    return around.runner[row[:, None], np.minimum(place, around.runner.shape[1] - 1)], is_one
