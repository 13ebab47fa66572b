import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";
import { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
import { type Heartbeat, type Task, TaskStatus, type WatchTaskResponse } from "./gen/koodrive/task/v1/task_pb.js";
import { isNews } from "./progress.js";
import type { Scope } from "./scope.js";

/** One event of a watch. */
export type WatchEvent =
  /** The task as it is now, then after each change. */
  | { readonly type: "task"; readonly task: Task }
  /** There is no known change. It also says whether KooDrive answers. */
  | { readonly type: "heartbeat"; readonly heartbeat: Heartbeat }
  /** `cause` has interrupted the watch, which resumes by itself after `afterMs`. */
  | { readonly type: "resume"; readonly cause: KootaskError; readonly afterMs: number };

/** The part of the client that a watch uses. */
export interface Source {
  /** Whether kootask has ever answered this client. The watch sets it too. */
  met: boolean;
  /** The caller's current token, empty without a provider. */
  callerToken(): Promise<string>;
  /** Opens a stream. */
  open(callerToken: string, signal: AbortSignal): AsyncIterable<WatchTaskResponse>;
}

// A stream without a message for this long is broken: kootask sends one at least every 15 s.
const silenceMs = 20_000;
// Delays between attempts to resume after a broken connection, for which kootask cannot ask for a delay. Jittered by ±20 %.
const resumeMinMs = 1_000;
const resumeMaxMs = 15_000;
const resumeGrowth = 1.6;

/** One watch, over all its streams. */
export class Watcher {
  readonly #source: Source;
  readonly #scope: Scope;
  readonly #failedTaskAsError: boolean;
  #last: Task | undefined; // The task yielded last.
  #token = ""; // The caller's token of the last stream.
  #empty = 0; // Consecutive streams that ended before their first message.

  constructor(source: Source, scope: Scope, failedTaskAsError: boolean) {
    this.#source = source;
    this.#scope = scope;
    this.#failedTaskAsError = failedTaskAsError;
  }

  /** Yields all events until the task is finished, and throws a KootaskError on any other end. */
  async *events(): AsyncGenerator<WatchEvent, void, undefined> {
    for (;;) {
      this.#empty++;
      const failure = yield* this.#stream();
      if (failure === undefined) {
        return;
      }
      this.#source.met ||= failure.reasonName !== "";
      // The failed task was yielded, and the stream broke before the requested error came.
      const cause = this.#last?.done && failure.reasonName === "" ? taskFailed(this.#last) : failure;
      const afterMs = await this.#delay(cause);
      if (afterMs === undefined || this.#scope.failure) {
        throw cause;
      }
      yield { type: "resume", cause, afterMs };
      await this.#scope.sleep(afterMs);
    }
  }

  /** Follows one stream. Returns the error that ended it, or undefined when the task is finished. */
  async *#stream(): AsyncGenerator<WatchEvent, KootaskError | undefined, undefined> {
    const stream = new AbortController();
    const abort = () => stream.abort();
    let silent = false;
    let messages: AsyncIterator<WatchTaskResponse> | undefined;
    this.#scope.signal.addEventListener("abort", abort);
    try {
      this.#token = await this.#scope.race(this.#source.callerToken());
      messages = this.#source.open(this.#token, stream.signal)[Symbol.asyncIterator]();
      for (;;) {
        // Only while waiting: the caller may take any time between messages.
        const watchdog = setTimeout(() => {
          silent = true;
          abort();
        }, silenceMs);
        const next = await messages.next().finally(() => clearTimeout(watchdog));
        if (next.done) {
          return new KootaskError(Code.Unavailable, "the stream ended before the task was finished");
        }
        this.#empty = 0;
        this.#source.met = true;
        yield* this.#hand(next.value);
        if (this.#isFinished()) {
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

  /** Yields a message, unless its task is a repetition or older, or its kind is newer than this client. */
  *#hand({ event }: WatchTaskResponse): Generator<WatchEvent, void, undefined> {
    if (event.case === "heartbeat") {
      yield { type: "heartbeat", heartbeat: event.value };
    } else if (event.case === "task" && isNews(event.value, this.#last)) {
      this.#last = event.value;
      yield { type: "task", task: event.value };
    }
  }

  /** Reports whether the watch is complete. After a failed task, the error follows if it was requested. */
  #isFinished(): boolean {
    const errorFollows = this.#failedTaskAsError && this.#last?.status === TaskStatus.FAILED;
    return this.#last?.done === true && !errorFollows;
  }

  /** Returns the milliseconds until the watch resumes. Undefined: it does not resume. */
  async #delay(cause: KootaskError): Promise<number | undefined> {
    if (cause.retryAfterMs !== undefined) {
      // The second stream without a message: kootask may ask for a delay of 0.
      return this.#empty < 2 ? cause.retryAfterMs : Math.max(cause.retryAfterMs, this.#backoff());
    }
    if (cause.reason === ErrorReason.CALLER_UNAUTHENTICATED && this.#empty === 0) {
      // All watches with the token end at the same moment.
      return (await this.#isRenewed()) ? this.#backoff() : undefined;
    }
    const broken = [Code.Unavailable, Code.Internal, Code.Unknown, Code.Canceled].includes(cause.code);
    return cause.reasonName === "" && this.#source.met && broken ? this.#backoff() : undefined;
  }

  /** Reports whether the caller's token differs from the token of the stream that has ended. */
  async #isRenewed(): Promise<boolean> {
    try {
      return (await this.#scope.race(this.#source.callerToken())) !== this.#token;
    } catch {
      return false;
    }
  }

  /** Returns the delay after a stream that broke or brought no message. */
  #backoff(): number {
    const ms = Math.min(resumeMinMs * resumeGrowth ** this.#empty, resumeMaxMs);
    return ms * (0.8 + 0.4 * Math.random());
  }
}

/** The error that kootask sends for a failed task. */
function taskFailed(task: Task): KootaskError {
  return new KootaskError(Code.Aborted, "The task has failed.", {
    reasonName: ErrorReason[ErrorReason.TASK_FAILED],
    metadata: { taskId: task.taskId, resultCode: task.koodriveResultCode },
  });
}
