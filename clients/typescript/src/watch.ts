import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";
import { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
import { type Heartbeat, type Task, TaskStatus, type WatchTaskResponse } from "./gen/koodrive/task/v1/task_pb.js";
import { isNews } from "./progress.js";
import type { Scope } from "./scope.js";

/** One event of a watch. */
export type WatchEvent =
  /** The task: first as it stands, then after each change. */
  | { readonly type: "task"; readonly task: Task }
  /** Nothing has changed; and how KooDrive does. */
  | { readonly type: "heartbeat"; readonly heartbeat: Heartbeat }
  /** `cause` has interrupted the watch, which begins anew by itself after so many milliseconds. */
  | { readonly type: "resume"; readonly cause: KootaskError; readonly afterMs: number };

/** What a watch needs of its client. */
export interface Source {
  /** Whether kootask has ever answered this client. The watch says so too. */
  met: boolean;
  /** The caller's token as it is now, empty if there is none. */
  callerToken(): Promise<string>;
  /** Opens a stream. */
  open(callerToken: string, signal: AbortSignal): AsyncIterable<WatchTaskResponse>;
}

// After how long without a message a stream is broken: kootask sends one at least every 15 s.
const silenceMs = 20_000;
// Between attempts to resume after a broken connection, each a fifth shorter or longer: kootask says nothing then.
const resumeMinMs = 1_000;
const resumeMaxMs = 15_000;
const resumeGrowth = 1.6;

/** One watch, over all its streams. */
export class Watcher {
  readonly #source: Source;
  readonly #scope: Scope;
  readonly #failedTaskAsError: boolean;
  #last: Task | undefined; // Handed out last.
  #token = ""; // The caller's own, of the last stream.
  #empty = 0; // Streams in succession that ended before a message came.

  constructor(source: Source, scope: Scope, failedTaskAsError: boolean) {
    this.#source = source;
    this.#scope = scope;
    this.#failedTaskAsError = failedTaskAsError;
  }

  /** Yields what happens until the watch is over, and throws a KootaskError if it does not end well. */
  async *events(): AsyncGenerator<WatchEvent, void, undefined> {
    for (;;) {
      this.#empty++;
      const failure = yield* this.#stream();
      if (failure === undefined) {
        return;
      }
      this.#source.met ||= failure.reasonName !== "";
      // The failed task was handed out, and the error that was asked for did not come.
      const cause = this.#last?.done && failure.reasonName === "" ? taskFailed(this.#last) : failure;
      const afterMs = await this.#delay(cause);
      if (afterMs === undefined || this.#scope.failure) {
        throw cause;
      }
      yield { type: "resume", cause, afterMs };
      await this.#scope.sleep(afterMs);
    }
  }

  /** Follows one stream. Returns why it has ended, or undefined when the watch is over. */
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
        // Not while the caller takes its time.
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
      // Only who reads on learns of that: Connect keeps its timer for the deadline until then.
      messages?.next().catch(() => {});
    }
  }

  /** Yields a message, unless it holds what was handed out before, or is older, or newer than this client. */
  *#hand({ event }: WatchTaskResponse): Generator<WatchEvent, void, undefined> {
    if (event.case === "heartbeat") {
      yield { type: "heartbeat", heartbeat: event.value };
    } else if (event.case === "task" && isNews(event.value, this.#last)) {
      this.#last = event.value;
      yield { type: "task", task: event.value };
    }
  }

  /** Tells whether nothing more comes: after a failed task an error does, if it was asked for. */
  #isFinished(): boolean {
    const errorFollows = this.#failedTaskAsError && this.#last?.status === TaskStatus.FAILED;
    return this.#last?.done === true && !errorFollows;
  }

  /** Returns after how long to watch again, or undefined if not to. */
  async #delay(cause: KootaskError): Promise<number | undefined> {
    if (cause.retryAfterMs !== undefined) {
      // The second time without a message: kootask may ask for no delay at all.
      return this.#empty < 2 ? cause.retryAfterMs : Math.max(cause.retryAfterMs, this.#backoff());
    }
    if (cause.reason === ErrorReason.CALLER_UNAUTHENTICATED && this.#empty === 0) {
      // All watches with the token end at the same moment.
      return (await this.#isRenewed()) ? this.#backoff() : undefined;
    }
    const broken = [Code.Unavailable, Code.Internal, Code.Unknown, Code.Canceled].includes(cause.code);
    return cause.reasonName === "" && this.#source.met && broken ? this.#backoff() : undefined;
  }

  /** Tells whether the caller's token is another one than that of the stream that has ended. */
  async #isRenewed(): Promise<boolean> {
    try {
      return (await this.#scope.race(this.#source.callerToken())) !== this.#token;
    } catch {
      return false;
    }
  }

  /** Returns how long to wait after a stream that broke, or brought nothing. */
  #backoff(): number {
    const ms = Math.min(resumeMinMs * resumeGrowth ** this.#empty, resumeMaxMs);
    return ms * (0.8 + 0.4 * Math.random());
  }
}

/** The error of a task that has failed, as kootask makes it. */
function taskFailed(task: Task): KootaskError {
  return new KootaskError(Code.Aborted, "The task has failed.", {
    reasonName: ErrorReason[ErrorReason.TASK_FAILED],
    metadata: { taskId: task.taskId, resultCode: task.koodriveResultCode },
  });
}
