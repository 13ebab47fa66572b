// The details of one task, below the list: its facts, its error and its history.
import { cause } from './task.js';
import { label, reason, result, say, spoken, text } from './text.js';
import { Timeline } from './timeline.js';

const types = ['TASK_TYPE_TRANSFER_AND_DELETION', 'TASK_TYPE_BATCH_IMPORT'];

const codes = ['OK', 'CANCELLED', 'UNKNOWN', 'INVALID_ARGUMENT', 'DEADLINE_EXCEEDED', 'NOT_FOUND', 'ALREADY_EXISTS', 'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED', 'FAILED_PRECONDITION', 'ABORTED', 'OUT_OF_RANGE', 'UNIMPLEMENTED', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS', 'UNAUTHENTICATED'];

const at = (id) => document.getElementById(id);

export class Details {
  task; // The shown one, undefined without one.
  #timeline;
  #drawn = {}; // The task with its version and language that the details show.

  constructor(redraw) {
    this.#timeline = new Timeline(at('history'), at('older'), redraw);
  }

  // show shows a task from the next draw on, undefined none.
  show(task) {
    this.task = task;
    this.#timeline.reset();
    at('details').hidden = task === undefined;
    if (!task) return;
    const { id } = task;
    say(at('details-title'), text('details.title', { id }));
    label(at('history'), text('history.label', { id }));
    label(at('older'), text('older.label', { id }));
  }

  draw() {
    const { task } = this;
    const now = { task, version: task?.version, language: spoken() };
    if (!task) return;
    if (this.#drawn.language !== now.language) this.#timeline.clear();
    this.#timeline.draw(task.lines);
    say(at('history-title'), text(task.forgotten ? 'history.dropped' : 'history', { count: task.lines.length }));
    if (['task', 'version', 'language'].every((key) => now[key] === this.#drawn[key])) return;
    this.#drawn = now;
    this.#health();
    list(at('facts'), facts(task));
    list(at('failure'), task.connection === 'failed' ? explanation(task.failure) : []);
  }

  // health shows whether KooDrive answers, if that is known.
  #health() {
    const { health } = this.task, element = at('health');
    element.hidden = health === undefined;
    if (!health) return;
    element.toggleAttribute('data-troubled', !health.ok);
    say(element, health.ok ? text('health.ok') : text('health.failing', { reason: reason(health.reason) }));
  }
}

function facts({ data }) {
  if (!data) return [];
  const { taskName, taskType, koodriveTaskType, userId, tenantId, koodriveResultCode } = data;
  const type = types.includes(taskType) ? text(`type.${taskType}`) : text('type.other', { number: koodriveTaskType });
  return [
    taskName && [text('fact.name'), taskName],
    koodriveTaskType !== undefined && [text('fact.type'), type],
    userId && [text('fact.user'), userId],
    tenantId && [text('fact.tenant'), tenantId],
    koodriveResultCode && [text('fact.result'), result(koodriveResultCode)],
  ];
}

function explanation(failure) {
  const { status, http, info, violations, requestId } = failure;
  return [
    [text('failure.message'), cause(failure)],
    info && [text('failure.reason'), `${info.reason} (${codes[status.code] ?? status.code})`],
    http !== undefined && http !== 200 && [text('failure.http'), http],
    ...(violations ?? []).map((v) => [text('failure.field', { field: v.field }), `${v.reason}: ${v.description}`]),
    ...Object.entries(info?.metadata ?? {}).filter(([, value]) => value !== ''),
    requestId && [text('failure.requestId'), requestId],
  ];
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
