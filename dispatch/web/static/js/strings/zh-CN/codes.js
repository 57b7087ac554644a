/** Chinese texts about proving who one is: one-time codes, ways to pay that are set up. */

/** @type {Record<string, string>} */
export const codes = {
  "code.title": "短信验证",
  "code.sent": "验证码已发送到您账号的手机号，5 分钟内有效。",
  "code.sent_again": "新的验证码已发送。",
  "code.label": "六位验证码",
  "code.give": "确认",
  "code.again": "重新发送",
  "code.wrong": "验证码不对或已过期。",
  "error.code_needed": "这项操作需要短信验证码。",
  "refund.give": "退款",
  "refund.title": "退款给学生",
  "refund.amount": "退款金额（元），最多 {most}",
  "refund.begun": "{amount} 正在退回。",
  "bind.first": "绑定{channel}",
  "bind.title": "绑定{channel}",
  "bind.go": "绑定",
  "bind.done": "{channel}已绑定。",
  "bind.token.text": "请输入校园卡中心给您的授权码（不是卡号，也不是密码）。",
  "bind.token.label": "授权码",
  "bind.token.agree": "我同意在我下单时从这张卡扣款，可随时解绑。",
  "bind.wechat.elsewhere": "{channel}只能在微信里使用：请在微信中打开本页，或换一种支付方式。",
  "bind.page.done": "已授权，可以用它支付了。",
  "bind.page.failed": "授权没有成功，请重试或换一种支付方式。",
  "bind.undo": "解绑{channel}",
  "bind.undone": "{channel}已解绑。",
};
