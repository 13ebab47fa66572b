import { setMaxListeners } from "node:events";
import { Code } from "@connectrpc/connect";
import { KootaskError, toError } from "./error.js";

// What timers can do: about 25 days. More is as good as none.
const longest = 0x7fffffff;

/** How long one call may last, over all its streams: until its deadline, its caller's signal, or its client's end. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #deadline: number; // On the monotonic clock, as timers are.
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #caller: AbortSignal | undefined;
  #failure: KootaskError | undefined;

  constructor(timeoutMs = Number.POSITIVE_INFINITY, caller?: AbortSignal) {
    this.#deadline = performance.now() + timeoutMs;
    this.#caller = caller;
    if (caller?.aborted) {
      this.#onAbort();
    } else if (timeoutMs <= 0) {
      this.#onDeadline();
    } else {
      if (caller) {
        setMaxListeners(0, caller); // Any number of calls may share it.
        caller.addEventListener("abort", this.#onAbort);
      }
      this.#timer = timeoutMs <= longest ? setTimeout(this.#onDeadline, timeoutMs) : undefined;
    }
  }

  /** Aborts when the scope ends. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Why the scope has ended. Undefined until then. */
  get failure(): KootaskError | undefined {
    return this.#failure;
  }

  /** How much is left, for kootask to know of. Undefined if there is no deadline, or none that gRPC has digits for. */
  get timeoutMs(): number | undefined {
    const left = Math.ceil(this.#deadline - performance.now());
    return left < 1e8 ? Math.max(left, 1) : undefined;
  }

  /** Ends all that is under way. */
  end(failure: KootaskError): void {
    this.#failure ??= failure;
    this.#controller.abort();
  }

  /** Settles as the promise does, but no later than the scope ends. */
  async race<T>(promise: Promise<T>): Promise<T> {
    let stop: (() => void) | undefined;
    const ended = new Promise<never>((_, reject) => {
      stop = () => reject(this.#failure);
      this.signal.addEventListener("abort", stop);
      if (this.#failure) {
        stop();
      }
    });
    try {
      return await Promise.race([promise, ended]);
    } finally {
      this.signal.removeEventListener("abort", stop as () => void);
    }
  }

  /** Waits, for no less than nothing. It is rejected if the scope ends meanwhile. */
  async sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.race(new Promise<void>((resolve) => (timer = setTimeout(resolve, Math.min(ms, longest)))));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Returns why a call has failed: what kootask says comes first, and what follows from the scope's end last. */
  explain(rejection: unknown): KootaskError {
    const error = toError(rejection);
    return error.reasonName === "" ? (this.#failure ?? error) : error;
  }

  /** Lets go of the timer and of the caller's signal. */
  close(): void {
    clearTimeout(this.#timer);
    this.#caller?.removeEventListener("abort", this.#onAbort);
  }

  readonly #onDeadline = (): void => this.end(new KootaskError(Code.DeadlineExceeded, "the deadline has passed"));

  readonly #onAbort = (): void => {
    const cause: unknown = this.#caller?.reason;
    // AbortSignal.timeout() is a deadline too.
    const late = cause instanceof Error && cause.name === "TimeoutError";
    this.end(
      late
        ? new KootaskError(Code.DeadlineExceeded, "the deadline has passed", { cause })
        : new KootaskError(Code.Canceled, "the caller has cancelled the call", { cause }),
    );
  };
}
