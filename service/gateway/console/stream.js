// One stream of events as they come, or a Failure.

// A stream without data for this long is broken: the server sends a message at least every 15 s.
const silence = 20_000;
// An answer may take longer to begin, because the browser queues requests without a free connection.
const patience = 60_000;

const domain = 'koodrive.task.v1';

// Failure is the cause of a stream's end.
export class Failure extends Error {
  // kind is 'kootask' for kootask's error, 'http' for an answer that is not kootask's, 'redirect' for one that leads elsewhere,
  // and otherwise how the connection was lost: 'network', 'silent' or 'cut'. status is a google.rpc.Status, http the status of the answer.
  constructor(kind, { http, status } = {}) {
    super(kind);
    Object.assign(this, { kind, http, status });
    const detail = (type) => status?.details?.find((d) => d['@type'] === `type.googleapis.com/google.rpc.${type}`);
    this.info = detail('ErrorInfo');
    this.reason = this.info?.reason ?? '';
    this.requestId = detail('RequestInfo')?.requestId;
    this.violations = detail('BadRequest')?.fieldViolations ?? [];
    this.localized = detail('LocalizedMessage');
    // retryAfter is in ms, undefined if a retry does not help.
    const delay = detail('RetryInfo')?.retryDelay;
    this.retryAfter = delay && parseFloat(delay) * 1000;
  }

  // ofUpstream is set if KooDrive is the cause, and not the way to kootask.
  get ofUpstream() { return this.reason.startsWith('UPSTREAM_'); }
}

// dropped is the Failure of a task that its stream has dropped.
export function dropped({ code, reason, metadata, message, retryDelay }) {
  const type = (name, value) => ({ '@type': `type.googleapis.com/google.rpc.${name}`, ...value });
  const details = [type('ErrorInfo', { reason, domain, metadata })];
  if (retryDelay) details.push(type('RetryInfo', { retryDelay }));
  return new Failure('kootask', { status: { code, message, details } });
}

// failed reads an error's body, or the data of a failure event.
function failed(body, http) {
  const ours = body?.details?.some?.((d) => d['@type'] === 'type.googleapis.com/google.rpc.ErrorInfo' && d.domain === domain);
  return new Failure(ours ? 'kootask' : 'http', { http, status: ours ? body : undefined });
}

// stream calls on.open with the answer's headers, and on.event(name, data) for each event, until that returns true. It returns
// after the last one, and fails with a Failure, or with the reason of the signal.
export async function stream(url, headers, signal, on) {
  const broken = new AbortController();
  let timer;
  const within = (ms) => {
    clearTimeout(timer);
    timer = setTimeout(() => broken.abort(new Failure('silent')), ms);
  };
  try {
    within(patience);
    const response = await fetch(url, {
      headers: { ...headers, Accept: 'application/x-ndjson' },
      cache: 'no-store', redirect: 'manual', signal: AbortSignal.any([signal, broken.signal]),
    }).catch(lost);
    within(silence);
    if (response.type === 'opaqueredirect') throw new Failure('redirect');
    if (!response.ok) throw failed(await response.json().catch(() => undefined), response.status);
    if (!/^application\/x-ndjson(;|$)/.test(response.headers.get('Content-Type'))) throw new Failure('http', { http: response.status });
    on.open(response.headers);
    for await (const line of lines(response.body)) {
      within(silence);
      if (line.trim() === '') continue;
      const [name, data] = Object.entries(parse(line) ?? {})[0] ?? []; // Unknown events may have any form.
      if (name === 'failure') throw failed(data, response.status);
      if (name === 'end' || on.event(name, data)) return;
    }
    throw new Failure('cut');
  } catch (error) {
    signal.throwIfAborted();
    broken.signal.throwIfAborted();
    throw error;
  } finally {
    clearTimeout(timer);
    broken.abort(); // The rest of the answer is not read.
  }
}

// lost is the Failure for any network error, because browsers do not tell them apart.
function lost() {
  throw new Failure('network');
}

function parse(line) {
  try {
    return JSON.parse(line);
  } catch {
    throw new Failure('cut');
  }
}

async function* lines(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read().catch(lost);
    if (done) return;
    const all = (rest + value).split('\n');
    rest = all.pop();
    yield* all;
  }
}
