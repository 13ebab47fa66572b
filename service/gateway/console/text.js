// The texts of the page in both languages. The texts of errors come from the server's own catalogue.
import { reasons, results } from './reasons.js';

const texts = {
  'en-US': {
    'reference': 'API reference', 'language': 'Language',
    'form.title': 'Watch tasks', 'watch': 'Watch', 'more': 'Other credentials',
    'token': 'KooDrive token', 'token.hint': "It is kept only in this tab's memory. The page sends it to its own server, which forwards it to KooDrive.",
    'insecure': 'This page was loaded without TLS: anyone on the way to the server can read the data that you send.',
    'too-old': 'This browser is too old for this page. Use Chrome 116, Firefox 124, Safari 17.4, or later.',
    'demo.hint': 'This is a demo. Its credential is {credential}.', 'demo.watch': 'Watch the demo’s tasks',
    'ids': 'Task ids', 'ids.hint': 'One or more, separated by spaces, commas or line breaks.',
    'user-id': 'KooDrive user id', 'user-id.hint': 'x-user-id: the KooDrive user to act for, where the server has its own credential.',
    'date': 'Date of the signature', 'date.hint': 'x-date: required if the token is a ready-made HMAC-SHA256 signature.',
    'caller-token': 'Your token for kootask', 'caller-token.hint': 'x-kootask-authorization: required where callers must authenticate. A new token also applies to running watches.',
    'error.credential': 'Paste a token here, or enter a KooDrive user id below.',
    'error.header': 'The value has a character that cannot be sent. Check that nothing else was pasted with it.',
    'error.no-ids': 'Enter at least one task id.',
    'error.id': 'A task id has 1 to 64 letters, digits, _ and -. Correct “{id}”.',
    'error.reserved': '“{id}” cannot be a task id, because it has another meaning to KooDrive.',
    'error.many': 'The page holds at most {limit} tasks. Remove some first.',
    'tasks': 'Tasks', 'empty': 'No tasks are being watched yet.', 'none': 'No task matches the filter.', 'stop-all': 'Stop all', 'clear': 'Remove ended',
    'group.all': 'All {count}', 'group.watching': 'Watching {count}', 'group.succeeded': 'Succeeded {count}', 'group.failed': 'Failed {count}',
    'group.problems': 'Problems {count}', 'group.stopped': 'Stopped {count}',
    'filter': 'Filter', 'link': 'Link to this list', 'previous': 'Previous', 'next': 'Next', 'range': '{first} to {last} of {count}',
    'notify': 'Notify me at the end', 'notify.denied': 'Your browser does not allow notifications from this page',
    'notify.body': 'Succeeded: {succeeded}. Failed: {failed}. Ended with an unlisted status: {ended}. Watches with an error: {troubled}.',
    'column.state': 'Status', 'column.id': 'Task id', 'column.name': 'Name', 'column.bar': 'Time in each status', 'column.confirmed': 'Confirmed',
    'column.note': 'Watch', 'column.actions': 'Actions',
    'details': 'Details', 'stop': 'Stop', 'again': 'Watch again', 'remove': 'Remove', 'close': 'Close',
    'label.details': 'Details of {id}', 'label.stop': 'Stop watching {id}', 'label.again': 'Watch again: {id}', 'label.remove': 'Remove {id}',
    'details.title': 'Task {id}', 'history.label': 'History of {id}', 'older.label': 'Show older lines of {id}',
    'history': 'History ({count})', 'older': 'Show older', 'history.dropped': 'History (the last {count})',
    'state.unknown': 'Not known yet', 'state.NEW': 'NEW', 'state.EXECUTING': 'EXECUTING',
    'state.SUCCESS': 'SUCCESS', 'state.FAILED': 'FAILED', 'state.other': 'Unlisted status: {number}',
    'bar.part': '{state} {time}', 'bar.time': '{time}', 'bar.more': '≥ {time}', 'bar.succeeded': '✓', 'bar.failed': '✗', 'bar.ended': '?',
    'time.s': '{n} s', 'time.min': '{n} min', 'time.h': '{n} h',
    'connection.waiting': 'Waiting for a turn: {most} tasks are watched at a time.', 'connection.connecting': 'Connecting …', 'connection.again': 'Connecting again … {cause}', 'connection.live': 'Live',
    'connection.lost': 'Interrupted. Retrying in {seconds} s. {cause}', 'connection.upstream': '{cause} Watching again in {seconds} s.',
    'connection.ended': 'Finished', 'connection.result': 'Result {result}',
    'connection.failed': 'Ended: {cause}', 'connection.stopped': 'Stopped',
    'confirmed.never': 'Not yet', 'confirmed.ago': '{time} ago',
    'health.ok': 'KooDrive answers.', 'health.failing': 'Poll failed: {reason}',
    'fact.name': 'Name',     'fact.type': 'Type', 'fact.user': 'User', 'fact.tenant': 'Tenant', 'fact.result': 'KooDrive result code',
    'type.TASK_TYPE_TRANSFER_AND_DELETION': 'transfer and deletion', 'type.TASK_TYPE_BATCH_IMPORT': 'batch import', 'type.other': 'unlisted: {number}',
    'failure.message': 'Message', 'failure.reason': 'Reason', 'failure.http': 'HTTP status', 'failure.field': 'Field {field}',
    'failure.requestId': 'Request id',
    'lost.network': 'The server cannot be reached.', 'lost.cut': 'The connection broke.', 'lost.silent': 'The server has sent nothing for too long. Without HTTP/2, other tabs may use all connections.',
    'lost.http': 'A proxy in front of kootask answered with status {http}.',
    'lost.redirect': 'The server or a proxy in front of it redirected the request. Sign in again and reload this page.',
    'lost.page': 'This page has an internal error. Report it with the messages in the browser’s console.',
    'line.lost': 'Interrupted: {cause}', 'line.live': 'Live again', 'line.failing': 'Poll failed: {reason}',
    'line.answers': 'KooDrive answers again', 'line.failed': 'Ended with an error: {cause}', 'line.stopped': 'Stopped', 'line.started': 'Watch started',
    'said.state': 'Task {id}: {state}', 'said.lost': 'Task {id}: interrupted. {cause}', 'said.live': 'Task {id}: live again', 'said.failed': 'Task {id}: ended with an error. {cause}',
    'said.many': '{count} updates', 'said.stopped': 'Stopped: {count}', 'said.removed': 'Removed: {count}', 'said.begun': 'Watching: {count}',
  },
  'zh-CN': {
    'reference': 'API 参考', 'language': '语言',
    'form.title': '监听任务', 'watch': '开始监听', 'more': '其他凭证',
    'token': 'KooDrive 令牌', 'token.hint': '令牌只保存在本标签页的内存中。本页面只将其发送给所属服务器，由服务器转发给 KooDrive。',
    'insecure': '本页面未通过 TLS 加载：通往服务器途中的任何人都可以读取所发送的内容。',
    'too-old': '浏览器版本过低，本页面需要 Chrome 116、Firefox 124、Safari 17.4 或更高版本。',
    'demo.hint': '这是演示环境，凭证为 {credential}。', 'demo.watch': '监听演示任务',
    'ids': '任务 ID', 'ids.hint': '可填写一个或多个，用空格、逗号或换行分隔。',
    'user-id': 'KooDrive 用户 ID', 'user-id.hint': 'x-user-id：服务器使用自有凭证时，代表哪个 KooDrive 用户查询。',
    'date': '签名时间', 'date.hint': 'x-date：令牌是现成的 HMAC-SHA256 签名时必填。',
    'caller-token': '访问 kootask 的令牌', 'caller-token.hint': 'x-kootask-authorization：调用方须通过认证时必填。更新后对正在进行的监听同样生效。',
    'error.credential': '请在此粘贴令牌，或在下方填写 KooDrive 用户 ID。',
    'error.header': '包含无法发送的字符，请检查是否混入了其他内容。',
    'error.no-ids': '请至少输入一个任务 ID。',
    'error.id': '任务 ID 由 1 至 64 个字母、数字、_ 和 - 组成，请更正“{id}”。',
    'error.reserved': '“{id}”在 KooDrive 中另有含义，不能用作任务 ID。',
    'error.many': '本页面最多容纳 {limit} 个任务，请先移除一些。',
    'tasks': '任务', 'empty': '尚未监听任何任务。', 'none': '没有符合条件的任务。', 'stop-all': '全部停止', 'clear': '移除已结束的任务',
    'group.all': '全部 {count}', 'group.watching': '监听中 {count}', 'group.succeeded': '成功 {count}', 'group.failed': '失败 {count}',
    'group.problems': '异常 {count}', 'group.stopped': '已停止 {count}',
    'filter': '筛选', 'link': '此列表的链接', 'previous': '上一页', 'next': '下一页', 'range': '第 {first} 至 {last} 个，共 {count} 个',
    'notify': '全部完成时通知我', 'notify.denied': '浏览器不允许本页面发送通知',
    'notify.body': '成功：{succeeded}。失败：{failed}。以未列出的状态结束：{ended}。监听出错：{troubled}。',
    'column.state': '状态', 'column.id': '任务 ID', 'column.name': '名称', 'column.bar': '各状态用时', 'column.confirmed': '确认时间',
    'column.note': '监听', 'column.actions': '操作',
    'details': '详情', 'stop': '停止', 'again': '重新监听', 'remove': '移除', 'close': '关闭',
    'label.details': '{id} 的详情', 'label.stop': '停止监听 {id}', 'label.again': '重新监听 {id}', 'label.remove': '移除 {id}',
    'details.title': '任务 {id}', 'history.label': '{id} 的历史', 'older.label': '显示更早的记录：{id}',
    'history': '历史（{count}）', 'older': '显示更早的记录', 'history.dropped': '历史（最近 {count} 条）',
    'state.unknown': '状态未知', 'state.NEW': 'NEW 未开始', 'state.EXECUTING': 'EXECUTING 执行中',
    'state.SUCCESS': 'SUCCESS 成功', 'state.FAILED': 'FAILED 失败', 'state.other': '未列出的状态：{number}',
    'bar.part': '{state} {time}', 'bar.time': '{time}', 'bar.more': '≥ {time}', 'bar.succeeded': '✓', 'bar.failed': '✗', 'bar.ended': '?',
    'time.s': '{n} 秒', 'time.min': '{n} 分钟', 'time.h': '{n} 小时',
    'connection.waiting': '等待轮换：同时最多监听 {most} 个任务。', 'connection.connecting': '正在连接…', 'connection.again': '正在重新连接…{cause}', 'connection.live': '实时',
    'connection.lost': '连接中断，{seconds} 秒后重试。{cause}', 'connection.upstream': '{cause}{seconds} 秒后重新监听。',
    'connection.ended': '已完成', 'connection.result': '结果码 {result}',
    'connection.failed': '已结束：{cause}', 'connection.stopped': '已停止',
    'confirmed.never': '尚未确认', 'confirmed.ago': '{time}前',
    'health.ok': 'KooDrive 响应正常。', 'health.failing': '查询失败：{reason}',
    'fact.name': '名称',     'fact.type': '类型', 'fact.user': '用户', 'fact.tenant': '租户', 'fact.result': 'KooDrive 结果码',
    'type.TASK_TYPE_TRANSFER_AND_DELETION': '移交并删除', 'type.TASK_TYPE_BATCH_IMPORT': '批量导入', 'type.other': '未列出的类型：{number}',
    'failure.message': '说明', 'failure.reason': '原因', 'failure.http': 'HTTP 状态码', 'failure.field': '字段 {field}',
    'failure.requestId': '请求 ID',
    'lost.network': '无法连接服务器。', 'lost.cut': '连接已断开。', 'lost.silent': '服务器长时间没有响应。未使用 HTTP/2 时，连接可能已被其他标签页占满。',
    'lost.http': 'kootask 前面的代理返回了状态码 {http}。',
    'lost.redirect': '服务器或其前面的代理将请求转到了别处，请重新登录并重新加载本页面。',
    'lost.page': '本页面出现内部错误，请将浏览器控制台的内容一并反馈。',
    'line.lost': '连接中断：{cause}', 'line.live': '已恢复实时连接', 'line.failing': '查询失败：{reason}',
    'line.answers': 'KooDrive 已恢复响应', 'line.failed': '因错误而结束：{cause}', 'line.stopped': '已停止', 'line.started': '开始监听',
    'said.state': '任务 {id}：{state}', 'said.lost': '任务 {id}：连接中断。{cause}', 'said.live': '任务 {id}：已恢复实时连接', 'said.failed': '任务 {id}：因错误而结束。{cause}',
    'said.many': '{count} 条新消息', 'said.stopped': '已停止：{count}', 'said.removed': '已移除：{count}', 'said.begun': '开始监听：{count}',
  },
};

export const languages = Object.keys(texts);

let language = languages[0];

// A Text is a key with its values, which may be Texts themselves. It can be written in either language at any time.
export const text = (key, values = {}) => ({ key, values });

// reason is the Text of an ErrorReason, from the server's catalogue.
export const reason = (name) => ({ reason: name });

// result is the Text of one of KooDrive's result codes, with what it says if the server knows that.
export const result = (code) => ({ result: code });

// write returns the words of a Text, or of several. Strings and numbers stay as they are. A Date becomes a time, with the day if that is not today.
export function write(t) {
  if (Array.isArray(t)) return t.map(write).join(', ');
  if (t instanceof Date) return t.toDateString() === new Date().toDateString() ? t.toLocaleTimeString(language) : t.toLocaleString(language);
  if (typeof t !== 'object') return String(t);
  if ('reason' in t) return reasons[language][t.reason] ?? t.reason; // A reason that is newer than this page.
  if ('result' in t) return Object.hasOwn(results, t.result) ? `${t.result}: ${results[t.result][language]}` : t.result;
  if ('localized' in t) return t.localized.locale === language ? t.localized.message : write(t.otherwise);
  const words = texts[language][t.key];
  if (words === undefined) {
    console.error(`There is no text ${t.key} in ${language}`);
    return t.key;
  }
  return words.replace(/\{(\w+)\}/g, (_, name) => write(t.values[name]));
}

const said = new WeakMap(); // Element → its Text and its label.

// say shows a Text in an element, also after a change of the language.
export function say(element, t) {
  show(element, { words: t });
}

// label does the same for the accessible name, where the visible words are not enough.
export function label(element, t) {
  show(element, { label: t });
}

function show(element, change) {
  const { words, label } = { ...said.get(element), ...change };
  said.set(element, { words, label });
  element.toggleAttribute('data-said', true);
  if (words !== undefined) set(element, write(words));
  if (label !== undefined) element.setAttribute('aria-label', write(label));
}

// set does not touch an element that has the words already, so that a selection is kept.
function set(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

// translate writes all Texts below an element in the language. data-text names those of the document itself.
export function translate(root) {
  for (const element of root.querySelectorAll('[data-text]')) set(element, write(text(element.dataset.text)));
  for (const element of root.querySelectorAll('[data-said]')) show(element, {});
}

export function speak(name) {
  language = languages.includes(name) ? name : languages[0];
  document.documentElement.lang = language;
  translate(document);
}

export const spoken = () => language;
