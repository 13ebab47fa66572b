// A row of the list: one task, with its buttons.
import { cause } from './task.js';
import { label, reason, result, say, text, translate } from './text.js';

export class Row {
  #task;
  #page;
  #parts = {}; // Of the element, by class.
  #drawn = {}; // The version of the task, and the second, that the row shows.

  // page has details(task), stop(task), again(task), remove(task), and most: the number of tasks that are watched at a time.
  constructor(task, page) {
    this.#task = task;
    this.#page = page;
    const { id } = task;
    this.element = document.getElementById('row').content.firstElementChild.cloneNode(true);
    translate(this.element);
    for (const part of this.element.querySelectorAll('[class]')) this.#parts[part.classList[0]] = part;
    const parts = this.#parts;
    parts.id.textContent = id;
    parts.id.href = `#ids=${id}`;
    for (const name of ['details', 'stop', 'again', 'remove']) {
      label(parts[name], text(`label.${name}`, { id }));
      parts[name].addEventListener('click', () => page[name](task));
    }
    parts.id.addEventListener('click', () => page.details(task));
  }

  // focus moves the focus to a part.
  focus(part) { this.#parts[part].focus(); }

  // draw shows the task as it is, and its times at now, in ms. detailed is set if the page shows its details.
  draw(now, detailed) {
    const task = this.#task, second = Math.floor(now / 1000);
    this.#parts.details.setAttribute('aria-expanded', detailed);
    if (this.#drawn.version === task.version && this.#drawn.second === second) return;
    this.#drawn = { version: task.version, second };
    const { state, name, bar, confirmed, note } = this.#parts;
    Object.assign(this.element.dataset, { state: task.state, connection: task.connection });
    this.element.toggleAttribute('data-troubled', task.isTroubled);
    say(state, task.words);
    const named = task.data?.taskName ?? '';
    if (name.textContent !== named) name.textContent = name.title = named;
    say(confirmed, age(task, now));
    say(note, noteOf(task, now, this.#page.most));
    note.title = note.textContent;
    drawBar(bar, task, now);
    this.#buttons();
  }

  // buttons shows the button that fits. One that disappears after a press passes the focus on to the one in its place. Otherwise the
  // focus goes to the id, so that nothing is pressed by mistake.
  #buttons() {
    const { stop, again, id } = this.#parts, { runs, connection } = this.#task;
    const focused = document.activeElement;
    stop.hidden = !runs;
    again.hidden = runs;
    if (focused === again && runs) stop.focus();
    if (focused === stop && !runs) (connection === 'stopped' ? again : id).focus();
  }
}

function age(task, now) {
  if (task.confirmed === undefined) return text('confirmed.never');
  const ms = Math.max(0, now - task.confirmed);
  return task.data?.done || ms >= 3_600_000 ? new Date(task.confirmed) : text('confirmed.ago', { time: time(ms) });
}

// noteOf is the Text about the watch: why it does not bring news, if it does not.
function noteOf(task, now, most) {
  const { connection, failure, health } = task;
  switch (connection) {
    case 'waiting':
      return text('connection.waiting', { most });
    case 'lost': {
      const values = { cause: cause(failure), seconds: Math.max(0, Math.ceil((task.resumes - now) / 1000)) };
      return text(failure.ofUpstream ? 'connection.upstream' : 'connection.lost', values);
    }
    case 'failed':
      return text('connection.failed', { cause: cause(failure) });
    case 'ended':
      return task.data.koodriveResultCode ? text('connection.result', { result: result(task.data.koodriveResultCode) }) : text('connection.ended');
    case 'live':
      return health?.ok === false ? text('health.failing', { reason: reason(health.reason) }) : text('connection.live');
    case 'connecting':
      return failure ? text('connection.again', { cause: cause(failure) }) : text('connection.connecting');
    default:
      return text(`connection.${connection}`);
  }
}

// time is the Text of a duration in ms.
export function time(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return text('time.s', { n: s });
  return s < 7200 ? text('time.min', { n: Math.floor(s / 60) }) : text('time.h', { n: Math.floor(s / 3600) });
}

// drawBar shows the states with the time that the task spent in each. A state that the page did not see begin has lasted longer.
function drawBar(element, task, now) {
  const end = task.data?.done || !task.runs ? task.confirmed : now;
  const parts = task.bar.map(({ state, words, since, seen }, i) => {
    const final = task.data?.done && i === task.bar.length - 1;
    const ms = Math.max(0, (task.bar[i + 1]?.since ?? end) - since);
    return { state, words, final, ms, time: text(seen ? 'bar.time' : 'bar.more', { time: time(ms) }) };
  });
  element.hidden = parts.length === 0;
  label(element, parts.map(({ words, final, time }) => final ? words : text('bar.part', { state: words, time })));
  while (element.childElementCount > parts.length) element.lastElementChild.remove();
  while (element.childElementCount < parts.length) element.append(document.createElement('span'));
  parts.forEach(({ state, final, ms, time }, i) => {
    const part = element.children[i];
    part.dataset.state = state;
    part.style.flexGrow = final ? 0 : Math.max(1, ms / 1000);
    say(part, final ? text(`bar.${{ SUCCESS: 'succeeded', FAILED: 'failed' }[state] ?? 'ended'}`) : time);
  });
}
