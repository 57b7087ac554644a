"""``verify-signature``: whether a signature proves a message, and if not, what exactly is wrong."""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from urllib.parse import parse_qsl

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from payments.channels import alipay_signing, unionpay_signing
from payments.channels import signing_examined as examined
from payments.channels import wechat_signing as wechat
from payments.channels.signing_keys import BadSetting
from payments.signature import mistakes
from payments.signature.report import Report
from payments.signature.words import HELP, LINES, Language, say

#: Files that are read are no larger.
MOST_BYTES = 16 << 20


class BadInput(Exception):
    """The command line or a file makes no sense; said in the reader's language by the code of a sentence."""

    def __init__(self, code: str, **values: object) -> None:
        super().__init__(code)
        self.code = code
        self.values = values


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A message taken apart. ``accepted``: the texts any of which may be signed, the documented one first; ``wrong``:
    the texts that mistakes lead to; ``wrap`` makes of a text what is put under the signature."""

    signature: str
    accepted: tuple[bytes, ...]
    wrong: Callable[[], Iterable[mistakes.Mistake]]
    wrap: Callable[[bytes], bytes] = bytes
    algorithm: str = "sha256"
    serial: str = ""
    timestamp: str = ""
    carried: Mapping[str, RSAPublicKey] = {}


def main(arguments: Sequence[str], *, now_s: Callable[[], float] = time.time) -> int:
    """The exit code: 0 right, 1 wrong, 2 could not begin."""
    language = _language(arguments)
    options = _parser(language).parse_args(arguments)
    try:
        case = _case(options)
        keys = {path: examined.read_public_key("--key", path) for path in options.key}
        own = {path: examined.read_public_key("--own-key", path) for path in options.own_key}
        claim = _read(options.signed) if options.signed else None
        if not keys and not case.carried:
            raise BadInput("needs_key")
    except BadInput as error:
        return _cannot_begin(language, say(LINES, error.code, language, **error.values))
    except BadSetting as error:
        return _cannot_begin(language, str(error))
    report = Report(language)
    is_right = _examine(case, {**keys, **case.carried}, own, claim, report)
    report.about_time(case.timestamp, now_s())
    if options.show:
        report.add("text_to_sign")
        report.lines.extend(f"  {line!r}" for line in case.accepted[0].splitlines(keepends=True))
    sys.stdout.write("\n".join(report.lines) + "\n")
    return 0 if is_right else 1


def _cannot_begin(language: Language, what: str) -> int:
    sys.stderr.write(say(LINES, "usage", language, what=what) + "\n")
    return 2


def _language(arguments: Sequence[str]) -> Language:
    given = dict(itertools.pairwise(arguments)).get("--lang", "")
    given = given or next((each[7:] for each in arguments if each.startswith("--lang=")), "")
    told = given or os.environ.get("LC_ALL") or os.environ.get("LANG") or ""
    return "zh" if told.lower().startswith("zh") else "en"


def _parser(language: Language) -> argparse.ArgumentParser:
    def about(code: str) -> str:
        return say(HELP, code, language)

    parser = argparse.ArgumentParser(
        prog="python -m payments verify-signature",
        description=about("about"),
        epilog=about("end"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("provider", choices=("wechat", "alipay", "unionpay"), help=about("provider"))
    for name in ("headers", "body", "params", "method", "url", "reply", "signed"):
        parser.add_argument(f"--{name}", metavar="…", help=about(name))
    parser.add_argument("--request", action="store_true", help=about("request"))
    parser.add_argument("--key", metavar="…", action="append", default=[], help=about("key"))
    parser.add_argument("--own-key", metavar="…", action="append", default=[], help=about("own_key"))
    parser.add_argument("--show", action="store_true", help=about("show"))
    parser.add_argument("--lang", choices=("en", "zh"), help=about("lang"))
    return parser


# -- the message --------------------------------------------------------------------------------------------------


def _read(path: str) -> bytes:
    try:
        if path == "-":
            return sys.stdin.buffer.read(MOST_BYTES)
        with open(path, "rb") as file:
            return file.read(MOST_BYTES)
    except OSError as error:
        raise BadInput("as_read", what=f"{path}: {error.strerror or type(error).__name__}") from None


def _needed(options: argparse.Namespace, name: str) -> bytes:
    path = getattr(options, name)
    if not path:
        raise BadInput("needs_option", option=f"--{name}")
    return _read(path)


def _case(options: argparse.Namespace) -> Case:
    match options.provider:
        case "wechat" if options.url:
            return _wechat_request(options)
        case "wechat":
            return _wechat_answer(options)
        case "alipay" if options.reply:
            return _alipay_reply(options)
        case "alipay":
            return _alipay_params(_params(options), is_request=options.request)
        case _:
            return _unionpay(_params(options))


def _headers(options: argparse.Namespace) -> dict[str, str]:
    text = _needed(options, "headers").decode("utf-8-sig", "replace").strip()
    pairs: Iterable[tuple[str, str]]
    if text.startswith("{"):
        pairs = _json_object(text, "--headers").items()
    else:
        split = (line.partition(":") for line in text.splitlines())
        pairs = ((name, value) for name, colon, value in split if colon)
    return {name.strip().lower(): value.strip() for name, value in pairs}


def _json_object(text: str, field: str) -> dict[str, str]:
    try:
        parsed = json.loads(text)
    except ValueError as error:
        raise BadInput("as_read", what=f"{field}: {error}") from None
    return {str(name): value if isinstance(value, str) else json.dumps(value) for name, value in parsed.items()}


def _params(options: argparse.Namespace) -> dict[str, str]:
    text = _needed(options, "params").decode("utf-8-sig", "replace").strip()
    if text.startswith("{"):
        return _json_object(text, "--params")
    found = dict(parse_qsl(text, keep_blank_values=True))
    if not found:
        raise BadInput("needs_form", option="--params", form="a=1&b=2, {…}")
    return found


def _wechat_answer(options: argparse.Namespace) -> Case:
    headers, body = _headers(options), _read(options.body) if options.body else b""
    names = (wechat.TIMESTAMP, wechat.NONCE, wechat.SIGNATURE, wechat.SERIAL)
    timestamp, nonce, signature, serial = (_header(headers, name) for name in names)

    def wrong() -> Iterator[mistakes.Mistake]:
        for code, other in (*mistakes.of_text(body), *mistakes.of_json(body)):
            yield code, wechat.answer_message(timestamp, nonce, other)
        yield "body_left_out", wechat.answer_message(timestamp, nonce, b"")
        yield "order_of_lines", wechat.answer_message(nonce, timestamp, body)
        yield "final_newline", wechat.answer_message(timestamp, nonce, body)[:-1]

    return Case(
        signature=signature,
        accepted=(wechat.answer_message(timestamp, nonce, body),),
        wrong=wrong,
        serial=serial,
        timestamp=timestamp,
    )


def _header(headers: Mapping[str, str], name: str) -> str:
    if not headers.get(name.lower()):
        raise BadInput("needs_field", option="--headers", field=name)
    return headers[name.lower()]


def _wechat_request(options: argparse.Namespace) -> Case:
    method, target = (options.method or "GET").upper(), options.url
    if not target.startswith("/"):
        raise BadInput("needs_form", option="--url", form="/v3/…")
    body = _read(options.body) if options.body else b""
    parts = wechat.read_authorization(_header(_headers(options), "Authorization"))
    if not {"timestamp", "nonce_str", "signature"} <= parts.keys():
        raise BadInput("needs_form", option="--headers, Authorization", form=f"{wechat.ALGORITHM} …")
    timestamp, nonce = parts["timestamp"], parts["nonce_str"]

    def message(target: str = target, body: bytes = body, method: str = method) -> bytes:
        return wechat.request_message(method, target, timestamp, nonce, body)

    def wrong() -> Iterator[mistakes.Mistake]:
        for code, other in mistakes.of_target(target):
            yield code, message(target=other)
        for code, text in (*mistakes.of_text(body), *mistakes.of_json(body)):
            yield code, message(body=text)
        yield "body_left_out", message(body=b"")
        for text in (b"{}", b"null", b"None"):
            yield "body_in_get", message(body=text)
        yield "method_case", message(method=method.lower())
        yield "final_newline", message()[:-1]
        yield "order_of_lines", wechat.request_message(method, target, nonce, timestamp, body)

    return Case(signature=parts["signature"], accepted=(message(),), wrong=wrong, timestamp=timestamp)


def _joined(pairs: list[tuple[str, str]]) -> str:
    return "&".join(f"{name}={value}" for name, value in pairs)


def _alipay_params(params: dict[str, str], *, is_request: bool) -> Case:
    if not params.get("sign"):
        raise BadInput("needs_field", option="--params", field="sign")
    with_type = alipay_signing.text_to_sign(params).encode()
    without_type = alipay_signing.text_to_sign(params, ("sign", "sign_type")).encode()

    def wrong() -> Iterator[mistakes.Mistake]:
        if is_request:
            yield "sign_type", without_type
        for names in (("sign",), ("sign", "sign_type")):
            yield from mistakes.of_params(params, names, _joined)
            yield from mistakes.of_text(alipay_signing.text_to_sign(params, names).encode())

    accepted = (with_type,) if is_request else (without_type, with_type)
    algorithm = "sha1" if params.get("sign_type") == "RSA" else "sha256"
    return Case(signature=params["sign"], accepted=accepted, wrong=wrong, algorithm=algorithm)


def _alipay_reply(options: argparse.Namespace) -> Case:
    reply = alipay_signing.take_apart(_needed(options, "body"), options.reply)
    if reply is None or not reply.signature:
        raise BadInput("needs_field", option="--body", field=f"{alipay_signing.reply_member(options.reply)}, sign")

    def wrong() -> Iterator[mistakes.Mistake]:
        yield from mistakes.of_text(reply.content)
        yield from mistakes.of_json(reply.content)

    return Case(signature=reply.signature, accepted=(reply.content,), wrong=wrong)


def _unionpay(params: dict[str, str]) -> Case:
    if not params.get("signature"):
        raise BadInput("needs_field", option="--params", field="signature")
    is_old = params.get("version") == "5.0.0"
    algorithm = "sha1" if is_old else "sha256"

    def wrap(text: bytes) -> bytes:
        return hashlib.new(algorithm, text).hexdigest().encode()

    def wrong() -> Iterator[mistakes.Mistake]:
        yield from mistakes.of_params(params, ("signature",), _joined)
        yield from mistakes.of_text(text)

    text = unionpay_signing.text_to_sign(params).encode()
    carried = {}
    if params.get("signPubKeyCert"):
        carried["signPubKeyCert"] = examined.carried_key("signPubKeyCert", params["signPubKeyCert"])
    return Case(
        signature=params["signature"],
        accepted=(text,),
        wrong=wrong,
        wrap=wrap,
        algorithm=algorithm,
        carried=carried,
    )


# -- the verdict --------------------------------------------------------------------------------------------------


def _examine(
    case: Case,
    keys: Mapping[str, RSAPublicKey],
    own: Mapping[str, RSAPublicKey],
    claim: bytes | None,
    report: Report,
) -> bool:
    opened = _open(case, keys, own, report)
    if opened is not None and opened.key_name in keys:
        if opened.algorithm == case.algorithm and any(opened.is_over(case.wrap(each)) for each in case.accepted):
            is_plain = not report.lines
            report.lines.insert(0, say(LINES, "good" if is_plain else "bad", report.language, key=opened.key_name))
            return is_plain
        report.add("key_right", key=opened.key_name)
        _name_mistake(case, opened, claim is not None, report)
    elif opened is not None:
        report.add("own_key", key=opened.key_name)
    if claim is not None:
        _compare_claim(case, opened, claim, report)
    report.lines.insert(0, say(LINES, "bad", report.language))
    return False


def _open(
    case: Case, keys: Mapping[str, RSAPublicKey], own: Mapping[str, RSAPublicKey], report: Report
) -> examined.Opened | None:
    """The signature opened by the key that made it, mended where its text was damaged; None: it cannot be."""
    if case.signature.startswith(wechat.PROBE_PREFIX):
        report.add("probe")
        return None
    raw = examined.decode_signature(case.signature)
    known = {**keys, **own}
    opened = examined.open_signature(known, raw) if raw is not None else None
    if opened is not None:
        return opened
    for code, text in mistakes.repaired_signatures(case.signature):
        repaired = examined.decode_signature(text.decode())
        opened = examined.open_signature(known, repaired) if repaired is not None else None
        if opened is not None:
            report.add("damaged", mistake=report.mistake(code))
            return opened
    if raw is None:
        _name_bad_sign(case.signature, report)
        return None
    sizes = {name: examined.signature_bytes(key) for name, key in keys.items()}
    if len(raw) not in sizes.values():
        name, wanted = next(iter(sizes.items()))
        report.add("wrong_length", got=len(raw), key=name, wanted=wanted)
    report.add("wrong_key", keys=", ".join(known))
    if case.serial:
        is_public = case.serial.startswith(wechat.PUBLIC_KEY_PREFIX)
        report.add("asks_public_key" if is_public else "asks_certificate", serial=case.serial)
    return None


def _name_bad_sign(signature: str, report: Report) -> None:
    alphabet = set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=")
    at = next((at for at, sign in enumerate(signature) if sign not in alphabet), len(signature))
    report.add("not_base64", at=at + 1, sign=repr(signature[at : at + 1]))


def _name_mistake(case: Case, opened: examined.Opened, has_claim: bool, report: Report) -> None:
    if opened.algorithm != case.algorithm:
        report.add("wrong_algorithm", got=f"{opened.algorithm}WithRSA", wanted=f"{case.algorithm}WithRSA")
        if any(opened.is_over(case.wrap(each)) for each in case.accepted):
            return
    here = case.accepted[0]
    for code, wrapped in (("single_digest", here), ("upper_hex", case.wrap(here).upper())):
        if case.wrap(here) != here and opened.is_over(wrapped):
            report.add("mistake", mistake=report.mistake(code))
            return
    for code, text in itertools.chain(case.wrong(), mistakes.of_one_byte(here)):
        if opened.is_over(case.wrap(text)):
            report.add("mistake", mistake=report.mistake(code))
            report.difference(text, here)
            return
    digest = hashlib.new(opened.algorithm, case.wrap(here)).hexdigest() if opened.algorithm != "unknown" else "?"
    report.add("unknown_mistake", signed=opened.digest.hex(), here=digest)
    report.looks(here)
    if not has_claim:
        report.add("give_signed")


def _compare_claim(case: Case, opened: examined.Opened | None, claim: bytes, report: Report) -> None:
    here = case.accepted[0]
    if claim == here:
        report.add("claim_same")
    else:
        report.difference(claim, here)
    if opened is not None:
        report.add("claim_signed" if opened.is_over(case.wrap(claim)) else "claim_not_signed")
