import type * as tls from "node:tls";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { Code, createClient, type Client as Stub } from "@connectrpc/connect";
import { Connection } from "./connection.js";
import { KootaskError } from "./error.js";
import { type Task, TaskService } from "./gen/koodrive/task/v1/task_pb.js";
import { askFor, toHeaders } from "./headers.js";
import { Scope } from "./scope.js";
import { type Source, type WatchEvent, Watcher } from "./watch.js";

/** How kootask is reached, and as whom. */
export interface ClientOptions {
  /** kootask's gRPC address, host:port. */
  address: string;
  /** Connect without TLS: credentials then travel in the clear. Default: false. */
  plaintext?: boolean;
  /**
   * How the connection is secured: `ca` to trust other certificates than the roots of Node, `cert` and `key` to show one.
   * Default: Node's roots. Not beside `plaintext`.
   */
  tls?: tls.ConnectionOptions;
  /** The KooDrive credential of all calls that do not name another. Default: none. */
  token?: string;
  /** The KooDrive user on whose behalf all calls are made that do not name another. Default: none. */
  userId?: string;
  /**
   * Returns the token, a JWT without "Bearer ", by which kootask itself knows the caller: `token` is for KooDrive. Every call
   * and every stream of a watch asks for it anew, so that one that is renewed counts. An empty one is not sent. If it throws,
   * the call fails with code Unauthenticated and what was thrown as the `cause`. Default: none.
   */
  callerToken?: () => string | Promise<string>;
}

/** What one call may say. */
export interface WatchOptions {
  /** The KooDrive credential, with or without "Bearer " in front. Default: the client's. */
  token?: string;
  /** The KooDrive user on whose behalf the call is made. Default: the client's. */
  userId?: string;
  /** Makes errors carry a message in it: en-US or zh-CN. Default: they carry none. */
  language?: string;
  /** Make a task that has failed an error with the reason TASK_FAILED. A watch hands it out first. Default: false. */
  failedTaskAsError?: boolean;
  /** Ends the call when it aborts, with code Canceled; with DeadlineExceeded, if it comes from AbortSignal.timeout(). */
  signal?: AbortSignal;
  /** After how many milliseconds the whole call ends, with code DeadlineExceeded; kootask knows of it. Default: never. */
  timeoutMs?: number;
}

/** What one {@link Client.get} may say. */
export interface GetOptions extends WatchOptions {
  /**
   * How old the answer may be, in milliseconds: 0 asks KooDrive in any case. Default: a finished task may be a minute old,
   * and KooDrive is asked for any other.
   */
  maxAgeMs?: number;
}

/**
 * Calls kootask. It connects when it is first called, and again whenever the connection has broken. One is enough for a
 * process: any number of calls may be under way, 1,000 at a time. Any other waits for its turn; a watch takes 20 s of that for
 * silence, so that it resumes, and waits again.
 */
export class Client {
  readonly #connection: Connection;
  readonly #tasks: Stub<typeof TaskService>;
  readonly #options: ClientOptions;
  readonly #scopes = new Set<Scope>();
  #closed = false;
  #met = false; // kootask has answered, once.

  /** Throws a TypeError if the options cannot be right. It does not connect. */
  constructor(options: ClientOptions) {
    if (options.plaintext && options.tls) {
      throw new TypeError("plaintext and tls exclude each other");
    }
    this.#connection = new Connection(options.address, options.plaintext ? undefined : (options.tls ?? {}));
    this.#tasks = createClient(TaskService, this.#connection.transport);
    this.#options = { ...options };
  }

  /** Ends all calls that are under way, with code Canceled, and any later one. */
  close(): void {
    this.#closed = true;
    for (const scope of this.#scopes) {
      scope.end(closed());
    }
    this.#connection.close();
  }

  /**
   * Returns a task as it stands now. Rejects with a {@link KootaskError}, in which kootask says whether it helps to call
   * again: this calls once.
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
        throw new KootaskError(Code.Internal, "there is no task in the answer");
      }
      return task;
    } catch (rejection) {
      const failure = scope.explain(rejection);
      this.#met ||= failure.reasonName !== "";
      throw failure;
    } finally {
      this.#end(scope);
    }
  }

  /**
   * Yields the task as it stands, and again after each change, until it is finished. None is handed out twice in a row, none
   * is a step back, and one is the last. It resumes, ends and throws as {@link Client.events} does.
   */
  async *watch(id: string, options: WatchOptions = {}): AsyncGenerator<Task, void, undefined> {
    for await (const event of this.events(id, options)) {
      if (event.type === "task") {
        yield event.task;
      }
    }
  }

  /**
   * Yields all that happens while a task is watched. The loop ends after the finished task, or throws a
   * {@link KootaskError}. It begins with the first step of the loop, and leaving the loop ends it; `signal` ends it also
   * while the loop waits.
   *
   * The watch resumes, for as long as the call may last, if kootask asks to be called again, after the delay that it names,
   * and if the connection breaks or falls silent. It ends on any other error; as long as this client has had no answer of
   * kootask's at all, also if the connection breaks or cannot be had.
   *
   * When the caller's token expires, which ends a stream with the reason CALLER_UNAUTHENTICATED, the watch resumes if
   * `callerToken` returns another one by then. It ends if there is none, and if a stream ends so before a message came.
   */
  async *events(id: string, options: WatchOptions = {}): AsyncGenerator<WatchEvent, void, undefined> {
    const scope = this.#begin(options);
    const failedTaskAsError = options.failedTaskAsError ?? false;
    try {
      yield* new Watcher(this.#source(id, failedTaskAsError, scope, options), scope, failedTaskAsError).events();
    } finally {
      this.#end(scope);
    }
  }

  #source(taskId: string, failedTaskAsError: boolean, scope: Scope, options: WatchOptions): Source {
    const client = this;
    return {
      get met() {
        return client.#met;
      },
      set met(met) {
        client.#met = met;
      },
      callerToken: () => askFor(this.#options.callerToken),
      open: (callerToken, signal) =>
        this.#tasks.watchTask({ taskId, failedTaskAsError }, { ...this.#call(scope, callerToken, options), signal }),
    };
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
