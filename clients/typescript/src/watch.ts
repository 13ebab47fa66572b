import { Code } from "@connectrpc/connect";
import { droppedError, isOfConnection, KootaskError, taskFailed } from "./error.js";
import type { WatchEvent } from "./event.js";
import { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
import { TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";
import type { Watched } from "./progress.js";
import { backoff, retryDelay } from "./resume.js";
import type { Scope } from "./scope.js";
import type { Received } from "./source.js";

/** The part of the client that a watch uses. */
export interface Source {
  /** Whether kootask has ever answered this client. The watch sets it too. */
  met: boolean;
  /** The caller's current token, empty without a provider. */
  callerToken(): Promise<string>;
  /** Opens a stream of the tasks with these ids. */
  open(ids: readonly string[], callerToken: string, signal: AbortSignal): AsyncIterable<Received>;
}

// A stream without a message for this long is broken: kootask sends one at least every 15 s.
const silenceMs = 20_000;

/** Watches tasks until each has come to its end, with one stream after another. */
export class Watcher {
  readonly #source: Source;
  readonly #scope: Scope;
  readonly #failedTaskAsError: boolean;
  #tasks: readonly Watched[]; // Those that have not come to their end.
  #token = ""; // The caller's token of the last stream.
  #empty = 0; // Consecutive streams that ended before their first message.

  /** With `failedTaskAsError`, an error follows a failed task. Such a watch has a single task. */
  constructor(source: Source, scope: Scope, tasks: readonly Watched[], failedTaskAsError = false) {
    this.#source = source;
    this.#scope = scope;
    this.#tasks = tasks;
    this.#failedTaskAsError = failedTaskAsError;
  }

  /** Yields all events until each task has come to its end, and throws a KootaskError on any other end. */
  async *events(): AsyncGenerator<WatchEvent, void, undefined> {
    for (;;) {
      this.#empty++;
      const failure = yield* this.#stream();
      if (failure === undefined) {
        return;
      }
      this.#source.met ||= failure.reasonName !== "";
      // The failed task was yielded, and the stream broke before the requested error came.
      const last = this.#tasks[0]?.last;
      const cause = last?.done && failure.reasonName === "" ? taskFailed(last) : failure;
      const afterMs = await this.#delay(cause);
      if (afterMs === undefined || this.#scope.failure) {
        throw cause;
      }
      yield { type: "resume", cause, afterMs, taskIds: this.#ids() };
      await this.#scope.sleep(afterMs);
    }
  }

  /** Follows one stream. Returns the error that ended it, or undefined when each task has come to its end. */
  async *#stream(): AsyncGenerator<WatchEvent, KootaskError | undefined, undefined> {
    const stream = new AbortController();
    const abort = () => stream.abort();
    let silent = false;
    let messages: AsyncIterator<Received> | undefined;
    this.#scope.signal.addEventListener("abort", abort);
    try {
      this.#token = await this.#scope.race(this.#source.callerToken());
      messages = this.#source.open(this.#ids(), this.#token, stream.signal)[Symbol.asyncIterator]();
      for (;;) {
        // Only while waiting: the caller may take any time between messages.
        const watchdog = setTimeout(() => {
          silent = true;
          abort();
        }, silenceMs);
        const next = await messages.next().finally(() => clearTimeout(watchdog));
        if (next.done) {
          return new KootaskError(Code.Unavailable, "the stream ended before every task had ended");
        }
        this.#empty = 0;
        this.#source.met = true;
        yield* this.#hand(next.value);
        if (this.#tasks.length === 0) {
          return undefined;
        }
      }
    } catch (rejection) {
      return silent
        ? new KootaskError(Code.Unavailable, "kootask has been silent for too long")
        : this.#scope.explain(rejection);
    } finally {
      this.#scope.signal.removeEventListener("abort", abort);
      abort(); // The caller may have left the loop.
      // Connect releases its timer for the deadline only when the stream is read to its end.
      messages?.next().catch(() => {});
    }
  }

  /** Yields a message, unless it is not news. */
  *#hand({ id, event, requestId }: Received): Generator<WatchEvent, void, undefined> {
    if (event.case === "heartbeat") {
      yield { type: "heartbeat", heartbeat: event.value, taskIds: this.#ids() };
      return;
    }
    const task = this.#tasks.find((it) => it.id === id);
    if (!task?.take(event)) {
      return;
    }
    if (event.case === "dropped") {
      this.#end(task);
      yield { type: "dropped", error: droppedError(event.value, requestId) };
    } else if (event.case === "task") {
      const errorFollows = this.#failedTaskAsError && event.value.status === TaskStatus.FAILED;
      if (event.value.done && !errorFollows) {
        this.#end(task);
      }
      yield { type: "task", task: event.value };
    }
  }

  #end(task: Watched): void {
    this.#tasks = this.#tasks.filter((it) => it !== task);
  }

  #ids(): string[] {
    return this.#tasks.map(({ id }) => id);
  }

  /** Returns the milliseconds until the watch resumes. Undefined: it does not resume. */
  async #delay(cause: KootaskError): Promise<number | undefined> {
    if (cause.retryAfterMs !== undefined) {
      return retryDelay(cause.retryAfterMs, this.#empty);
    }
    if (cause.reason === ErrorReason.CALLER_UNAUTHENTICATED && this.#empty === 0) {
      // All watches with the token end at the same moment.
      return (await this.#isRenewed()) ? backoff(this.#empty) : undefined;
    }
    return this.#source.met && isOfConnection(cause) ? backoff(this.#empty) : undefined;
  }

  /** Reports whether the caller's token differs from the token of the stream that has ended. */
  async #isRenewed(): Promise<boolean> {
    try {
      return (await this.#scope.race(this.#source.callerToken())) !== this.#token;
    } catch {
      return false;
    }
  }
}
