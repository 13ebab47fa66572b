// A watch of one task over as many streams as it takes, by the rules of the clients in all languages.
import { Failure, stream } from './stream.js';

// How long to wait after a stream that broke, in ms; a fifth more or less at random.
const first = 1000, longest = 15_000, growth = 1.6;

// watch calls on.waiting, on.connecting, on.open(headers), on.task(task), on.heartbeat(heartbeat) and on.lost(failure, ms) as they
// come. It returns when the task is finished, and fails with a Failure that it does not help to try again after, or
// with the reason of the signal. headers is called for each stream.
export async function watch(id, headers, turns, signal, on) {
  let last;
  let empty = 0; // Streams in succession that ended before a message came.
  for (;;) {
    on.waiting();
    const turn = await turns.take(signal);
    const sent = headers();
    empty++;
    try {
      on.connecting();
      await stream(`v1/tasks/${id}:watch`, sent, AbortSignal.any([signal, turn.over]), {
        open: on.open,
        event(name, data) {
          empty = 0;
          if (name === 'heartbeat') {
            if (data.observeTime || data.failureCount > 0) turn.used(); // What KooDrive has said, and not only that it is asked.
            on.heartbeat(data);
          }
          if (name === 'task') {
            turn.used();
            if (!isBefore(data, last)) on.task(last = data);
          }
          return last?.done; // Nothing comes after it.
        },
      });
      return;
    } catch (failure) {
      signal.throwIfAborted();
      if (turn.over.aborted) continue;
      const ms = delay(failure, empty, changed(sent, headers()));
      if (ms === undefined) throw failure;
      turn.end();
      on.lost(failure, ms);
      await sleep(ms, signal);
    } finally {
      turn.end();
    }
  }
}

// isBefore reports whether a task is a step back: a new stream may lead to a server that has not seen as much.
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

// delay is after how long to watch again, undefined if not.
function delay(failure, empty, renewed) {
  if (!(failure instanceof Failure)) return undefined; // A fault of this page's.
  const backoff = Math.min(first * growth ** empty, longest) * (0.8 + 0.4 * Math.random());
  switch (failure.kind) {
    case 'kootask':
      if (failure.retryAfter !== undefined) return empty < 2 ? failure.retryAfter : Math.max(failure.retryAfter, backoff);
      return failure.reason === 'CALLER_UNAUTHENTICATED' && empty === 0 && renewed ? backoff : undefined;
    case 'http': // A proxy's: of 4xx, 408 and 429 alone pass. A page with 200 may be about a pause for maintenance.
      return failure.http >= 500 || [200, 408, 429].includes(failure.http) ? backoff : undefined;
    case 'redirect': // To where one signs in.
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
