// A watch of one task over all its streams, by the same rules as the clients in all languages.
import { Failure, stream } from './stream.js';

// Delays after a broken stream, in ms, jittered by ±20 %.
const first = 1000, longest = 15_000, growth = 1.6;

// watch calls on.waiting, on.connecting, on.open(headers), on.task(task), on.heartbeat(heartbeat) and on.lost(failure, ms) as they
// come. It returns when the task is finished, and fails with a Failure after which a retry does not help, or
// with the reason of the signal. headers is called for each stream.
export async function watch(id, headers, slots, signal, on) {
  let last;
  let empty = 0; // Consecutive streams that ended before their first message.
  for (;;) {
    on.waiting();
    const slot = await slots.take(signal);
    const sent = headers();
    empty++;
    try {
      on.connecting();
      await stream(`v1/tasks/${id}:watch`, sent, AbortSignal.any([signal, slot.over]), {
        open: on.open,
        event(name, data) {
          empty = 0;
          if (name === 'heartbeat') {
            if (data.observeTime || data.failureCount > 0) slot.used(); // After KooDrive's first answer or failure, not after a mere heartbeat.
            on.heartbeat(data);
          }
          if (name === 'task') {
            slot.used();
            if (!isBefore(data, last)) on.task(last = data);
          }
          return last?.done; // Nothing comes after it.
        },
      });
      return;
    } catch (failure) {
      signal.throwIfAborted();
      if (slot.over.aborted) continue;
      const ms = delay(failure, empty, changed(sent, headers()));
      if (ms === undefined) throw failure;
      slot.end();
      on.lost(failure, ms);
      await sleep(ms, signal);
    } finally {
      slot.end();
    }
  }
}

// isBefore reports whether a task is older than another: a new stream may come from a server that has seen less.
function isBefore(task, last) {
  return last !== undefined && rank(task) < rank(last);
}

function rank(task) {
  if (task.done) return 2;
  return task.status === 'TASK_STATUS_NEW' ? 0 : 1;
}

// changed reports whether the caller's own token has been renewed.
function changed(before, now) {
  return before['X-Kootask-Authorization'] !== now['X-Kootask-Authorization'];
}

// delay returns the ms until the watch resumes, undefined if it does not.
function delay(failure, empty, renewed) {
  if (!(failure instanceof Failure)) return undefined; // An internal error of the page.
  const backoff = Math.min(first * growth ** empty, longest) * (0.8 + 0.4 * Math.random());
  switch (failure.kind) {
    case 'kootask':
      if (failure.retryAfter !== undefined) return empty < 2 ? failure.retryAfter : Math.max(failure.retryAfter, backoff);
      return failure.reason === 'CALLER_UNAUTHENTICATED' && empty === 0 && renewed ? backoff : undefined;
    case 'http': // From a proxy: of 4xx, only 408 and 429 are transient. A page with 200 may announce maintenance.
      return failure.http >= 500 || [200, 408, 429].includes(failure.http) ? backoff : undefined;
    case 'redirect': // To a login page.
      return undefined;
    default:
      return backoff;
  }
}

function sleep(ms, signal) {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const leave = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', leave);
      resolve();
    }, ms);
    signal.addEventListener('abort', leave, { once: true });
  });
}
