"""What ``verify-signature`` says, in English and Chinese."""

from __future__ import annotations

from typing import Literal

Language = Literal["en", "zh"]

#: What was signed instead of what arrived, or how the signature was damaged.
MISTAKES: dict[str, tuple[str, str]] = {
    "bom_added": ("a byte order mark (EF BB BF) was put before it after signing", "签名后在开头多了 BOM（EF BB BF）"),
    "bom_lost": ("a byte order mark (EF BB BF) was signed and is gone", "签名时开头有 BOM（EF BB BF），收到时已丢失"),
    "newline_added": ("a line end was added after signing", "签名后末尾多了换行符"),
    "newline_lost": ("the line end at its end was signed and is gone", "签名时末尾有换行符，收到时已丢失"),
    "line_ends": ("line ends were changed (CRLF, LF)", "换行符被改过（CRLF 与 LF）"),
    "space_around": ("spaces were added around it", "首尾多了空白字符"),
    "not_utf8": ("it was signed or sent in another encoding than UTF-8", "签名或发送时用的不是 UTF-8 编码"),
    "encoded_twice": (
        "UTF-8 was encoded twice (read as Latin-1 on its way)",
        "UTF-8 被重复编码（中途按 Latin-1 读取）",
    ),
    "yen_sign": (
        "the yuan sign was changed (¥ U+00A5, ￥ U+FFE5, %C2%A5, &yen;)",
        "人民币符号被改过（¥ U+00A5、￥ U+FFE5、%C2%A5、&yen;）",
    ),
    "html_escaped": ("HTML escapes (&amp; &quot; …) were made or undone", "HTML 转义（&amp; &quot; 等）被加上或去掉"),
    "url_encoded": ("URL encoding was made or undone (% and +)", "URL 编码被加上或去掉（% 和 +）"),
    "json_rewritten": (
        "the JSON was parsed and written again: verify the raw bytes instead",
        "JSON 被解析后重新序列化：应对原始字节验签",
    ),
    "query_left_out": ("the query (from ? on) was not signed", "签名时漏了查询串（? 及之后的部分）"),
    "host_included": ("the host was signed; only path and query are", "签名里包含了域名；只应包含路径和查询串"),
    "slash": ("the path was signed without its first /", "签名的路径缺少开头的 /"),
    "final_newline": ("the text to sign was made without its last line end", "待签名串缺少最后一个换行符"),
    "body_left_out": ("the body was not signed", "签名时漏了报文主体"),
    "body_in_get": ("a body was signed that was not sent", "签名时带了并未发送的报文主体"),
    "order_of_lines": ("time stamp and nonce were signed in the wrong order", "时间戳与随机串的顺序颠倒"),
    "method_case": ("the method was signed in small letters", "请求方法用了小写"),
    "sign_type": ("sign_type was treated the wrong way (kept or left out)", "sign_type 处理有误（应保留或应去掉）"),
    "not_sorted": ("the parameters were not sorted", "参数没有按 ASCII 码升序排序"),
    "sorted_without_case": ("the parameters were sorted without regard to case", "参数排序时忽略了大小写"),
    "empty_included": ("empty parameters were signed, too", "空值参数也参与了签名"),
    "values_encoded": ("the values were URL-encoded before signing", "参数值在签名前做了 URL 编码"),
    "values_decoded": ("the values were URL-decoded once too often", "参数值多做了一次 URL 解码"),
    "plus_lost": ("a + became a space on its way (form decoding)", "+ 在传输中变成了空格（表单解码）"),
    "left_out": ("the parameter {value} was not signed", "参数 {value} 没有参与签名"),
    "single_digest": (
        "the text was signed itself, not its SHA-256 in hex",
        "直接对文本签名，而不是对其 SHA-256 的十六进制",
    ),
    "upper_hex": ("the digest was written in capital letters", "摘要用了大写十六进制"),
    "one_byte": ("a single byte was changed, added or lost", "有一个字节被改动、增加或丢失"),
    "signature_spaces": ("each + of the signature became a space", "签名里的 + 变成了空格"),
    "signature_line_ends": ("the signature was broken into lines", "签名被折成了多行"),
    "signature_url_encoded": ("the signature is still URL-encoded", "签名还是 URL 编码状态"),
    "signature_url_safe": ("the signature is in the URL-safe alphabet (- and _)", "签名用了 URL 安全字母表（- 和 _）"),
    "signature_padding": ("the = at the end of the signature is missing", "签名末尾缺少 ="),
}

#: Sentences.
LINES: dict[str, tuple[str, str]] = {
    "good": ("RIGHT: signed with {key}, over exactly these bytes.", "正确：由 {key} 签名，内容逐字节一致。"),
    "bad": ("WRONG: the signature does not prove this message.", "错误：签名不能证明这条消息。"),
    "not_base64": (
        "The signature is not base64: character {at} is {sign}.",
        "签名不是 base64：第 {at} 个字符是 {sign}。",
    ),
    "damaged": (
        "The signature's text was damaged: {mistake}. Repaired, it can be read.",
        "签名文本受损：{mistake}。修复后可读。",
    ),
    "probe": (
        "This is a probe (WECHATPAY/SIGNTEST/): it is wrong on purpose and must be refused with 4xx or 5xx.",
        "这是探测流量（WECHATPAY/SIGNTEST/）：故意签错，必须以 4xx 或 5xx 拒绝。",
    ),
    "wrong_length": (
        "The signature has {got} bytes; {key} makes {wanted}: it is another key's.",
        "签名长 {got} 字节，而 {key} 的签名长 {wanted} 字节：是另一把密钥签的。",
    ),
    "wrong_key": (
        "Key mismatch: none of the keys given ({keys}) made this signature (or a character of the signature changed).",
        "密钥不匹配：给出的密钥（{keys}）都不是签名者（或签名本身有字符被改）。",
    ),
    "asks_public_key": (
        "The message names {serial}: give WeChat Pay's public key of this id (not a certificate).",
        "消息指明 {serial}：需要该编号的微信支付公钥（不是证书）。",
    ),
    "asks_certificate": (
        "The message names {serial}: give the platform certificate with this serial number (not the merchant's).",
        "消息指明 {serial}：需要该序列号的平台证书（不是商户证书）。",
    ),
    "own_key": (
        "It was made with your own key ({key}): the provider's is expected here.",
        "这是用你自己的密钥（{key}）签的：此处应为支付平台的密钥。",
    ),
    "key_right": ("The key is right: {key} made this signature.", "密钥没问题：签名出自 {key}。"),
    "wrong_algorithm": (
        "Wrong algorithm: it was signed with {got}; {wanted} is expected.",
        "算法不对：签名用的是 {got}，应为 {wanted}。",
    ),
    "mistake": ("What was signed is not what is here: {mistake}.", "签名的内容与此处不同：{mistake}。"),
    "unknown_mistake": (
        "Something else was signed than what is here. Signed digest: {signed}; digest of what is here: {here}.",
        "签名的内容与此处不同。签名中的摘要：{signed}；此处内容的摘要：{here}。",
    ),
    "give_signed": (
        "Give the text that the other side says it signed with --signed, and the first differing byte is named.",
        "用 --signed 给出对方声称签名的文本，即可指出第一个不同的字节。",
    ),
    "claim_same": (
        "The text of --signed is byte by byte what should be signed.",
        "--signed 的文本与应签名的内容逐字节相同。",
    ),
    "claim_not_signed": (
        "But it is not what was signed: its digest is another one.",
        "但它并不是实际签名的内容：摘要不同。",
    ),
    "claim_signed": ("It is indeed what was signed.", "实际签名的正是它。"),
    "first_difference": (
        "First difference: byte {byte} (line {line}, column {column})",
        "第一个不同之处：第 {byte} 字节（第 {line} 行第 {column} 列）",
    ),
    "was_signed": ("  signed: {bytes}", "  签名的：{bytes}"),
    "should_be": ("  here:   {bytes}", "  此处的：{bytes}"),
    "ends_here": ("(it ends here)", "（到此结束）"),
    "worth_a_look": ("Worth a look: {what}", "值得检查：{what}"),
    "stale": (
        "Note: it is {seconds} seconds away from now; a server refuses more than 300.",
        "注意：与当前时间相差 {seconds} 秒；服务器会拒绝超过 300 秒的消息。",
    ),
    "text_to_sign": ("What should be signed:", "应签名的内容："),
    "usage": ("Cannot begin: {what}", "无法开始：{what}"),
    "as_read": ("{what}", "{what}"),
    "needs_option": ("{option} is needed (see --help)", "需要 {option}（见 --help）"),
    "needs_key": (
        "--key is needed: the file with the public key or certificate of whoever signed",
        "需要 --key：签名方的公钥或证书文件",
    ),
    "needs_field": ("{option}: there is no {field} in it", "{option}：其中没有 {field}"),
    "needs_form": ("{option}: must be {form}", "{option}：应为 {form}"),
}

#: What is worth a look although nothing proves it.
LOOKS: dict[str, tuple[str, str]] = {
    "has_bom": ("it begins with a byte order mark (EF BB BF)", "开头有 BOM（EF BB BF）"),
    "has_cr": ("it has carriage returns (CR)", "含有回车符（CR）"),
    "has_no_utf8": ("byte {value} is not UTF-8", "第 {value} 字节不是 UTF-8"),
    "has_wide_yen": ("a full-width ￥ (U+FFE5) at byte {value}", "第 {value} 字节有全角 ￥（U+FFE5）"),
    "has_yen": ("a ¥ (U+00A5) at byte {value}", "第 {value} 字节有 ¥（U+00A5）"),
    "has_nbsp": ("a no-break space at byte {value}", "第 {value} 字节有不换行空格"),
    "has_zero_width": ("a zero-width space at byte {value}", "第 {value} 字节有零宽空格"),
    "has_percent": ("it has URL-encoded characters (%)", "含有 URL 编码字符（%）"),
}

#: The command's own help.
HELP: dict[str, tuple[str, str]] = {
    "about": (
        "Say whether a signature proves a message, and if not, which byte, key, algorithm or encoding is wrong.",
        "检查签名能否证明一条消息；不能时指出错在哪个字节、密钥、算法或编码。",
    ),
    "end": (
        "Exit code: 0 the signature is right, 1 it is not, 2 the command line or a file is wrong. Examples:\n"
        "  verify-signature wechat --headers head.txt --body body.json --key wechatpay_public.pem\n"
        "  verify-signature wechat --method POST --url /v3/pay/transactions/jsapi --headers head.txt --body body.json"
        " --key apiclient_key.pem\n"
        "  verify-signature alipay --params notify.txt --key alipay_public.pem\n"
        "  verify-signature alipay --reply alipay.trade.query --body reply.json --key alipay_public.pem\n"
        "  verify-signature unionpay --params notice.txt",
        "退出码：0 签名正确，1 不正确，2 命令行或文件有误。例如：\n"
        "  verify-signature wechat --headers head.txt --body body.json --key wechatpay_public.pem\n"
        "  verify-signature wechat --method POST --url /v3/pay/transactions/jsapi --headers head.txt --body body.json"
        " --key apiclient_key.pem\n"
        "  verify-signature alipay --params notify.txt --key alipay_public.pem\n"
        "  verify-signature alipay --reply alipay.trade.query --body reply.json --key alipay_public.pem\n"
        "  verify-signature unionpay --params notice.txt",
    ),
    "provider": ("whose protocol", "哪家的协议"),
    "headers": (
        "file with the HTTP headers, one to a line, or a JSON object; - reads standard input",
        "HTTP 头文件，一行一个，或 JSON 对象；- 表示标准输入",
    ),
    "body": (
        "file with the raw body, byte for byte; - reads standard input",
        "原始报文主体文件，逐字节；- 表示标准输入",
    ),
    "params": (
        "file with the form as it was sent (a=1&b=2), or a JSON object of its parameters",
        "原样的表单文件（a=1&b=2），或参数的 JSON 对象",
    ),
    "method": ("the request's method; with --url a request is checked", "请求方法；与 --url 同用时检查请求签名"),
    "url": ("the request's path and query, as sent", "请求的路径和查询串，与发送时一致"),
    "reply": ("the method whose reply the body is, for Alipay", "支付宝：报文主体是哪个接口的应答"),
    "request": ("the parameters are a request's, not a notification's (Alipay)", "支付宝：参数是请求而不是通知"),
    "key": (
        "file with the signer's public key or certificate (or a private key: its public half); may be repeated",
        "签名者的公钥或证书文件（或私钥，取其公钥）；可重复给出",
    ),
    "own_key": (
        "file with your own key, to tell whether it was used by mistake",
        "你自己的密钥文件，用来判断是否误用了它",
    ),
    "signed": ("file with the text that the other side says it signed", "对方声称签名的文本文件"),
    "show": ("show the text that should be signed", "显示应签名的文本"),
    "lang": ("language; else by LANG", "语言；默认由 LANG 决定"),
}


def say(words: dict[str, tuple[str, str]], code: str, language: Language, **values: object) -> str:
    """One text. A code may carry a value: ``left_out:total_amount``."""
    name, _, value = code.partition(":")
    return words[name][language == "zh"].format(value=value, **values)
