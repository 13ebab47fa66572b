import assert from "node:assert/strict";
import { test } from "node:test";
import { Code } from "@connectrpc/connect";
import { KootaskError } from "./error.js";
import {
  again,
  beat,
  broken,
  EXECUTING,
  FAILED,
  failure,
  inVirtualTime,
  NEW,
  newer,
  Scripted,
  SUCCESS,
  task,
  useVirtualTime,
} from "./fixture.js";
import { TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";
import { Watched } from "./progress.js";
import { Scope } from "./scope.js";
import { Watcher } from "./watch.js";

useVirtualTime();

/** The behaviour of a stream: it sends tasks in these states, a heartbeat for each null, and then it ends, fails or hangs. */
interface Step {
  says?: (TaskStatus | null | "newer")[];
  end?: KootaskError | "hang";
}

const expired = failure(Code.Unauthenticated, "CALLER_UNAUTHENTICATED");

const message = (said: TaskStatus | null | "newer") => (said === "newer" ? newer : said === null ? beat() : task("9", said));

interface Setting {
  tokens?: string[];
  met?: boolean;
  failedTaskAsError?: boolean;
  timeoutMs?: number;
  /** Time that the caller takes for each event, in ms. */
  takes?: number;
}

/** Watches a kootask that answers each attempt with the next step, in virtual time. */
async function watch(steps: Step[], setting: Setting = {}) {
  const source = new Scripted(
    ...steps.map(({ says = [], end }) => () => [...says.map(message), ...(end ? [end] : [])]),
  );
  source.met = setting.met ?? false;
  source.provided = setting.tokens ?? source.provided;
  const saw: (string | number)[] = [];
  const follow = async (scope: Scope): Promise<KootaskError | undefined> => {
    try {
      for await (const event of new Watcher(source, scope, [new Watched("9")], setting.failedTaskAsError).events()) {
        saw.push(event.type === "task" ? TaskStatus[event.task.status] : event.type === "resume" ? event.afterMs : "beat");
        await new Promise((resolve) => setTimeout(resolve, setting.takes ?? 0));
      }
      return undefined;
    } catch (error) {
      assert(error instanceof KootaskError);
      return error;
    }
  };
  const error = await inVirtualTime(follow, new Scope(setting.timeoutMs));
  return { saw, error, attempts: source.attempts, tokens: source.tokens };
}

const about = (ms: number, actual: unknown) =>
  assert(typeof actual === "number" && actual >= ms * 0.8 && actual <= ms * 1.2, `${actual} is not about ${ms}`);

test("it resumes as it is asked to", async () => {
  const steps = [
    { says: [NEW], end: again(3000) },
    { says: [null], end: again(0) },
    { end: again(1500) },
    { says: [SUCCESS] },
  ];
  const { saw, error } = await watch(steps);
  assert.deepEqual(saw, ["NEW", 3000, "beat", 0, 1500, "SUCCESS"]);
  assert.equal(error, undefined);
});

test("a delay of nothing does not run hot", async () => {
  const { saw } = await watch([{ end: again(0) }], { timeoutMs: 10_000 });
  assert.equal(saw[0], 0);
  about(2560, saw[1]);
});

test("it repeats nothing and steps back nowhere", async () => {
  const end = again(1);
  const { saw } = await watch([
    { says: [EXECUTING], end },
    { says: [EXECUTING, NEW], end },
    { says: ["newer"], end },
    { says: [NEW, SUCCESS] },
  ]);
  assert.deepEqual(
    saw.filter((it) => it !== 1),
    ["EXECUTING", "SUCCESS"],
  );
});

test("it backs off until the deadline", async () => {
  const { saw, error, attempts } = await watch([{ says: [NEW], end: broken }, { end: broken }], { timeoutMs: 90_000 });
  for (const [i, ms] of [1000, 1600, 2560, 4096, 6553.6, 10485.76, 15000, 15000].entries()) {
    about(ms, saw[i + 1]);
  }
  assert.equal(error?.code, Code.DeadlineExceeded);
  assert(Date.now() - (attempts[0] ?? 0) <= 90_020);
});

test("it resumes after a broken stream, and after one without an end", async () => {
  const codes = [Code.Unavailable, Code.Internal, Code.Unknown, Code.Canceled];
  const steps: Step[] = codes.map((code) => ({ says: [NEW], end: failure(code) }));
  const { saw, error } = await watch([...steps, { says: [EXECUTING] }, { says: [SUCCESS] }]);
  assert.deepEqual(
    saw.filter((it) => typeof it === "string"),
    ["NEW", "EXECUTING", "SUCCESS"],
  );
  assert.equal(error, undefined);
});

test("it ends on a lasting error", async () => {
  for (const end of [
    failure(Code.Unauthenticated, "CREDENTIAL_REJECTED"),
    failure(Code.Internal, "SERVER_ERROR"),
    failure(Code.Unavailable, "NEWER_THAN_THIS"),
    failure(Code.Unimplemented),
  ]) {
    const { error, attempts } = await watch([{ says: [NEW], end }]);
    assert.equal(error, end);
    assert.equal(attempts.length, 1);
  }
});

test("it ends if kootask has never answered", async () => {
  assert.equal((await watch([{ end: broken }])).error, broken);
  assert.equal((await watch([{ end: broken }, { says: [SUCCESS] }], { met: true })).error, undefined);
});

test("silence is a break, and a slow caller is not", async () => {
  const { saw, attempts } = await watch([{ says: [NEW], end: "hang" }, { says: [SUCCESS] }]);
  assert.equal(saw.length, 3);
  about(21_000, (attempts[1] ?? 0) - (attempts[0] ?? 0));
  assert.equal((await watch([{ says: [NEW, EXECUTING, SUCCESS] }], { takes: 70_000 })).attempts.length, 1);
});

test("it resumes with a renewed token only", async () => {
  const steps = [{ says: [NEW], end: expired }, { says: [SUCCESS] }];
  assert.deepEqual((await watch(steps, { tokens: ["a", "b", "c"] })).tokens, ["a", "c"]);
  assert.equal((await watch(steps, { tokens: ["a"] })).error, expired);
  const { error, attempts } = await watch([{ end: expired }, { says: [SUCCESS] }], { tokens: ["a", "b"] });
  assert.equal(error, expired);
  assert.equal(attempts.length, 1);
});

test("a failed task is a value, or an error that follows it", async () => {
  assert.equal((await watch([{ says: [FAILED], end: broken }])).error, undefined);
  const { saw, error } = await watch([{ says: [FAILED], end: broken }], { failedTaskAsError: true });
  assert.deepEqual(saw, ["FAILED"]);
  assert.equal(error?.message, "The task has failed. (TASK_FAILED)");
  assert.deepEqual(error?.metadata, { taskId: "9", resultCode: "1" });
});

test("nothing follows the final state", async () => {
  const end = failure(Code.Aborted, "TASK_FAILED");
  const steps = [
    { says: [FAILED], end: again(0) },
    { says: [SUCCESS, EXECUTING, FAILED], end },
  ];
  const { saw, error } = await watch(steps, { failedTaskAsError: true });
  assert.deepEqual([saw, error], [["FAILED", 0], end]);
});
