// The words of both pages, in both languages.
const WORDS = {
  en: {
    title: "Payment simulator", orders: "Orders", notices: "Callbacks", faults: "What goes wrong", calls: "Calls",
    transfers: "Transfers", channel: "channel", number: "order", description: "for", amount: "amount", standing: "state",
    paid: "paid", refunded: "refunded", split: "split", frozen: "frozen", charged: "charged", pay: "Pay", till: "Till",
    open: "open", closed: "closed", kind: "kind", url: "to", heard: "heard", tries: "answers", due: "next",
    resend: "Send again", add: "Add", remove: "Remove", removeAll: "Remove all", fired: "fired", rule: "rule",
    time: "time", operation: "operation", status: "status", none: "Nothing yet.", yes: "yes", no: "no", agree: "Accept",
    to: "to", wrongPassword: "Wrong password", later: "Pay later", payNow: "Pay now",
    said_paid: "Paid.", said_already_paid: "It is paid already.", said_closed: "It cannot be paid any more.",
    said_insufficient: "Not enough money.", said_wrong_password: "Wrong password. Nothing was paid.",
    said_later: "Not paid. This page can be opened again.", lost: "no answer", rotate: "New certificate",
    example: "e.g. delay op=create p=0.1 ms=1500", language: "中文", main: "First domain", backup: "Backup domain",
    reachable: "can be reached", unreachable: "cannot be reached", waiting: "waiting", accepted: "under way",
    done: "arrived", failed: "failed", cancelled: "cancelled",
  },
  zh: {
    title: "支付模拟器", orders: "订单", notices: "回调通知", faults: "故障", calls: "请求",
    transfers: "商家转账", channel: "渠道", number: "商户订单号", description: "商品", amount: "金额", standing: "状态",
    paid: "已支付", refunded: "已退款", split: "已分账", frozen: "冻结中", charged: "扣款次数", pay: "支付", till: "收银台",
    open: "待支付", closed: "已关闭", kind: "类型", url: "地址", heard: "已确认", tries: "应答", due: "下次",
    resend: "重发", add: "添加", remove: "移除", removeAll: "全部移除", fired: "已触发", rule: "规则",
    time: "时间", operation: "操作", status: "状态码", none: "暂无。", yes: "是", no: "否", agree: "确认收款",
    to: "收款人", wrongPassword: "密码错误", later: "稍后支付", payNow: "立即支付",
    said_paid: "支付成功。", said_already_paid: "订单已支付。", said_closed: "订单已不能支付。",
    said_insufficient: "余额不足。", said_wrong_password: "密码错误,未支付。",
    said_later: "尚未支付,可再次打开本页。", lost: "无应答", rotate: "更换平台证书",
    example: "例如 delay op=create p=0.1 ms=1500", language: "English", main: "主域名", backup: "备域名",
    reachable: "可访问", unreachable: "不可访问", waiting: "待确认", accepted: "处理中",
    done: "已到账", failed: "失败", cancelled: "已撤销",
  },
};

let language = localStorage.getItem("language") ?? (navigator.language.startsWith("zh") ? "zh" : "en");

/** The words of the language that was chosen; an unknown one is shown as it is. */
export const say = (key) => WORDS[language][key] ?? key;

/** Write the words into everything that names one, and let the button change the language. */
export function speak(redraw) {
  const write = () => {
    document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
    document.title = say("title");
    for (const element of document.querySelectorAll("[data-say]")) element.textContent = say(element.dataset.say);
    for (const element of document.querySelectorAll("[data-hint]")) {
      element.placeholder = say(element.dataset.hint);
      element.setAttribute("aria-label", say(element.dataset.hint));
    }
    redraw();
  };
  document.querySelector("#language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    localStorage.setItem("language", language);
    write();
  });
  write();
}

/** 1205 → ¥12.05 */
export const yuan = (fen) => `¥${(fen / 100).toFixed(2)}`;

/** Ask the simulator; an error is its own sentence. */
export async function ask(path, method = "GET", body = undefined) {
  const answer = await fetch(path, {
    method,
    headers: body === undefined ? {} : { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const words = await answer.json();
  if (!answer.ok) throw new Error(words.error);
  return words;
}
