/** Chinese texts about one-time codes and what needs one, by key. */

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
};
