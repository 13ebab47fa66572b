import { createRegistry, equals } from "@bufbuild/protobuf";
import { type Task, TaskSchema, TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";
import type { Received } from "./source.js";

// Fields that are newer than this client are compared too.
const comparison = { unknown: true, registry: createRegistry() };

/** A task that is watched, over all its streams. */
export class Watched {
  readonly id: string;
  /** The last state that was yielded. Undefined: none. */
  last: Task | undefined;
  /** Times that it was dropped since its last message with a task. */
  drops = 0;

  constructor(id: string) {
    this.id = id;
  }

  /** Notes an event of the task, and reports whether it is news. An event that is newer than this client is not. */
  take(event: Received["event"]): boolean {
    if (event.case === "dropped") {
      this.drops++;
      return true;
    }
    if (event.case !== "task") {
      return false;
    }
    this.drops = 0;
    if (!isNews(event.value, this.last)) {
      return false;
    }
    this.last = event.value;
    return true;
  }
}

/**
 * Reports whether a task is newer than the one yielded last. A new stream begins with the task as it is, and may come from a
 * server that has seen less than the one before. A newer observe_time alone is not a change.
 */
function isNews(task: Task, last: Task | undefined): boolean {
  if (last === undefined) {
    return true;
  }
  if (last.done || rank(task) < rank(last)) {
    return false;
  }
  const { observeTime, ...known } = last;
  const now = task.observeTime && { observeTime: task.observeTime };
  return !equals(TaskSchema, { ...known, ...now }, task, comparison);
}

function rank(task: Task): number {
  if (task.done) {
    return 2;
  }
  return task.status === TaskStatus.NEW ? 0 : 1;
}
