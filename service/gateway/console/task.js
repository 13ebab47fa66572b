// A task on the page: the state of its watch, and the states that it went through. It knows nothing of the document.
import { Failure } from './stream.js';
import { reason, text } from './text.js';

const states = {
  TASK_STATUS_NEW: 'NEW', TASK_STATUS_EXECUTING: 'EXECUTING', TASK_STATUS_SUCCESS: 'SUCCESS', TASK_STATUS_FAILED: 'FAILED',
};

const running = ['waiting', 'connecting', 'live', 'lost'];
const kept = 10_000; // Lines of the history.
const parts = 4; // States of the bar.

// ahead is the difference of the server's clock to this machine's in ms, from the Date of the answer with the least delay.
let ahead = -Infinity;
const skew = () => Math.abs(ahead) > 2000 && ahead !== -Infinity ? ahead : 0;

export class Task {
  connection = 'stopped'; // waiting, connecting, live, lost, ended, failed or stopped.
  state = 'unknown'; // NEW, EXECUTING, SUCCESS, FAILED, other or unknown.
  headers; // With which it is watched.
  data; // The task as last received.
  confirmed; // Time of KooDrive's last confirmation, by this machine's clock, in ms.
  health; // { ok, reason, n } of KooDrive's last answer or failure on a stream, undefined if that is not known.
  failure; // Why the watch is lost, until a stream begins, or has failed.
  resumes = 0; // Time of the next attempt, in ms.
  drops = 0; // Times that a stream dropped it since its last state.
  bar = []; // The last states: { state, words, since, seen }. since is in ms, and seen is set if the page saw the state begin.
  lines = []; // The history, oldest first: { time, words }.
  forgotten = false; // Older lines were removed.
  version = 0; // Grows with each change.
  #page;
  #opened = 0; // Time at which the stream began, in ms.
  #told; // The cause of the lost connection that the history has.

  // page has changed(task) and announce(text).
  constructor(id, page) {
    this.id = id;
    this.#page = page;
  }

  // runs reports whether there is a watch.
  get runs() { return running.includes(this.connection); }

  // isTroubled reports whether the watch needs attention. A FAILED task does not: it is finished.
  get isTroubled() { return this.failure !== undefined || this.health?.ok === false; }

  get words() { return text(`state.${this.state}`, { number: this.data?.koodriveStatus }); }

  // begin forgets what came with other credentials.
  begin(headers) {
    this.headers = headers;
    this.data = this.confirmed = this.health = this.failure = this.#told = undefined;
    this.drops = 0;
    this.state = 'unknown';
    this.bar = [];
    this.note(text('line.started'));
  }

  // stop shows that the watch was stopped.
  stop() {
    this.failure = undefined;
    this.note(text('line.stopped'));
    this.connect('stopped');
  }

  // connect shows the state of the watch.
  connect(connection) {
    this.connection = connection;
    if (connection !== 'live') this.health = undefined;
    this.#changed();
  }

  // open shows that a stream with these headers has begun.
  open(headers) {
    const now = Date.now();
    ahead = Math.max(ahead, Date.parse(headers.get('Date')) + 500 - now || -Infinity); // Date has whole seconds.
    if (this.connection === 'live') return;
    this.#opened = now;
    if (this.#told) {
      this.note(text('line.live'));
      this.#page.announce(text('said.live', { id: this.id }));
    }
    this.failure = this.#told = undefined;
    this.connect('live');
  }

  // lose shows that the watch resumes after some ms.
  lose(failure, ms) {
    this.failure = failure;
    this.resumes = Date.now() + ms;
    const why = JSON.stringify(cause(failure));
    if (!this.#told) this.#page.announce(text('said.lost', { id: this.id, cause: cause(failure) }));
    if (this.#told !== why) this.note(lost(failure)); // One line for all attempts with the same cause.
    this.#told = why;
    this.connect('lost');
  }

  // fail ends the watch with a failure after which a retry does not help.
  fail(failure) {
    if (!(failure instanceof Failure)) console.error(failure);
    this.failure = failure;
    this.note(text('line.failed', { cause: cause(failure) }));
    this.#page.announce(text('said.failed', { id: this.id, cause: cause(failure) }));
    this.connect('failed');
  }

  // hear takes a message with the task. A new stream may repeat the last one, or come from a server that has seen less.
  hear(data) {
    if (this.data && (this.data.done || rank(data) < rank(this.data))) return;
    const before = this.data;
    this.data = data;
    this.drops = 0;
    this.#confirm(data.observeTime);
    // A confirmation from before this stream does not show that KooDrive answers now.
    if (this.confirmed > this.#opened - 1000) this.#answers({ ok: true });
    if (before?.status !== data.status || before.koodriveStatus !== data.koodriveStatus) this.#become(states[data.status] ?? 'other');
    if (data.done) this.connect('ended');
    this.#changed();
  }

  // beat takes a heartbeat of the stream. failing is set if it names the task.
  beat({ observeTime, failureReason, failureCount }, failing) {
    if (failing) {
      this.#answers({ ok: false, reason: failureReason, n: failureCount });
    } else if (this.data && observeTime) {
      this.#confirm(observeTime);
      this.#answers({ ok: true });
    }
  }

  #become(state) {
    this.state = state;
    const words = this.words;
    const last = this.bar.at(-1);
    if (last?.state === state) last.words = words; // Another unlisted status.
    else this.bar.push({ state, words, since: this.confirmed ?? Date.now(), seen: this.bar.length > 0 });
    if (this.bar.length > parts) this.bar.shift();
    this.note(words);
    this.#page.announce(text('said.state', { id: this.id, state: words }));
  }

  #confirm(time) {
    const at = Date.parse(time) - skew();
    if (!(at <= this.confirmed) && !Number.isNaN(at)) this.confirmed = at;
  }

  #answers(health) {
    const failed = this.health?.ok === false;
    this.health = health;
    if (!health.ok && !failed) this.note(text('line.failing', { reason: reason(health.reason) }));
    if (health.ok && failed) this.note(text('line.answers'));
    this.#changed();
  }

  // note adds a line to the history.
  note(words) {
    this.lines.push({ time: new Date(), words });
    if (this.lines.length > kept) {
      this.forgotten = true;
      this.lines.shift();
    }
    this.#changed();
  }

  #changed() {
    this.version++;
    this.#page.changed(this);
  }
}

function rank(data) {
  if (data.done) return 2;
  return data.status === 'TASK_STATUS_NEW' ? 0 : 1;
}

// lost is the line of the history for a watch that resumes.
function lost(failure) {
  return failure.ofUpstream ? text('line.failing', { reason: cause(failure) }) : text('line.lost', { cause: cause(failure) });
}

// cause is the Text of a failure. For an error from kootask it is the localized message, or the catalogue's text if that is in
// another language.
export function cause(failure) {
  if (!(failure instanceof Failure)) return text('lost.page');
  if (failure.kind !== 'kootask') return text(`lost.${failure.kind}`, { http: failure.http });
  return failure.localized ? { localized: failure.localized, otherwise: reason(failure.reason) } : reason(failure.reason);
}
