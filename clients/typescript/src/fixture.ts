// A scripted kootask for the tests of watches, and virtual time.
import { afterEach, beforeEach, mock } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampNow } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { type Details, KootaskError } from "./error.js";
import { TaskStatus, type WatchTasksResponse, WatchTasksResponseSchema } from "./gen/koodrive/task/v1/task_pb.js";
import { Scope } from "./scope.js";
import type { Received } from "./source.js";
import type { Source } from "./watch.js";

export const { NEW, EXECUTING, SUCCESS, FAILED } = TaskStatus;

/** One act of a stream: it sends an event, fails, stays silent until it is left, or sends nothing for some milliseconds. */
export type Act = WatchTasksResponse | KootaskError | "hang" | number;

/** All acts of one stream, which then ends. */
export type Step = (ids: readonly string[]) => readonly Act[];

/** A kootask that answers each attempt with the next step, and from then on with the last one. */
export class Scripted implements Source {
  met = false;
  /** The results of the provider of caller tokens. The last one is repeated. */
  provided = [""];
  /** The attempts: their times since the start, caller tokens and lists of ids. */
  readonly attempts: number[] = [];
  readonly tokens: string[] = [];
  readonly lists: string[][] = [];
  /** Streams that have not ended. */
  streams = 0;
  readonly #start = Date.now();
  readonly #steps: readonly Step[];

  constructor(...steps: readonly Step[]) {
    this.#steps = steps;
  }

  /** The time since the start. */
  get elapsed(): number {
    return Date.now() - this.#start;
  }

  async callerToken(): Promise<string> {
    const [token = "", ...others] = this.provided;
    this.provided = others.length > 0 ? others : [token];
    return token;
  }

  async *open(ids: readonly string[], token: string, signal: AbortSignal): AsyncGenerator<Received> {
    const step = this.#steps[Math.min(this.attempts.length, this.#steps.length - 1)];
    this.attempts.push(this.elapsed);
    this.tokens.push(token);
    this.lists.push([...ids]);
    this.streams++;
    try {
      for (const act of step?.(ids) ?? []) {
        signal.throwIfAborted();
        if (act instanceof KootaskError) {
          throw act;
        } else if (typeof act === "object") {
          const { event } = act;
          yield { id: event.case === "heartbeat" ? "" : (event.value?.taskId ?? ""), event, requestId: "mine" };
        } else {
          await pause(act, signal);
        }
      }
    } finally {
      this.streams--;
    }
  }
}

async function pause(ms: number | "hang", signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    signal.addEventListener("abort", () => reject(new Error("aborted")));
    if (ms !== "hang") {
      setTimeout(resolve, ms);
    }
  });
}

export const failure = (code: Code, reasonName = "", details: Details = {}) =>
  new KootaskError(code, "No.", { reasonName, ...details });
export const again = (retryAfterMs: number) => failure(Code.Unavailable, "SERVER_DRAINING", { retryAfterMs });
export const broken = failure(Code.Unavailable);

const sent = (event: MessageInitShape<typeof WatchTasksResponseSchema>["event"] & object) =>
  create(WatchTasksResponseSchema, { event });

export function task(taskId: string, status: TaskStatus): WatchTasksResponse {
  const done = status === SUCCESS || status === FAILED;
  const value = { taskId, status, done, observeTime: timestampNow(), koodriveResultCode: done ? "1" : "" };
  return sent({ case: "task", value });
}

export const beat = (...failingTaskIds: string[]) => sent({ case: "heartbeat", value: { failingTaskIds } });
export const newer = create(WatchTasksResponseSchema);

/** The end of one task. Without a delay, a retry does not help. */
export function drop(taskId: string, delayMs?: number): WatchTasksResponse {
  const common = { taskId, message: "No such task.", localizedMessage: "不行", metadata: { upstreamCode: "13000309" } };
  const value =
    delayMs === undefined
      ? { ...common, code: Code.NotFound, reason: "TASK_NOT_FOUND" }
      : { ...common, code: Code.Unavailable, reason: "UPSTREAM_STALE", retryDelay: durationFromMs(delayMs) };
  return sent({ case: "dropped", value });
}

/** Runs the tests of the file in virtual time, which passes in {@link inVirtualTime}. */
export function useVirtualTime(): void {
  beforeEach(() => {
    mock.timers.enable({ apis: ["setTimeout", "Date"] });
    mock.method(performance, "now", () => Date.now());
  });
  afterEach(() => {
    mock.timers.reset();
    mock.restoreAll();
  });
}

/** Lets time pass until `run` has settled. */
export async function inVirtualTime<T>(run: (scope: Scope) => Promise<T>, scope = new Scope()): Promise<T> {
  let over = false;
  const result = run(scope).finally(() => {
    scope.close();
    over = true;
  });
  result.catch(() => {}); // It is awaited below.
  while (!over) {
    await new Promise(setImmediate);
    mock.timers.tick(10);
  }
  return await result;
}
