"""The mistakes that break a signature, each as what it does to the bytes: whichever was signed names its mistake."""

from __future__ import annotations

import contextlib
import html
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import quote, quote_plus, unquote, unquote_plus

#: One version of the signed text that somebody may have signed: (the mistake's code, the text).
Mistake = tuple[str, bytes]

#: Up to this many bytes every change of one byte is tried: a million digests, some seconds.
MOST_TRIED = 2048
_BYTES = [bytes([byte]) for byte in range(256)]

_YEN_SIGNS = (("¥", "￥"), ("￥", "¥"), ("¥", "%C2%A5"), ("￥", "%EF%BF%A5"), ("¥", "&yen;"), ("¥", "?"))


def of_text(text: bytes) -> Iterator[Mistake]:
    """What happens to any text: marks at its ends, line ends, other encodings, escaped or changed signs."""
    if text.startswith(b"\xef\xbb\xbf"):
        yield "bom_added", text[3:]
    yield "bom_lost", b"\xef\xbb\xbf" + text
    yield "newline_added", text.removesuffix(b"\n")
    yield "newline_added", text.removesuffix(b"\r\n")
    yield "newline_lost", text + b"\n"
    yield "line_ends", text.replace(b"\r\n", b"\n")
    yield "line_ends", text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    yield "space_around", text.strip()
    try:
        plain = text.decode()
    except UnicodeDecodeError:
        yield from _of_other_encodings(text)
        return
    yield from _of_signs(plain)


def _of_other_encodings(text: bytes) -> Iterator[Mistake]:
    for encoding in ("gb18030", "latin-1"):
        try:
            yield "not_utf8", text.decode(encoding).encode()
        except UnicodeDecodeError:
            continue


def _of_signs(plain: str) -> Iterator[Mistake]:
    # UTF-8 that somebody read as Latin-1 and wrote as UTF-8 again, and the way back.
    with contextlib.suppress(UnicodeError):
        yield "encoded_twice", plain.encode("latin-1").decode().encode()
    yield "encoded_twice", plain.encode().decode("latin-1").encode()
    for encoding in ("gb18030", "utf-16-le", "latin-1"):
        try:
            yield "not_utf8", plain.encode(encoding)
        except UnicodeEncodeError:
            continue
    for sign, other in _YEN_SIGNS:
        yield "yen_sign", plain.replace(sign, other).encode()
        yield "yen_sign", plain.replace(other, sign).encode()
    yield "html_escaped", html.unescape(plain).encode()
    yield "html_escaped", html.escape(plain).encode()
    yield "html_escaped", html.escape(plain, quote=False).encode()
    yield "url_encoded", unquote(plain).encode()
    yield "url_encoded", unquote_plus(plain).encode()
    yield "url_encoded", plain.replace("+", " ").encode()
    yield "url_encoded", quote(plain).encode()


def of_json(text: bytes) -> Iterator[Mistake]:
    """JSON that was parsed and written again: other spaces, escapes, order, numbers."""
    try:
        parsed = json.loads(text.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return
    for is_ascii in (False, True):
        for separators in ((",", ":"), (", ", ": "), (",", ": ")):
            for is_sorted in (False, True):
                written = json.dumps(parsed, ensure_ascii=is_ascii, separators=separators, sort_keys=is_sorted)
                yield "json_rewritten", written.encode()
                yield "json_rewritten", written.replace("/", "\\/").encode()
        for indent in (2, 4):
            yield "json_rewritten", json.dumps(parsed, ensure_ascii=is_ascii, indent=indent).encode()


def of_target(target: str) -> Iterator[tuple[str, str]]:
    """A request's path and query as somebody may have signed them: (the mistake's code, the target)."""
    path, _, query = target.partition("?")
    if query:
        yield "query_left_out", path
    for host in ("https://api.mch.weixin.qq.com", "https://api2.mch.weixin.qq.com"):
        yield "host_included", host + target
    yield "url_encoded", unquote(target)
    yield "url_encoded", quote(unquote(path)) + ("?" + quote(unquote(query), safe="=&") if query else "")
    yield "slash", target.removeprefix("/")


def of_params(
    params: Mapping[str, str], without: Sequence[str], join: Callable[[list[tuple[str, str]]], str]
) -> Iterator[Mistake]:
    """Parameters joined in another way. ``without``: the names that do not count."""
    counted = [(name, value) for name, value in params.items() if name not in without]
    filled = [(name, value) for name, value in counted if value]
    yield "not_sorted", join(filled).encode()
    yield "sorted_without_case", join(sorted(filled, key=lambda pair: pair[0].lower())).encode()
    yield "empty_included", join(sorted(counted)).encode()
    ordered = sorted(filled)
    yield "values_encoded", join([(name, quote_plus(value)) for name, value in ordered]).encode()
    yield "values_encoded", join([(name, quote(value, safe="")) for name, value in ordered]).encode()
    yield "values_decoded", join([(name, unquote_plus(value)) for name, value in ordered]).encode()
    yield "values_decoded", join([(name, value.replace("+", " ")) for name, value in ordered]).encode()
    yield "plus_lost", join([(name, value.replace(" ", "+")) for name, value in ordered]).encode()
    for name, _ in ordered:
        yield f"left_out:{name}", join([pair for pair in ordered if pair[0] != name]).encode()


def of_one_byte(text: bytes) -> Iterator[Mistake]:
    """Every text that differs in one byte; nothing for a long one, which would take too long."""
    if len(text) > MOST_TRIED:
        return
    for at in range(len(text)):
        yield "one_byte", text[:at] + text[at + 1 :]
    for at in range(len(text) + 1):
        before, after, rest = text[:at], text[at:], text[at + 1 :]
        for byte in _BYTES:
            yield "one_byte", before + byte + after
            if after:
                yield "one_byte", before + byte + rest


def repaired_signatures(text: str) -> Iterator[Mistake]:
    """A signature's text as it may have been before it was damaged on its way."""
    yield "signature_spaces", text.strip().replace(" ", "+").encode()
    yield "signature_line_ends", "".join(text.split()).encode()
    yield "signature_url_encoded", unquote(text).encode()
    yield "signature_url_safe", text.replace("-", "+").replace("_", "/").encode()
    yield "signature_padding", (text.strip().rstrip("=") + "=" * (-len(text.strip().rstrip("=")) % 4)).encode()


def suspicious(text: bytes) -> list[str]:
    """What is worth a look although nothing proves it: codes of ``verify_words``."""
    found = []
    if text.startswith(b"\xef\xbb\xbf"):
        found.append("has_bom")
    if b"\r" in text:
        found.append("has_cr")
    try:
        plain = text.decode()
    except UnicodeDecodeError as error:
        return [*found, f"has_no_utf8:{error.start}"]
    for sign, code in (("￥", "has_wide_yen"), ("¥", "has_yen"), ("\u00a0", "has_nbsp"), ("\u200b", "has_zero_width")):
        if sign in plain:
            found.append(f"{code}:{len(plain[: plain.index(sign)].encode())}")
    if "%" in plain and unquote(plain) != plain:
        found.append("has_percent")
    return found
