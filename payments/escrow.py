"""The hold on an intent's money: one table of moves, and the sum that must come out."""

from __future__ import annotations

from payments.money import Fen
from payments.port import HoldState

#: (hold, what happened) → hold. "all_back": the whole hold is with the payer again; "rest_back": a part was captured.
MOVES: dict[tuple[HoldState, str], HoldState] = {
    ("none", "paid"): "held",
    ("held", "capture"): "capturing",
    ("capturing", "captured_all"): "captured",
    ("capturing", "captured_part"): "releasing",
    ("held", "release"): "releasing",
    ("held", "all_back"): "released",
    ("releasing", "failed"): "release_failed",
    ("release_failed", "failed"): "release_failed",
    ("releasing", "all_back"): "released",
    ("releasing", "rest_back"): "captured",
    ("release_failed", "all_back"): "released",
    ("release_failed", "rest_back"): "captured",
}


def hold_after(hold: HoldState, happening: str) -> HoldState:
    """The hold after ``happening``; a move that the table does not have is a mistake of ours."""
    after = MOVES.get((hold, happening))
    assert after is not None, f"a hold that is {hold} cannot be told {happening!r}"
    return after


def still_held_fen(hold: HoldState, amount_fen: Fen, captured_fen: Fen, released_fen: Fen) -> Fen:
    """What the institution must still have of the intent's money; never below zero."""
    if hold == "none":
        return Fen(0)
    rest = amount_fen - captured_fen - released_fen
    assert rest >= 0, "more left escrow than came in"
    return Fen(rest)
