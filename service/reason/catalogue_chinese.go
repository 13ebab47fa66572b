package reason

import taskv1 "github.com/kootask/kootask/gen/koodrive/task/v1"

// Chinese is the tag of Simplified Chinese.
const Chinese = "zh-CN"

// chinese translates the texts of the table.
var chinese = map[taskv1.ErrorReason]string{
	taskv1.ErrorReason_REQUEST_INVALID:             "请求无效，详情见字段错误。",
	taskv1.ErrorReason_CREDENTIAL_MISSING:          "请求未携带凭证，请在 authorization 中提供 KooDrive 凭证。",
	taskv1.ErrorReason_CREDENTIAL_REJECTED:         "KooDrive 拒绝了该凭证，请重新获取。",
	taskv1.ErrorReason_TASK_NOT_FOUND:              "KooDrive 中不存在该任务。",
	taskv1.ErrorReason_CALLER_DEADLINE:             "已超过本次调用设定的截止时间，请设置更长的时限。",
	taskv1.ErrorReason_WATCH_LIFETIME_REACHED:      "监听已达到最长时限，请重新监听。",
	taskv1.ErrorReason_WATCHER_TOO_SLOW:            "客户端未读取推送的数据，请重新监听并及时读取每条消息。",
	taskv1.ErrorReason_UPSTREAM_STALE:              "KooDrive 长时间未响应，请稍后重新监听。",
	taskv1.ErrorReason_SERVER_DRAINING:             "服务正在停止，请重新调用，将由其他实例响应。",
	taskv1.ErrorReason_CALLER_LIMIT_REACHED:        "调用方已达到上限，具体限制见元数据。",
	taskv1.ErrorReason_SERVER_OVERLOADED:           "服务繁忙，请稍后重试。",
	taskv1.ErrorReason_SERVER_MISCONFIGURED:        "服务无法使用 KooDrive，需由运维人员处理。",
	taskv1.ErrorReason_SERVER_ERROR:                "服务内部出错，请附上请求 ID 反馈。",
	taskv1.ErrorReason_UPSTREAM_PERMISSION_DENIED:  "该凭证无权查看此任务。",
	taskv1.ErrorReason_UPSTREAM_RATE_LIMITED:       "请求过于频繁，已被 KooDrive 限流，请稍后重试。",
	taskv1.ErrorReason_UPSTREAM_TIMEOUT:            "KooDrive 响应超时，请稍后重试。",
	taskv1.ErrorReason_UPSTREAM_UNREACHABLE:        "无法连接 KooDrive，请稍后重试。",
	taskv1.ErrorReason_UPSTREAM_UNAVAILABLE:        "KooDrive 暂不可用，请稍后重试。",
	taskv1.ErrorReason_UPSTREAM_MALFORMED_BODY:     "无法解析 KooDrive 的响应，请稍后重试。",
	taskv1.ErrorReason_UPSTREAM_CONTRACT_VIOLATION: "KooDrive 的响应不符合约定。",
	taskv1.ErrorReason_UPSTREAM_BUSINESS_ERROR:     "KooDrive 拒绝了请求，返回的错误码无法识别。",
	taskv1.ErrorReason_ROUTE_NOT_FOUND:             "路径不存在。",
	taskv1.ErrorReason_METHOD_NOT_ALLOWED:          "此处不支持该方法。",
	taskv1.ErrorReason_TASK_FAILED:                 "任务执行失败。",
	taskv1.ErrorReason_CALLER_UNAUTHENTICATED:      "无法识别调用方身份，请提供有效的令牌、证书或票据。",
	taskv1.ErrorReason_USER_NOT_ALLOWED:            "调用方无权代表该 KooDrive 用户操作。",
}
