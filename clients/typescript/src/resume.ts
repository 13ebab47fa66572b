// Delays between attempts to resume after a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
const resumeMinMs = 1_000;
const resumeMaxMs = 15_000;
const resumeGrowth = 1.6;

/** Returns the delay after the nth consecutive error that asks for a delay. It may ask for 0, which is obeyed once. */
export function retryDelay(retryAfterMs: number, n: number): number {
  return n < 2 ? retryAfterMs : Math.max(retryAfterMs, backoff(n));
}

/** Returns the delay after the nth consecutive stream that broke or brought no message. */
export function backoff(n: number): number {
  const ms = Math.min(resumeMinMs * resumeGrowth ** n, resumeMaxMs);
  return ms * (0.8 + 0.4 * Math.random());
}
