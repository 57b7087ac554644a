"""What the session routes do beyond their flows: where tokens go, and where a page's refresh token comes from."""

from __future__ import annotations

from ..flow import sign_in
from ..model.errors import NotSignedIn
from ..model.views import SessionView
from .route import Call
from .sessions import check_csrf


async def signed_in(call: Call) -> SessionView:
    """Sign in; pages ask for cookies."""
    call.cookies = True if call.body.use_cookies else None
    return await sign_in.sign_in(call.ctx, call.body, call.ip)


async def exchanged(call: Call) -> SessionView:
    """Exchange a link's code; a page says which slot is its own, a client without one carries its tokens itself."""
    call.cookies = True if call.slot is not None else None
    return await sign_in.exchange_link(call.ctx, call.body)


async def refreshed(call: Call) -> SessionView:
    """New tokens, by the way on which the refresh token came."""
    token = call.body.refresh_token
    if token is None:
        token = call.refresh_cookie
        if token is None:
            raise NotSignedIn("there is no refresh token", reason="no_refresh_token")
        check_csrf(call.ctx.tokens, call.ctx.tokens.refresh(token).session_id, call.headers)
        call.cookies = True
    return await sign_in.refresh(call.ctx, token)


async def signed_out(call: Call) -> None:
    """End the session, and its cookies."""
    call.cookies = False
    await sign_in.sign_out(call.ctx, call.me)


async def password_set(call: Call) -> None:
    """Set or change the password; the books say at the next request whether the session still stands."""
    call.is_session_changed = True
    await sign_in.set_password(call.ctx, call.me, call.body)
