"""What a runner does with what was earned: now and then some of it is withdrawn, as people do, small and whole."""

from __future__ import annotations

from random import Random

from .protocol import Action, Answer, Body, Call, Note

#: Below the least nobody bothers; from the most on the server asks for a code, which nobody here reads.
LEAST_FEN, MOST_FEN = 100, 19_900
#: Refused because one is on its way, the day is used up, or a code is asked for: part of the game.
_REFUSALS = (400, 409)


def settled(kind: str, share: float, luck: Random) -> tuple[Action, ...]:
    """An order of this runner's is settled: sometimes a reason to look into the wallet."""
    if kind != "order_settled" or luck.random() >= share:
        return ()
    return (Call("wallet", "GET", "/runner/wallet", expected=(403,)),)


def answered(answer: Answer, luck: Random) -> tuple[Action, ...]:
    """The wallet, or what became of the wish."""
    if answer.name == "wallet" and answer.is_ok:
        return _withdraw(answer.body, luck)
    if answer.name == "withdraw" and answer.is_ok:
        return (Note("withdrew", str(answer.body["id"]), float(answer.body["amount_fen"])),)
    return ()


def _withdraw(wallet: Body, luck: Random) -> tuple[Action, ...]:
    available = int(wallet["available_fen"])
    if available < LEAST_FEN or int(wallet["withdrawing_fen"]):
        return ()
    most = min(available, MOST_FEN)
    fen = most if luck.random() < 0.7 else luck.randint(LEAST_FEN, most)
    key = f"withdraw-{luck.getrandbits(64):016x}"
    return (Call("withdraw", "POST", "/runner/withdrawals", {"amount_fen": fen}, key=key, expected=_REFUSALS),)
