"""The reader of benchmark instances: what it makes of good files, and what it says of bad ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from loadtest.mdrp.instance import Courier, Order, Restaurant, Rules, travel_minutes
from loadtest.mdrp.reader import COURIERS, ORDERS, RESTAURANTS, RULES, BadInstance, is_instance, read_instance

FILES = {
    ORDERS: "order\tx\ty\tplacement_time\trestaurant\tready_time\no1\t0\t900\t10\tr1\t20\no2\t50\t0\t12\tr1\t12\n",
    COURIERS: "courier\tx\ty\ton_time\toff_time\nc1\t0\t0\t0\t120\n",
    RESTAURANTS: "restaurant\tx\ty\nr1\t0\t600\n",
    RULES: (
        "meters_per_minute\tpickup service minutes\tdropoff service minutes\ttarget click-to-door\t"
        "maximum click-to-door\tpay per order\tguaranteed pay per hour\n300\t4\t4\t40\t90\t10\t15\n"
    ),
}
Folder = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A folder with the files above; arguments replace text in one of them."""

    def write(name: str = ORDERS, old: str = "", new: str = "") -> Path:
        for file, text in FILES.items():
            assert old in text or file != name
            (tmp_path / file).write_text(text.replace(old, new, 1) if file == name else text)
        return tmp_path

    return write


def test_an_instance_is_read_as_it_is_written(folder: Folder) -> None:
    read = read_instance(folder())
    assert read.orders == (Order("o1", 0, 900, 10, "r1", 20), Order("o2", 50, 0, 12, "r1", 12))
    assert read.couriers == (Courier("c1", 0, 0, 0, 120),)
    assert read.restaurants == (Restaurant("r1", 0, 600),)
    assert read.rules == Rules(300, 4, 4, 40, 90, 10.0, 15.0)
    assert read.ride.tolist() == [1, 3], "600 m and a little are three minutes at 300 m a minute"
    assert read.counter_xy.tolist() == [[0, 600], [0, 600]]


def test_the_name_is_that_of_the_folder(folder: Folder) -> None:
    assert read_instance(folder()).name == folder().name


def test_empty_lines_and_a_byte_order_mark_do_no_harm(folder: Folder) -> None:
    path = folder()
    (path / ORDERS).write_text("\ufeff" + FILES[ORDERS].replace("\n", "\r\n") + "\n  \n")
    assert len(read_instance(path).orders) == 2


@pytest.mark.parametrize(
    ("file", "old", "new", "line", "field", "says"),
    [
        (ORDERS, "o1\t0", "o1\t0.5", 2, "x", "not a whole number"),
        (ORDERS, "o2\t50\t0", "o2\t50\t", 3, "y", "not a whole number"),
        (ORDERS, "\t10\tr1", "\t-1\tr1", 2, "placement_time", "below 0"),
        (ORDERS, "r1\t20", "r1\t9", 2, "ready_time", "before the order is placed"),
        (ORDERS, "\tr1\t20", "\tr9\t20", 2, "restaurant", "not in restaurants.txt"),
        (ORDERS, "o2\t", "o1\t", 3, "order", "twice"),
        (ORDERS, "o1\t", " \t", 2, "order", "not a name"),
        (ORDERS, "o1\t", "o 1\t", 2, "order", "not a name"),
        (ORDERS, "o1\t0\t900\t10\tr1\t20", "o1\t0\t900\t10\tr1", 2, "ready_time", "missing"),
        (ORDERS, "r1\t20", "r1\t20\t7", 2, None, "7 fields instead of 6"),
        (ORDERS, "ready_time", "ready", 1, None, "header"),
        (ORDERS, FILES[ORDERS], "", 1, None, "header"),
        (ORDERS, "o1\t0\t900", "o1\t0\t900000000", 2, "y", "out of range"),
        (COURIERS, "0\t120", "200\t120", 2, "off_time", "before on_time"),
        (COURIERS, "c1\t0\t0\t0\t120\n", "", None, None, "nothing below its header"),
        (RESTAURANTS, "600", "six", 2, "y", "not a whole number"),
        (RULES, "300\t4", "0\t4", 2, "meters_per_minute", "below 1"),
        (RULES, "300\t4", "300\t5", 2, "pickup service minutes", "odd"),
        (RULES, "\t4\t40", "\t3\t40", 2, "dropoff service minutes", "odd"),
        (RULES, "\t10\t15", "\tten\t15", 2, "pay per order", "not a number"),
        (RULES, "\t10\t15", "\t10\tnan", 2, "guaranteed pay per hour", "out of range"),
        (RULES, "300\t4\t4\t40\t90\t10\t15\n", "300\t4\t4\t40\t90\t10\t15\n" * 2, None, None, "2 lines"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_field(
    folder: Folder, file: str, old: str, new: str, line: int | None, field: str | None, says: str
) -> None:
    with pytest.raises(BadInstance, match=says) as fault:
        read_instance(folder(file, old, new))
    assert (fault.value.path.name, fault.value.line, fault.value.field) == (file, line, field)
    text = str(fault.value)
    assert file in text and (line is None or f"line {line}" in text) and (field is None or f"'{field}'" in text)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(folder: Folder, name: str) -> None:
    path = folder()
    (path / name).unlink()
    assert not is_instance(path)
    with pytest.raises(BadInstance, match=f"{name}: is missing"):
        read_instance(path)


def test_a_file_that_is_no_text_is_named(folder: Folder) -> None:
    path = folder()
    (path / ORDERS).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadInstance, match=r"orders\.txt: cannot be read"):
        read_instance(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadInstance, match="nowhere: no such folder"):
        read_instance(tmp_path / "nowhere")


def test_minutes_are_rounded_up_and_exact_where_they_are_whole() -> None:
    a = np.array([[0, 0], [0, 0], [0, 0], [3, 4]])
    b = np.array([[0, 300], [0, 301], [180, 240], [3, 4]])
    assert travel_minutes(a, b, 300).tolist() == [1, 2, 1, 0]
