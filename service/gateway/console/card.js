// A task on the page: its card, and the watch behind it.
import { areSame, renew } from './credentials.js';
import { Failure } from './stream.js';
import { label, reason, result, say, text, translate } from './text.js';
import { Timeline } from './timeline.js';
import { watch } from './watch.js';

const states = {
  TASK_STATUS_NEW: 'NEW', TASK_STATUS_EXECUTING: 'EXECUTING', TASK_STATUS_SUCCESS: 'SUCCESS', TASK_STATUS_FAILED: 'FAILED',
};

const types = ['TASK_TYPE_TRANSFER_AND_DELETION', 'TASK_TYPE_BATCH_IMPORT'];

const codes = ['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'];

// ahead is the difference of the server's clock to this machine's in ms, from the Date of the answer with the least delay.
let ahead = -Infinity;
const skew = () => Math.abs(ahead) > 2000 && ahead !== -Infinity ? ahead : 0;

export class Card {
  #page;
  #parts = {}; // Of the element, by class.
  #timeline;
  #watching; // The AbortController of the watch, undefined without a watch.
  #headers; // The headers of the watch.
  #task; // The task as last received.
  #confirmed; // Time of KooDrive's last confirmation, by this machine's clock, in ms.
  #failures = 0; // Failed polls since then.
  #opened = 0; // Time at which the stream began, in ms.
  #interrupted; // Cause of the lost connection, undefined while connected.
  #resumes = 0; // Time of the next attempt, in ms.

  // page has slots, announce(text), changed(), again(card) and remove(card).
  constructor(id, page) {
    this.id = id;
    this.#page = page;
    this.element = document.getElementById('card').content.firstElementChild.cloneNode(true);
    this.element.dataset.taskId = id;
    this.element.setAttribute('aria-label', id);
    translate(this.element);
    for (const part of this.element.querySelectorAll('[class]')) this.#parts[part.classList[0]] = part;
    const { stop, again, remove, history } = this.#parts;
    this.#parts.id.textContent = id;
    label(stop, text('stop.label', { id }));
    label(again, text('again.label', { id }));
    label(remove, text('remove.label', { id }));
    stop.addEventListener('click', () => this.stop());
    again.addEventListener('click', () => page.again(this));
    remove.addEventListener('click', () => page.remove(this));
    this.#timeline = new Timeline(history, id);
  }

  // connection is the state of the watch, and state that of the task: data-connection and data-state.
  get connection() { return this.element.dataset.connection; }

  get state() { return this.element.dataset.state; }

  // runs reports whether there is a watch.
  get runs() { return this.#watching !== undefined; }

  // runsWith reports whether there is a watch with the same credentials.
  runsWith(headers) { return this.runs && areSame(this.#headers, headers); }

  // start watches the task with these headers. Data that came with other headers is forgotten.
  async start(headers) {
    this.#watching?.abort();
    const watching = this.#watching = new AbortController();
    this.#headers = headers;
    this.#task = this.#confirmed = this.#interrupted = undefined;
    this.#failures = 0;
    this.#parts.name.hidden = true;
    list(this.#parts.facts, []);
    list(this.#parts.failure, []);
    this.#become('unknown');
    this.#timeline.add(text('line.started'));
    try {
      await watch(this.id, () => renew(headers), this.#page.slots, watching.signal, {
        waiting: () => this.#connect('waiting'),
        connecting: () => this.#connect('connecting'),
        open: (answer) => this.#open(answer),
        task: (task) => this.#hear(task),
        heartbeat: (heartbeat) => this.#beat(heartbeat),
        lost: (failure, ms) => this.#lose(failure, ms),
      });
      this.#end('ended');
    } catch (failure) {
      if (watching.signal.aborted) return; // The watch was stopped or restarted.
      this.#end('failed');
      this.#explain(failure);
    }
  }

  // stop ends the watch.
  stop() {
    if (!this.runs) return;
    this.#watching.abort();
    this.#timeline.add(text('line.stopped'));
    this.#end('stopped');
  }

  // redraw translates the texts that do not change by themselves.
  redraw() { this.#timeline.redraw(); }

  // tick updates the texts that depend on the time.
  tick() {
    const seconds = Math.max(0, Math.ceil((this.#resumes - Date.now()) / 1000));
    say(this.#parts.connection, text(`connection.${this.connection}`, { seconds }));
    say(this.#parts.confirmed, this.#age());
  }

  #age() {
    if (this.#confirmed === undefined) return text('confirmed.never');
    const seconds = Math.max(0, Math.round((Date.now() - this.#confirmed) / 1000));
    if (this.#task?.done || seconds >= 3600) return text('confirmed.at', { time: new Date(this.#confirmed) });
    return seconds < 120 ? text('confirmed.seconds', { n: seconds }) : text('confirmed.minutes', { n: Math.floor(seconds / 60) });
  }

  #open(headers) {
    this.#opened = Date.now();
    ahead = Math.max(ahead, Date.parse(headers.get('Date')) + 500 - this.#opened || -Infinity); // Date has whole seconds.
    if (this.#interrupted) {
      this.#timeline.add(text('line.live'));
      this.#page.announce(text('said.live', { id: this.id }));
    }
    this.#interrupted = undefined;
    this.#connect('live');
  }

  #lose(failure, ms) {
    this.#resumes = Date.now() + ms;
    const why = cause(failure);
    if (!this.#interrupted) this.#page.announce(text('said.lost', { id: this.id }));
    if (JSON.stringify(why) !== this.#interrupted) this.#timeline.add(text('line.lost', { cause: why })); // One line for all attempts with the same cause.
    this.#interrupted = JSON.stringify(why);
    this.#connect('lost');
  }

  #end(connection) {
    this.#watching = undefined;
    this.#connect(connection);
  }

  #hear(task) {
    const before = this.#task;
    this.#task = task;
    this.#confirm(task.observeTime);
    // A confirmation from before this stream does not show that KooDrive answers now.
    if (this.#confirmed > this.#opened - 1000) this.#answers(0);
    this.#describe(task);
    if (before?.status === task.status && before.koodriveStatus === task.koodriveStatus) return;
    const state = this.#become(states[task.status] ?? 'other', task.koodriveStatus);
    this.#timeline.add(state);
    this.#page.announce(text('said.state', { id: this.id, state }));
    this.#page.changed();
  }

  #beat(heartbeat) {
    this.#confirm(heartbeat.observeTime);
    this.#answers(heartbeat.failureCount, heartbeat.failureReason);
  }

  #confirm(time) {
    const at = Date.parse(time);
    if (!Number.isNaN(at)) this.#confirmed = at - skew();
    this.tick();
  }

  // #answers shows whether KooDrive answers.
  #answers(failures, name) {
    const before = this.#failures;
    this.#failures = failures;
    const { health } = this.#parts;
    health.classList.toggle('failing', failures > 0);
    const why = name ? reason(name) : '';
    health.hidden = false;
    if (failures === 0) say(health, text('health.ok'));
    else say(health, text(failures === 1 ? 'health.failing.one' : 'health.failing', { n: failures, reason: why }));
    if (failures > 0 && before === 0) this.#timeline.add(text('line.failing', { reason: why }));
    if (failures === 0 && before > 0) this.#timeline.add(text('line.answers'));
  }

  #become(state, number) {
    this.element.dataset.state = state;
    const words = text(`state.${state}`, { number });
    say(this.#parts.state, words);
    return words;
  }

  // #connect shows the state of the watch, and its buttons.
  #connect(connection) {
    this.element.dataset.connection = connection;
    const { stop, again, health, id } = this.#parts;
    if (connection !== 'live') health.hidden = true; // Unknown while not connected.
    const focused = this.element.contains(document.activeElement) ? document.activeElement : undefined;
    stop.hidden = !this.runs;
    again.hidden = this.runs;
    // A button that disappears after a press passes the focus to the button in its place. Otherwise the focus goes to the card, so that nothing is pressed by mistake.
    if (focused === again && this.runs) stop.focus();
    if (focused === stop && !this.runs) (connection === 'stopped' ? again : id).focus();
    this.tick();
    this.#page.changed();
  }

  #describe(task) {
    const { name, facts } = this.#parts;
    name.textContent = task.taskName;
    name.hidden = task.taskName === '';
    const listed = types.includes(task.taskType);
    list(facts, [
      task.koodriveTaskType !== undefined &&
        [text('fact.type'), listed ? text(`type.${task.taskType}`) : text('type.other', { number: task.koodriveTaskType })],
      task.userId && [text('fact.user'), task.userId],
      task.tenantId && [text('fact.tenant'), task.tenantId],
      task.koodriveResultCode && [text('fact.result'), result(task.koodriveResultCode)],
    ]);
  }

  #explain(failure) {
    if (!(failure instanceof Failure)) console.error(failure);
    const { status, http, info, violations, requestId } = failure;
    list(this.#parts.failure, [
      [text('failure.message'), cause(failure)],
      info && [text('failure.reason'), `${info.reason} (${codes[status.code] ?? status.code})`],
      http !== undefined && http !== 200 && [text('failure.http'), http],
      ...(violations ?? []).map((v) => [text('failure.field', { field: v.field }), `${v.reason}: ${v.description}`]),
      ...Object.entries(info?.metadata ?? {}).filter(([, value]) => value !== ''),
      requestId && [text('failure.requestId'), requestId],
    ]);
    this.#timeline.add(text('line.failed', { cause: cause(failure) }));
    this.#page.announce(text('said.failed', { id: this.id, cause: cause(failure) }));
  }
}

// cause is the Text of a failure. For an error from kootask it is the localized message, or the catalogue's text if that is in
// another language.
function cause(failure) {
  if (!(failure instanceof Failure)) return text('lost.page');
  if (failure.kind !== 'kootask') return text(`lost.${failure.kind}`, { http: failure.http });
  return failure.localized ? { localized: failure.localized, otherwise: reason(failure.reason) } : reason(failure.reason);
}

// list fills a dl with pairs of Texts, without the empty ones.
function list(dl, pairs) {
  const there = pairs.filter(Boolean);
  dl.hidden = there.length === 0;
  dl.replaceChildren(...there.flatMap(([term, value]) => {
    const dt = document.createElement('dt');
    const dd = document.createElement('dd');
    say(dt, term);
    say(dd, value);
    return [dt, dd];
  }));
}
