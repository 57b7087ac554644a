"""The three files that the published evaluator reads."""

from __future__ import annotations

from pathlib import Path

from .instance import Instance
from .solution import Solution, Trip

ASSIGNMENTS = "solution_info_assignments.txt"
ORDERS = "solution_info_orders.txt"
COURIERS = "solution_info_couriers.txt"
#: How the evaluator calls the place where a courier came on duty.
ON_PLACE = "0"


def write_files(folder: Path, instance: Instance, solution: Solution) -> None:
    """Into a folder that is made if need be; what is there already is replaced."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, lines in (
        (ASSIGNMENTS, assignment_lines(solution)),
        (ORDERS, order_lines(instance, solution)),
        (COURIERS, courier_lines(instance, solution)),
    ):
        (folder / name).write_bytes(("\n".join(lines) + "\n").encode())


def assignment_lines(solution: Solution) -> list[str]:
    """In the order of being given; the orders of each in the order of dropping off."""
    trips = sorted(solution.trips, key=lambda t: (t.assigned, t.courier))
    rows = [f"{t.assigned} {t.picked_up} {t.courier} " + " ".join(d.order for d in t.drops) for t in trips]
    return ["assignment_time pickup_time courier orders", *rows]


def order_lines(instance: Instance, solution: Solution) -> list[str]:
    """Delivered ones alone, in the instance's order: the evaluator knows no word for an order that nobody carried."""
    carried = {d.order: (t, d) for t in solution.trips for d in t.drops}
    rows = []
    for order in instance.orders:
        if order.id in carried:
            trip, drop = carried[order.id]
            rows.append(f"{order.id} {order.placed} {order.ready} {trip.picked_up} {drop.at} {trip.courier}")
    return ["order placement_time ready_time pickup_time dropoff_time courier", *rows]


def courier_lines(instance: Instance, solution: Solution) -> list[str]:
    """Every ride: to the counter and from door to door."""
    by_courier: dict[str, list[Trip]] = {}
    for trip in sorted(solution.trips, key=lambda t: t.assigned):
        by_courier.setdefault(trip.courier, []).append(trip)
    rows = []
    half_pickup = instance.rules.pickup_service // 2
    half_dropoff = instance.rules.dropoff_service // 2
    for courier in instance.couriers:
        place = ON_PLACE
        for trip in by_courier.get(courier.id, ()):
            rows.append(f"{courier.id} {trip.assigned} {place} {trip.restaurant}")
            place, leaves = trip.restaurant, trip.picked_up + half_pickup
            for drop in trip.drops:
                rows.append(f"{courier.id} {leaves} {place} {drop.order}")
                place, leaves = drop.order, drop.at + half_dropoff
    return ["courier departure_time origin destination", *rows]
