import { setMaxListeners } from "node:events";
import { Code } from "@connectrpc/connect";
import { KootaskError, toError } from "./error.js";

// The limit of timers, about 25 days. A longer time limit has no effect.
export const longest = 0x7fffffff;

/** The lifetime of one call, over all its streams: until its deadline, its caller's signal, or its client's end. */
export class Scope {
  readonly #controller = new AbortController();
  readonly #deadline: number; // On the monotonic clock, as timers are.
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #caller: AbortSignal | undefined;
  #failure: KootaskError | undefined;

  constructor(timeoutMs = Number.POSITIVE_INFINITY, caller?: AbortSignal) {
    this.#deadline = performance.now() + timeoutMs;
    this.#caller = caller;
    setMaxListeners(0, this.signal); // A watch may have any number of streams.
    if (caller?.aborted) {
      this.#onAbort();
    } else if (timeoutMs <= 0) {
      this.#onDeadline();
    } else {
      if (caller) {
        setMaxListeners(0, caller); // Any number of calls may share the signal.
        caller.addEventListener("abort", this.#onAbort);
      }
      this.#timer = timeoutMs <= longest ? setTimeout(this.#onDeadline, timeoutMs) : undefined;
    }
  }

  /** Aborts when the scope ends. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** The cause of the scope's end. Undefined until then. */
  get failure(): KootaskError | undefined {
    return this.#failure;
  }

  /** The time that is left, for kootask. Undefined without a deadline, or if gRPC has too few digits for it. */
  get timeoutMs(): number | undefined {
    const left = Math.ceil(this.#deadline - performance.now());
    return left < 1e8 ? Math.max(left, 1) : undefined;
  }

  /** Returns a scope that ends with this one, or before. */
  child(): Scope {
    const child = new Scope();
    const end = () => this.#failure && child.end(this.#failure);
    this.signal.addEventListener("abort", end, { signal: child.signal });
    end();
    return child;
  }

  /** Ends everything in the scope. */
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

  /** Waits. Rejects if the scope ends meanwhile. */
  async sleep(ms: number): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    try {
      await this.race(new Promise<void>((resolve) => (timer = setTimeout(resolve, Math.min(ms, longest)))));
    } finally {
      clearTimeout(timer);
    }
  }

  /** Returns the cause of a call's failure: an error from kootask, or else the scope's end, or else the rejection. */
  explain(rejection: unknown): KootaskError {
    const error = toError(rejection);
    return error.reasonName === "" ? (this.#failure ?? error) : error;
  }

  /** Releases the timer and the caller's signal. */
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
