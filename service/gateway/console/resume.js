// When a watch resumes, by the same rules as the clients in all languages.
import { Failure } from './stream.js';

// Delays after a broken stream, in ms, jittered by ±20 %.
const first = 1000, longest = 15_000, growth = 1.6;

// backoff returns the ms until the next stream after the nth consecutive one without a message.
export const backoff = (n) => Math.min(first * growth ** n, longest) * (0.8 + 0.4 * Math.random());

// retryDelay returns the ms until the retry that kootask's error allows, after the nth consecutive one.
export const retryDelay = (failure, n) => n < 2 ? failure.retryAfter : Math.max(failure.retryAfter, backoff(n));

// delay returns the ms until the next stream, undefined if there is none. empty counts the consecutive streams without a message, and renewed
// is set if the caller's own token has changed since a stream with messages began.
export function delay(failure, empty, renewed) {
  if (!(failure instanceof Failure)) return undefined; // An internal error of the page.
  switch (failure.kind) {
    case 'kootask':
      if (failure.retryAfter !== undefined) return retryDelay(failure, empty);
      return failure.reason === 'CALLER_UNAUTHENTICATED' && renewed ? backoff(empty) : undefined;
    case 'http': // From a proxy: of 4xx, only 408 and 429 are transient. A page with 200 may announce maintenance.
      return failure.http >= 500 || [200, 408, 429].includes(failure.http) ? backoff(empty) : undefined;
    case 'redirect': // To a login page.
      return undefined;
    default:
      return backoff(empty);
  }
}
