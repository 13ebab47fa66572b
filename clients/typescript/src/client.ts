import type * as tls from "node:tls";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type Client as Stub } from "@connectrpc/connect";
import { Connection } from "./connection.js";
import { KootaskError } from "./error.js";
import type { WatchEvent } from "./event.js";
import { explain } from "./explain.js";
import { type Task, TaskService } from "./gen/koodrive/task/v1/task_pb.js";
import { askFor, toHeaders } from "./headers.js";
import { List } from "./list.js";
import { Watched } from "./progress.js";
import { Scope } from "./scope.js";
import { type Open, one, several } from "./source.js";
import { type Source, Watcher } from "./watch.js";

/** Where kootask is, and which credentials the calls carry. */
export interface ClientOptions {
  /** kootask's gRPC address, host:port. */
  address: string;
  /** Connects without TLS: credentials are then sent in plaintext. Default: false. */
  plaintext?: boolean;
  /**
   * TLS options: `ca` trusts other certificates than Node's own roots, `cert` and `key` are a client certificate. Cannot be
   * combined with `plaintext`. Default: Node's roots.
   */
  tls?: tls.ConnectionOptions;
  /** The KooDrive credential of all calls without their own. Default: none. */
  token?: string;
  /** The KooDrive user to act for, of all calls without their own. Default: none. */
  userId?: string;
  /**
   * Returns the token, a JWT without "Bearer ", that authenticates the caller to kootask. (`token` is for KooDrive.) Every call
   * and every stream of a watch calls it, so a renewed token takes effect. An empty token is not sent. If it throws, the call
   * fails with code Unauthenticated and the thrown value as `cause`. Default: no token.
   */
  callerToken?: () => string | Promise<string>;
}

/** The options of one call. */
export interface WatchOptions {
  /** The KooDrive credential, with or without "Bearer " in front. Default: the client's. */
  token?: string;
  /** The KooDrive user to act for. Default: the client's. */
  userId?: string;
  /** The language of an error's `localizedMessage`, such as zh-CN. Default: errors have none. */
  language?: string;
  /** Turns a failed task into an error with the reason TASK_FAILED. A watch yields the task first. Default: false. */
  failedTaskAsError?: boolean;
  /** Ends the call when it aborts: with code Canceled, or DeadlineExceeded if it comes from AbortSignal.timeout(). */
  signal?: AbortSignal;
  /** Time limit of the whole call in milliseconds, also sent to kootask. After it: code DeadlineExceeded. Default: none. */
  timeoutMs?: number;
}

/** The options of one {@link Client.watchAll}. */
export type WatchAllOptions = Omit<WatchOptions, "failedTaskAsError">;

/** The options of one {@link Client.get}. */
export interface GetOptions extends WatchOptions {
  /**
   * Maximum age of the answer in milliseconds. 0 always asks KooDrive. Default: a finished task may be up to a minute old, and
   * KooDrive is asked for any other task.
   */
  maxAgeMs?: number;
}

/**
 * Calls kootask. It connects with the first call, and again whenever the connection has broken. One is enough for a process.
 * Up to 1,000 calls and streams are in flight at a time, and further ones are queued. A stream that is queued for 20 s takes
 * that for silence: its watch reports an interruption, and it is queued again.
 */
export class Client {
  readonly #connection: Connection;
  readonly #tasks: Stub<typeof TaskService>;
  readonly #options: ClientOptions;
  readonly #scopes = new Set<Scope>();
  #closed = false;
  #met = false; // kootask has answered at least once.

  /** Does not connect. Throws a TypeError for invalid options. */
  constructor(options: ClientOptions) {
    if (options.plaintext && options.tls) {
      throw new TypeError("plaintext and tls exclude each other");
    }
    this.#connection = new Connection(options.address, options.plaintext ? undefined : (options.tls ?? {}));
    this.#tasks = createClient(TaskService, this.#connection.transport);
    this.#options = { ...options };
  }

  /** Ends all calls in flight with code Canceled. Later calls fail in the same way. */
  close(): void {
    this.#closed = true;
    for (const scope of this.#scopes) {
      scope.end(closed());
    }
    this.#connection.close();
  }

  /**
   * Returns a task, as it is now. It calls once, and rejects with a {@link KootaskError} that says whether calling again helps.
   */
  async get(id: string, options: GetOptions = {}): Promise<Task> {
    const scope = this.#begin(options);
    try {
      const callerToken = await scope.race(askFor(this.#options.callerToken));
      const request = {
        taskId: id,
        failedTaskAsError: options.failedTaskAsError ?? false,
        ...(options.maxAgeMs === undefined ? {} : { maxAge: durationFromMs(options.maxAgeMs) }),
      };
      const { task } = await this.#tasks.getTask(request, this.#call(scope, callerToken, options));
      this.#met = true;
      if (task === undefined) {
        throw new KootaskError(Code.Internal, "the answer has no task");
      }
      return task;
    } catch (rejection) {
      const failure = scope.explain(rejection);
      this.#met ||= failure.reasonName !== "";
      throw await this.#explain(failure, scope);
    } finally {
      this.#end(scope);
    }
  }

  /**
   * Yields the task as it is now, then again after each change, until it is finished. It yields no state twice in a row, never
   * goes back, and yields the finished task last. It resumes, ends and throws like {@link Client.events}.
   */
  async *watch(id: string, options: WatchOptions = {}): AsyncGenerator<Task, void, undefined> {
    for await (const event of this.events(id, options)) {
      if (event.type === "task") {
        yield event.task;
      }
    }
  }

  /**
   * Yields every event of a watch. The loop ends after the finished task, or throws a {@link KootaskError}. The watch begins
   * with the first step of the loop, and ends when you leave the loop. `signal` also ends it while the loop waits.
   *
   * Within the call's time limit, the watch resumes in two cases: after an error with `retryAfterMs`, when that time has passed;
   * and when the connection breaks or is silent for 20 s. It ends on any other error. Until kootask has answered this client
   * once, it also ends if the connection breaks or cannot be made.
   *
   * When the caller's token expires, the stream ends with the reason CALLER_UNAUTHENTICATED. The watch resumes if `callerToken`
   * returns another token by then. It ends if not, or if the stream ended before its first message.
   */
  async *events(id: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    const { failedTaskAsError = false } = options;
    yield* this.#follow(options, (scope) => {
      const source = this.#source(one(this.#tasks, failedTaskAsError), scope, options);
      return new Watcher(source, scope, [new Watched(id)], failedTaskAsError).events();
    });
  }

  /**
   * Returns the task once it is finished. It watches the task, so it resumes, ends and throws like {@link Client.events}. A
   * failed task is a value, unless `failedTaskAsError` is set. `timeoutMs` limits the wait.
   */
  async wait(id: string, options: WatchOptions = {}): Promise<Task> {
    let last!: Task; // A watch that ends without an error has yielded the finished task.
    for await (const task of this.watch(id, options)) {
      last = task;
    }
    return last;
  }

  /**
   * Yields every event of a watch of any number of tasks. It opens a stream for every 100 ids, and for the tasks that are
   * watched again. An id that is named twice is watched once. Each task comes as in {@link Client.watch}, and the order of
   * different tasks is not defined. A heartbeat or a resume is about the tasks in its `taskIds`.
   *
   * The loop ends when each task was yielded finished, or dropped without `retryAfterMs`. A task that is dropped with
   * `retryAfterMs` is watched again after that time, or up to 30 s later, together with others. If it is dropped again before
   * its next state, the delay is at least that after a broken connection.
   *
   * Each stream resumes like that of {@link Client.events}, with the tasks that have not ended. If any of the streams cannot
   * resume, the loop throws its {@link KootaskError}. An invalid id, or none, is the error REQUEST_INVALID, whose `violations`
   * count the distinct ids of one stream. Leaving the loop ends all streams.
   */
  async *watchAll(ids: readonly string[], options: WatchAllOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    yield* this.#follow(options, (scope) => {
      return new List(this.#source(several(this.#tasks), scope, options), scope, ids).events();
    });
  }

  /** Yields the events of a watch, in a scope of its own. */
  async *#follow(
    options: WatchOptions,
    watch: (scope: Scope) => AsyncGenerator<WatchEvent, void, undefined>,
  ): AsyncGenerator<WatchEvent, void, undefined> {
    const scope = this.#begin(options);
    try {
      yield* watch(scope);
    } catch (rejection) {
      throw rejection instanceof KootaskError ? await this.#explain(rejection, scope) : rejection;
    } finally {
      this.#end(scope);
    }
  }

  #source(open: Open, scope: Scope, options: WatchOptions): Source {
    const client = this;
    return {
      get met() {
        return client.#met;
      },
      set met(met) {
        client.#met = met;
      },
      callerToken: () => askFor(this.#options.callerToken),
      open: (ids, callerToken, signal) => open(ids, { ...this.#call(scope, callerToken, options), signal }),
    };
  }

  /** Adds the fault of the address, if there is one. */
  #explain(failure: KootaskError, scope: Scope): Promise<KootaskError> {
    return explain(failure, this.#connection.endpoint, this.#met, scope.signal);
  }

  #begin(options: WatchOptions): Scope {
    const scope = new Scope(options.timeoutMs, options.signal);
    this.#scopes.add(scope);
    if (this.#closed) {
      scope.end(closed());
    }
    return scope;
  }

  #end(scope: Scope): void {
    scope.close();
    this.#scopes.delete(scope);
  }

  #call(scope: Scope, callerToken: string, options: WatchOptions) {
    const headers = toHeaders({
      token: options.token ?? this.#options.token ?? "",
      userId: options.userId ?? this.#options.userId ?? "",
      language: options.language ?? "",
      callerToken,
    });
    const timeoutMs = scope.timeoutMs;
    return { headers, signal: scope.signal, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
  }
}

function closed(): KootaskError {
  return new KootaskError(Code.Canceled, "the client is closed");
}
