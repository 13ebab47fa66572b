import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";
import type { WatchEvent } from "./event.js";
import { Watched } from "./progress.js";
import { retryDelay } from "./resume.js";
import { longest, type Scope } from "./scope.js";
import { perStream } from "./source.js";
import { type Source, Watcher } from "./watch.js";

// How long a dropped task may wait, beyond its delay, for the delays of others. They then share a stream: after an outage of
// KooDrive, each of many tasks would have its own.
const gatheringMs = 30_000;

type Events = AsyncGenerator<WatchEvent, void, undefined>;

/** What a watcher yields, or its end. */
type Result = { readonly events: Events; readonly next: IteratorResult<WatchEvent, void> } | { readonly error: unknown };

/**
 * A watch of any number of tasks.
 *
 * A task belongs to a watcher until that has yielded its end. A task that was dropped with a delay gets a new watcher, and the
 * other tasks keep their stream: on a new one, fewer failed polls would drop them.
 *
 * A watcher runs until its next event, and goes on when the caller has taken that.
 */
export class List {
  readonly #source: Source;
  readonly #scope: Scope;
  readonly #tasks: ReadonlyMap<string, Watched>;
  readonly #running = new Set<Events>(); // Watchers that have not ended.
  readonly #results: Result[] = []; // Those that the caller has not taken, at most one of each watcher.
  #parked: { readonly task: Watched; readonly due: number }[] = []; // Tasks to be watched again, by the monotonic clock.
  #wake = () => {}; // Ends the caller's wait for a result.

  /** An id that is named twice is watched once. */
  constructor(source: Source, scope: Scope, ids: readonly string[]) {
    this.#source = source;
    this.#scope = scope.child();
    this.#tasks = new Map(ids.map((id) => [id, new Watched(id)]));
  }

  /** Yields all events until each task has come to its end, and throws a KootaskError on any other end of any stream. */
  async *events(): Events {
    try {
      const tasks = [...this.#tasks.values()];
      if (tasks.length === 0) {
        this.#start([]); // kootask says what is wrong.
      }
      this.#watch(tasks);
      while (this.#running.size > 0 || this.#parked.length > 0) {
        const pauseMs = this.#pauseMs();
        if (pauseMs <= 0) {
          this.#watchAgain(); // Also while there are results: a busy caller must not keep tasks parked.
          continue;
        }
        const result = this.#results.shift();
        if (result === undefined) {
          await this.#idle(pauseMs);
          continue;
        }
        if ("error" in result) {
          throw result.error;
        }
        const { events, next } = result;
        if (next.done) {
          this.#running.delete(events);
          continue;
        }
        if (next.value.type === "dropped") {
          this.#park(next.value.error);
        }
        yield next.value;
        this.#advance(events);
      }
    } finally {
      this.#scope.end(new KootaskError(Code.Canceled, "the watch is over"));
      await Promise.all([...this.#running].map((events) => events.return()));
    }
  }

  /** Begins to watch tasks, with as many streams as it takes. */
  #watch(tasks: readonly Watched[]): void {
    for (let i = 0; i < tasks.length; i += perStream) {
      this.#start(tasks.slice(i, i + perStream));
    }
  }

  #start(tasks: readonly Watched[]): void {
    const events = new Watcher(this.#source, this.#scope, tasks).events();
    this.#running.add(events);
    this.#advance(events);
  }

  /** Lets a watcher run until its next event. */
  #advance(events: Events): void {
    const take = (result: Result) => {
      this.#results.push(result);
      this.#wake();
    };
    events.next().then(
      (next) => take({ events, next }),
      (error: unknown) => take({ error }),
    );
  }

  /** Waits for a result, at most for the pause. */
  async #idle(pauseMs: number): Promise<void> {
    let alarm: NodeJS.Timeout | undefined;
    try {
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
        alarm = setTimeout(resolve, Math.min(pauseMs, longest));
      });
      await this.#scope.race(woken);
    } finally {
      clearTimeout(alarm);
    }
  }

  /**
   * Returns the time until all parked tasks are due, or the first one has waited long enough for the others. Infinity if no task
   * is parked.
   */
  #pauseMs(): number {
    if (this.#parked.length === 0) {
      return Number.POSITIVE_INFINITY;
    }
    const dues = this.#parked.map(({ due }) => due);
    const first = dues.reduce((a, b) => Math.min(a, b));
    const last = dues.reduce((a, b) => Math.max(a, b));
    return Math.min(last, first + gatheringMs) - performance.now();
  }

  /** Watches the parked tasks that are due. */
  #watchAgain(): void {
    const now = performance.now();
    const due = this.#parked.filter((it) => it.due <= now);
    this.#parked = this.#parked.filter((it) => it.due > now);
    this.#watch(due.map(({ task }) => task));
  }

  /** Notes that a dropped task is to be watched again, if it is. */
  #park({ taskId, retryAfterMs }: KootaskError): void {
    const task = this.#tasks.get(taskId);
    if (task && retryAfterMs !== undefined) {
      this.#parked.push({ task, due: performance.now() + retryDelay(retryAfterMs, task.drops) });
    }
  }
}
