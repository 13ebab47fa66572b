import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";
import type { WatchEvent } from "./event.js";
import {
  again,
  beat,
  broken,
  drop,
  EXECUTING,
  FAILED,
  failure,
  inVirtualTime,
  NEW,
  newer,
  Scripted,
  type Step,
  SUCCESS,
  task,
  useVirtualTime,
} from "./fixture.js";
import { ErrorReason } from "./gen/koodrive/task/v1/error_reason_pb.js";
import { TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";
import { List } from "./list.js";
import { Scope } from "./scope.js";

useVirtualTime();

const numbered = (n: number) => Array.from({ length: n }, (_, i) => String(1000 + i));
const finish: Step = (ids) => ids.map((id) => task(id, SUCCESS));
const sizes = (source: Scripted) => source.lists.map((ids) => ids.length);

function told(event: WatchEvent): string {
  switch (event.type) {
    case "task":
      return `${event.task.taskId} ${TaskStatus[event.task.status]}`;
    case "heartbeat":
      return `heartbeat of ${event.taskIds}, failing ${event.heartbeat.failingTaskIds}`;
    case "resume":
      return `resume of ${event.taskIds}`;
    case "dropped":
      return `${event.error.taskId} dropped, retry ${event.error.retryAfterMs !== undefined}`;
  }
}

interface Setting {
  timeoutMs?: number;
  /** Leaves the loop after such an event. */
  leave?: (event: WatchEvent) => boolean;
  /** Time that the caller takes for the first events, in ms. */
  takes?: number[];
}

/** Watches the tasks in virtual time. */
async function watchAll(source: Scripted, ids: readonly string[], setting: Setting = {}) {
  const events: WatchEvent[] = [];
  let atEnd = { time: 0, streams: 0 };
  const follow = async (scope: Scope): Promise<KootaskError | undefined> => {
    try {
      for await (const event of new List(source, scope, ids).events()) {
        events.push(event);
        if (setting.leave?.(event)) {
          break;
        }
        const takes = setting.takes?.shift();
        if (takes !== undefined) {
          await new Promise((resolve) => setTimeout(resolve, takes));
        }
      }
      return undefined;
    } catch (error) {
      assert(error instanceof KootaskError);
      return error;
    } finally {
      atEnd = { time: source.elapsed, streams: source.streams };
    }
  };
  const error = await inVirtualTime(follow, new Scope(setting.timeoutMs));
  return { events, saw: events.map(told), error, ...atEnd };
}

// What one stream sends, and what the caller sees of it. Only the client knows that the list is over.
for (const [name, { sends, sees }] of Object.entries({
  "to its end": {
    sends: [task("a", NEW), task("b", EXECUTING), task("a", SUCCESS), task("b", FAILED)],
    sees: ["a NEW", "b EXECUTING", "a SUCCESS", "b FAILED"],
  },
  "repeated, back and after the end": {
    sends: [
      ...[EXECUTING, EXECUTING].map((status) => task("a", status)),
      task("b", NEW),
      ...[NEW, SUCCESS, SUCCESS, FAILED, EXECUTING].map((status) => task("a", status)),
      drop("a"),
      task("b", SUCCESS),
    ],
    sees: ["a EXECUTING", "b NEW", "a SUCCESS", "b SUCCESS"],
  },
  "dropped, and the other": {
    sends: [drop("a"), drop("a"), task("a", EXECUTING), task("b", EXECUTING), task("b", SUCCESS)],
    sees: ["a dropped, retry false", "b EXECUTING", "b SUCCESS"],
  },
  "all dropped": {
    sends: [task("b", EXECUTING), drop("b"), drop("a")],
    sees: ["b EXECUTING", "b dropped, retry false", "a dropped, retry false"],
  },
  heartbeats: {
    sends: [beat(), task("a", SUCCESS), beat("b"), task("b", SUCCESS)],
    sees: ["heartbeat of a,b, failing ", "a SUCCESS", "heartbeat of b, failing b", "b SUCCESS"],
  },
  "newer events": { sends: [newer, task("a", SUCCESS), newer, task("b", SUCCESS)], sees: ["a SUCCESS", "b SUCCESS"] },
  "a task that was not asked for": {
    sends: [task("c", SUCCESS), drop("d", 0), task("a", SUCCESS), task("b", SUCCESS)],
    sees: ["a SUCCESS", "b SUCCESS"],
  },
})) {
  test(`a list: ${name}`, async () => {
    const source = new Scripted(() => [...sends, "hang"]);
    const { saw, error } = await watchAll(source, ["a", "b", "a"], { timeoutMs: 5_000 });
    assert.deepEqual([saw, error], [sees, undefined]);
    assert.deepEqual(source.lists, [["a", "b"]]);
  });
}

test("a long list has many streams", async () => {
  const warn = mock.method(process, "emitWarning");
  const ids = numbered(1_250);
  const source = new Scripted(finish);
  const { saw, error } = await watchAll(source, [...ids, ...ids]);
  assert.equal(error, undefined);
  assert.deepEqual(
    saw.toSorted(),
    ids.map((id) => `${id} SUCCESS`),
  );
  assert.deepEqual(sizes(source), [...new Array(12).fill(100), 50]);
  assert.equal(warn.mock.callCount(), 0); // Node warns of many listeners.
});

test("a dropped task has its error", async () => {
  const source = new Scripted(() => [drop("a"), drop("b", 7_000)], finish);
  const { events } = await watchAll(source, ["a", "b"]);
  const [first, second] = events.flatMap((event) => (event.type === "dropped" ? [event.error] : []));
  assert(first && second);
  assert.equal(first.message, "task a: No such task. (TASK_NOT_FOUND)");
  const { code, reason, taskId, requestId, metadata, localizedMessage, retryAfterMs } = first;
  assert.deepEqual([code, reason, taskId, requestId], [Code.NotFound, ErrorReason.TASK_NOT_FOUND, "a", "mine"]);
  assert.deepEqual([{ ...metadata }, localizedMessage, retryAfterMs], [{ upstreamCode: "13000309" }, "不行", undefined]);
  assert.deepEqual([second.reason, second.retryAfterMs], [ErrorReason.UPSTREAM_STALE, 7_000]);
});

// Whatever the new server knows, each task is handed out once and none goes back.
test("a list resumes with the tasks that have not ended", async () => {
  const source = new Scripted(
    () => [task("a", NEW), task("b", EXECUTING), task("c", SUCCESS), drop("d"), again(3_000)],
    () => [task("b", NEW), task("a", NEW), task("c", EXECUTING), drop("d")], // It ends without an end.
    () => [task("b", EXECUTING), task("a", EXECUTING), task("a", SUCCESS), again(3_000)],
    () => [task("b", EXECUTING), task("b", SUCCESS)],
  );
  const { saw, error } = await watchAll(source, ["a", "b", "c", "d"]);
  const first = ["a NEW", "b EXECUTING", "c SUCCESS", "d dropped, retry false", "resume of a,b", "resume of a,b"];
  assert.deepEqual(saw, [...first, "a EXECUTING", "a SUCCESS", "resume of b", "b SUCCESS"]);
  assert.equal(error, undefined);
  assert.deepEqual(source.lists, [["a", "b", "c", "d"], ["a", "b"], ["a", "b"], ["b"]]);
  assert.equal(source.attempts[1], 3_000);
});

test("streams resume by themselves when the connection breaks", async () => {
  const half: Step = (ids) => [...ids.map((id, i) => task(id, i % 2 === 0 ? SUCCESS : EXECUTING)), broken];
  const source = new Scripted(half, half, () => [broken], finish);
  const { saw, error } = await watchAll(source, numbered(150));
  assert.equal(error, undefined);
  const others = numbered(150).filter((_, i) => i % 2 === 1);
  const expected = [...numbered(150).map((id) => `${id} SUCCESS`), ...others.map((id) => `${id} EXECUTING`)];
  assert.deepEqual(saw.filter((it) => !it.startsWith("resume")).toSorted(), expected.toSorted());
  assert.deepEqual(sizes(source).slice(2).toSorted(), source.lists[2]?.length === 50 ? [25, 50, 50] : [25, 25, 50]);
  assert.deepEqual([...new Set(source.lists.slice(2).flat())].toSorted(), others);
});

test("a dropped task is watched again, and the others keep their stream", async () => {
  const slow: Step = () => [
    task("a", NEW),
    task("b", EXECUTING),
    drop("b", 5_000),
    ...[0, 1].flatMap(() => [15_000, beat()]),
    task("a", SUCCESS),
  ];
  const source = new Scripted(slow, () => [task("b", NEW), task("b", EXECUTING), task("b", SUCCESS)]);
  const { saw, error } = await watchAll(source, ["a", "b"]);
  const beats = ["heartbeat of a, failing ", "heartbeat of a, failing "];
  assert.deepEqual(saw, ["a NEW", "b EXECUTING", "b dropped, retry true", "b SUCCESS", ...beats, "a SUCCESS"]);
  assert.equal(error, undefined);
  assert.deepEqual(
    [source.lists, source.attempts],
    [
      [["a", "b"], ["b"]],
      [0, 5_000],
    ],
  );
});

test("the last task is watched again", async () => {
  const stale = failure(Code.Unavailable, "UPSTREAM_STALE", { retryAfterMs: 9_000 });
  const source = new Scripted(
    () => [task("a", SUCCESS), drop("b", 9_000), stale],
    () => [drop("b")],
  );
  const { saw, error } = await watchAll(source, ["a", "b"]);
  assert.deepEqual(saw, ["a SUCCESS", "b dropped, retry true", "b dropped, retry false"]);
  assert.equal(error, undefined);
  assert.deepEqual(source.attempts, [0, 9_000]);
});

test("dropped tasks share streams, and wait at most 30 s for that", async () => {
  const outage: Step = (ids) => ids.map((id) => drop(id, (5 + (Number(id) % 30)) * 1000));
  const many = new Scripted(outage, outage, outage, finish);
  assert.equal((await watchAll(many, numbered(250))).saw.length, 500);
  assert.deepEqual(sizes(many), [100, 100, 50, 100, 100, 50]);
  assert.deepEqual(many.attempts.slice(3), [34_000, 34_000, 34_000]);

  const slow: Step = (ids) => [15_000, ...finish(ids)];
  const few = new Scripted(() => [drop("a", 5_000), drop("b", 20_000), drop("c", 36_000)], slow);
  await watchAll(few, ["a", "b", "c"]);
  assert.deepEqual(
    [few.lists, few.attempts],
    [
      [["a", "b", "c"], ["a", "b"], ["c"]],
      [0, 35_000, 36_000],
    ],
  );
});

test("a second drop backs off, unless the task was seen in between", async () => {
  const hot = new Scripted(() => [drop("a", 0)]);
  await watchAll(hot, ["a"], { timeoutMs: 60_000 });
  const [, first = Number.NaN, second = Number.NaN] = hot.attempts;
  assert(first < 100, `${hot.attempts}`);
  assert(second - first >= 2_560 * 0.8 && second - first <= 2_560 * 1.2 + 20, `${hot.attempts}`);
  assert(hot.attempts.length <= 12, `${hot.attempts}`);

  const seen: Step = () => [task("a", EXECUTING), drop("a", 0)];
  const { saw, time } = await watchAll(new Scripted(seen, seen, seen, finish), ["a"]);
  assert.deepEqual(saw, ["a EXECUTING", ...new Array(3).fill("a dropped, retry true"), "a SUCCESS"]);
  assert(time < 100, `${time}`);
});

test("the first final error of any stream ends the list", async () => {
  for (const lasting of [
    failure(Code.InvalidArgument, "REQUEST_INVALID"),
    failure(Code.Unauthenticated, "CREDENTIAL_REJECTED"),
    failure(Code.Unimplemented),
  ]) {
    const hang: Step = () => ["hang"];
    for (const [ids, steps, events] of [
      [[], [() => [lasting]], 0],
      [["1000"], [() => [task("1000", EXECUTING), lasting]], 1],
      [numbered(250), [hang, hang, () => [lasting]], 0],
    ] as const) {
      const source = new Scripted(...steps);
      const { saw, error, streams } = await watchAll(source, ids, { timeoutMs: 5_000 });
      assert.deepEqual([error, saw.length, streams, source.attempts.length], [lasting, events, 0, steps.length]);
    }
  }
});

test("leaving the loop ends all streams", async () => {
  for (const type of ["task", "resume", "dropped"]) {
    const source = new Scripted(
      ([id = ""]) => [task(id, EXECUTING), "hang"],
      () => ["hang"],
      ([id = ""]) => [drop(id, 1_000), again(1_000)],
    );
    const leave = (event: WatchEvent) => event.type === type;
    const { events, error, streams, time } = await watchAll(source, numbered(250), { leave });
    assert.deepEqual([events.at(-1)?.type, error, streams], [type, undefined, 0]);
    assert(time < 1_000, `${time}`); // And not only after silence.
    const attempts = source.attempts.length;
    await inVirtualTime(() => new Promise((resolve) => setTimeout(resolve, 60_000)));
    assert.equal(source.attempts.length, attempts);
  }
});

test("a list ends at its deadline, whatever it waits for", async () => {
  for (const step of [
    (ids) => [...ids.map((id) => task(id, EXECUTING)), "hang"],
    () => [again(3_600_000)],
    (ids) => ids.map((id) => drop(id, 3_600_000)),
  ] as Step[]) {
    const source = new Scripted(step);
    const { error, time, streams } = await watchAll(source, numbered(150), { timeoutMs: 5_000 });
    assert.deepEqual([error?.code, time, streams], [Code.DeadlineExceeded, 5_000, 0]);
  }
});

test("a slow caller breaks no stream", async () => {
  const source = new Scripted(finish);
  const { saw, error } = await watchAll(source, numbered(150), { takes: [70_000, 70_000, 70_000] });
  assert.deepEqual([saw.length, error, sizes(source)], [150, undefined, [100, 50]]);
});

// The stream of a always has a next event when the caller has taken the last one.
test("a busy caller does not keep a dropped task waiting", async () => {
  const beats = new Array(20).fill(beat());
  const source = new Scripted(() => [drop("b", 5_000), ...beats, task("a", SUCCESS)], finish);
  const { error } = await watchAll(source, ["a", "b"], { takes: new Array(22).fill(1_000) });
  const [, second = Number.NaN] = source.attempts;
  assert(second >= 5_000 && second < 7_000, `${source.attempts}`);
  assert.deepEqual([source.lists, error], [[["a", "b"], ["b"]], undefined]);
});

test("an address where kootask has never answered ends the list", async () => {
  const { saw, error } = await watchAll(new Scripted(() => [broken]), numbered(250));
  assert.deepEqual([saw, error], [[], broken]);
});
