import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as http2 from "node:http2";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { after, before, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type HandlerContext } from "@connectrpc/connect";
import { connectNodeAdapter } from "@connectrpc/connect-node";
import { Client, type ClientOptions } from "./client.js";
import { KootaskError } from "./error.js";
import { beat, drop, task } from "./fixture.js";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  LocalizedMessageSchema,
  RequestInfoSchema,
  RetryInfoSchema,
} from "./gen/google/rpc/error_details_pb.js";
import { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
import { type GetTaskRequest, GetTaskResponseSchema, TaskService, TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";

let begun = 0; // Streams.
let left = 0; // Those of them that the client has left.
let answer: (request: GetTaskRequest) => Promise<void>;
let headers: Headers;
let lists: string[][]; // The ids of each stream.

const server = http2.createServer(
  connectNodeAdapter({
    routes: (router) =>
      router.service(TaskService, {
        async getTask(request, context) {
          headers = context.requestHeader;
          await answer(request);
          return create(GetTaskResponseSchema, { task: { taskId: request.taskId } });
        },
        async *watchTask({ taskId }, context) {
          begun++;
          yield { event: { case: "task", value: { taskId, status: TaskStatus.NEW } } };
          const status = { done: TaskStatus.SUCCESS, failed: TaskStatus.FAILED }[taskId];
          if (status !== undefined) {
            yield { event: { case: "task", value: { taskId, status, done: true } } };
          }
          await cancelled(context);
          left++;
        },
        async *watchTasks({ taskIds }, context) {
          begun++;
          lists.push(taskIds);
          context.responseHeader.set("x-request-id", "mine");
          if (taskIds.length === 0) {
            const value = { domain: "koodrive.task.v1", reason: "REQUEST_INVALID" };
            throw new ConnectError("No.", Code.InvalidArgument, undefined, [{ desc: ErrorInfoSchema, value }]);
          }
          yield beat();
          for (const taskId of taskIds) {
            yield taskId === "gone" ? drop(taskId) : task(taskId, taskId === "new" ? TaskStatus.NEW : TaskStatus.SUCCESS);
          }
          await cancelled(context);
          left++;
        },
      }),
  }),
);

/** Waits for the client to leave. */
async function cancelled({ signal }: HandlerContext): Promise<void> {
  if (!signal.aborted) {
    await once(signal, "abort");
  }
}

before(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});
after(() => server.close());
beforeEach(() => {
  answer = async () => {};
  begun = 0;
  left = 0;
  lists = [];
});

function connect(options: Partial<ClientOptions> = {}): Client {
  const { port } = server.address() as AddressInfo;
  return new Client({ address: `127.0.0.1:${port}`, plaintext: true, token: "geheim", ...options });
}

async function failureOf(promise: Promise<unknown>): Promise<KootaskError> {
  const error = await promise.then(
    () => assert.fail("it has not failed"),
    (rejection: unknown) => rejection,
  );
  assert(error instanceof KootaskError, String(error));
  assert.doesNotMatch(String(error.stack), /geheim/);
  return error;
}

/** Waits until so many streams have begun, and the client has left them all. */
async function drained(streams: number): Promise<void> {
  while (begun < streams || left < begun) {
    await sleep(1);
  }
  assert.equal(begun, streams);
}

test("a call carries the caller's token", async () => {
  const tokens = ["a", "b"];
  const client = connect({ callerToken: async () => tokens.shift() ?? "" });
  const sent = ["authorization", "x-user-id", "language", "x-kootask-authorization", "user-agent"];
  const expected = [
    ["geheim", "42", null, "Bearer a", "kootask-typescript"],
    ["other", null, "zh-CN", "Bearer b", "kootask-typescript"],
    ["geheim", null, null, null, "kootask-typescript"],
  ];
  for (const [i, options] of [{ userId: "42" }, { token: "other", language: "zh-CN" }, {}].entries()) {
    assert.equal((await client.get("9", options)).taskId, "9");
    assert.deepEqual(
      sent.map((name) => headers.get(name)),
      expected[i],
    );
  }
  client.close();
});

test("an error is taken apart", async () => {
  answer = async () => {
    throw new ConnectError("No.", Code.InvalidArgument, undefined, [
      { desc: ErrorInfoSchema, value: { domain: "proxy.test", reason: "TASK_NOT_FOUND" } },
      { desc: ErrorInfoSchema, value: { domain: "koodrive.task.v1", reason: "REQUEST_INVALID", metadata: { a: "1" } } },
      { desc: RequestInfoSchema, value: { requestId: "mine" } },
      { desc: RetryInfoSchema, value: { retryDelay: { seconds: 1n, nanos: 500_000_000 } } },
      { desc: BadRequestSchema, value: { fieldViolations: [{ field: "task_id", reason: "RESERVED", description: "No." }] } },
      { desc: LocalizedMessageSchema, value: { locale: "zh-CN", message: "不" } },
    ]);
  };
  const client = connect();
  const { name, message, rawMessage, code, reason, ...rest } = await failureOf(client.get("list"));
  assert.equal(`${name}: ${message}`, "KootaskError: No. (REQUEST_INVALID) task_id: RESERVED No.");
  assert.deepEqual([rawMessage, code, reason], ["No.", Code.InvalidArgument, ErrorReason.REQUEST_INVALID]);
  assert.deepEqual(
    { ...rest },
    {
      reasonName: "REQUEST_INVALID",
      metadata: { a: "1" },
      requestId: "mine",
      retryAfterMs: 1500,
      violations: [{ field: "task_id", reason: "RESERVED", description: "No." }],
      localizedMessage: "不",
      taskId: "",
    },
  );
  client.close();
});

test("a reason that is newer, or of another domain, is not in the contract", async () => {
  const client = connect();
  for (const [domain, reasonName] of [
    ["koodrive.task.v1", "NEWER"],
    ["koodrive.task.v1", "constructor"],
    ["koodrive.task.v1", "4"],
    ["proxy.test", ""],
  ] as const) {
    answer = async () => {
      const value = { domain, reason: reasonName || "TASK_NOT_FOUND" };
      throw new ConnectError("No.", Code.NotFound, undefined, [{ desc: ErrorInfoSchema, value }]);
    };
    const error = await failureOf(client.get("9"));
    assert.deepEqual([error.reason, error.reasonName], [ErrorReason.ERROR_REASON_UNSPECIFIED, reasonName]);
  }
  client.close();
});

test("an invalid value is not quoted", async () => {
  for (const callerToken of ["geheim\n", "Bearer geheim", "geheim\u00a0"]) {
    const error = await failureOf(connect({ callerToken: () => callerToken }).get("9"));
    assert.deepEqual([error.code, error.reasonName], [Code.Unauthenticated, ""]);
  }
  const cause = new Error("the file is gone");
  const error = await failureOf(connect({ callerToken: () => Promise.reject(cause) }).get("9"));
  assert.deepEqual([error.code, error.cause], [Code.Unauthenticated, cause]);
  assert.equal((await failureOf(connect({ token: "geheim\n" }).get("9"))).code, Code.InvalidArgument);
});

test("deadlines and signals end a call", async () => {
  answer = () => new Promise(() => {});
  const client = connect();
  for (const [options, code] of [
    [{ timeoutMs: 20 }, Code.DeadlineExceeded],
    [{ timeoutMs: 0 }, Code.DeadlineExceeded],
    [{ signal: AbortSignal.timeout(20) }, Code.DeadlineExceeded],
    [{ signal: AbortSignal.abort() }, Code.Canceled],
  ] as const) {
    assert.equal((await failureOf(client.get("9", options))).code, code);
  }
  const silent = connect({ callerToken: () => new Promise(() => {}) });
  assert.equal((await failureOf(silent.get("9", { timeoutMs: 20 }))).code, Code.DeadlineExceeded);
  client.close();
});

test("leaving the loop, aborting or closing cancels the watch", async () => {
  const client = connect();
  for await (const task of client.watch("9")) {
    assert.equal(task.status, TaskStatus.NEW);
    break;
  }
  await drained(1);

  const controller = new AbortController();
  const aborted = async () => {
    for await (const _ of client.watch("9", { signal: controller.signal })) {
      setTimeout(() => controller.abort(), 10);
    }
  };
  assert.equal((await failureOf(aborted())).code, Code.Canceled);
  await drained(2);

  const closed = async () => {
    for await (const _ of client.watch("9")) {
      setTimeout(() => client.close(), 10);
    }
  };
  assert.equal((await failureOf(closed())).code, Code.Canceled);
  await drained(3);
  assert.equal((await failureOf(client.get("9"))).code, Code.Canceled);
});

test("a wait returns the finished task, or its error", async () => {
  const client = connect();
  for (const [id, status] of [
    ["done", TaskStatus.SUCCESS],
    ["failed", TaskStatus.FAILED],
  ] as const) {
    const { taskId, ...task } = await client.wait(id);
    assert.deepEqual([taskId, task.status], [id, status]);
  }
  const controller = new AbortController();
  const waiting = failureOf(client.wait("9", { signal: controller.signal }));
  while (begun < 3) {
    await sleep(1);
  }
  controller.abort();
  assert.equal((await waiting).code, Code.Canceled);
  await drained(3);
  client.close();
});

test("a watch of many tasks", async () => {
  const client = connect();
  const ids = [...Array.from({ length: 100 }, (_, i) => `${i}`), "gone"];
  const finished: string[] = [];
  const heartbeats: number[] = [];
  for await (const event of client.watchAll(ids)) {
    if (event.type === "task") {
      finished.push(event.task.taskId);
    } else if (event.type === "heartbeat") {
      heartbeats.push(event.taskIds.length);
    } else {
      assert(event.type === "dropped", event.type);
      const { message, taskId, requestId } = event.error;
      assert.deepEqual([message, taskId, requestId], ["task gone: No such task. (TASK_NOT_FOUND)", "gone", "mine"]);
    }
  }
  assert.deepEqual(finished, ids.slice(0, 100));
  assert.deepEqual(heartbeats.toSorted(), [1, 100]);
  assert.deepEqual(lists, [ids.slice(0, 100), ["gone"]]);
  await drained(2);
  client.close();
});

test("leaving, aborting or closing ends all streams of a list", async () => {
  const ids = ["new", ...Array.from({ length: 200 }, (_, i) => `${i}`)];
  const client = connect();
  for await (const { type } of client.watchAll(ids)) {
    if (type === "task") {
      break;
    }
  }
  await drained(3);
  for (const [streams, way] of [
    [6, "abort"],
    [9, "close"],
  ] as const) {
    const controller = new AbortController();
    const watch = async () => {
      for await (const _ of client.watchAll(ids, { signal: controller.signal })) {
        setTimeout(() => (way === "abort" ? controller.abort() : client.close()), 10);
      }
    };
    assert.equal((await failureOf(watch())).code, Code.Canceled);
    await drained(streams);
  }
  const late = await failureOf(client.watchAll(ids).next()); // The client is closed.
  assert.equal(late.code, Code.Canceled);
  await drained(9);
});

test("kootask refuses an empty list", async () => {
  const client = connect();
  const watch = async () => {
    for await (const event of client.watchAll([])) {
      assert.fail(event.type);
    }
  };
  assert.equal((await failureOf(watch())).reason, ErrorReason.REQUEST_INVALID);
  assert.deepEqual(lists, [[]]);
  client.close();
});

test("a watch that is over keeps no process", async () => {
  const { port } = server.address() as AddressInfo;
  const path = fileURLToPath(new URL("conformance.js", import.meta.url));
  const command = { call: "watch", addr: `127.0.0.1:${port}`, deadline: 60 };
  for (const [last, options] of Object.entries({
    end: { taskId: "done" },
    cancelled: { taskId: "9", cancelAfterTasks: 1 },
  })) {
    const program = spawn(process.execPath, [path], { timeout: 15_000 });
    program.stdin.end(`${JSON.stringify({ ...command, ...options })}\n`);
    const [printed, end] = await Promise.all([text(program.stdout), once(program, "close")]);
    assert.match(printed, new RegExp(`\n{"${last}":{}}\n$`));
    assert.deepEqual(end, [0, null]);
  }
  await drained(2);
});

test("a connection that breaks or cannot be opened is Unavailable", async () => {
  server.once("session", (session) => {
    answer = async () => session.destroy();
  });
  const broken = await failureOf(connect().get("9"));
  assert.deepEqual([broken.code, broken.reasonName], [Code.Unavailable, ""]);
  const error = await failureOf(connect({ address: "127.0.0.1:1" }).get("9"));
  assert.deepEqual([error.code, error.reasonName], [Code.Unavailable, ""]);
  assert.equal((await failureOf(connect({ plaintext: false }).get("9"))).code, Code.Unavailable);
});

test("options that cannot be right are refused", () => {
  for (const options of [{ address: "kootask.example" }, { address: "https://a:1" }, { address: "a:99999" }, { tls: {} }]) {
    assert.throws(() => connect(options), TypeError);
  }
  for (const address of ["[::1]:9090", "kootask.example:443"]) {
    connect({ address }).close();
  }
});
