import { createRegistry, equals } from "@bufbuild/protobuf";
import { type Task, TaskSchema, TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";

// Fields that are newer than this client count.
const comparison = { unknown: true, registry: createRegistry() };

/**
 * Tells whether a task is other than the one that was handed out last, and no step back: a new stream begins with the task as
 * it stands, and may come from a server that has not seen as much as the one before. A newer observe_time alone is no news.
 */
export function isNews(task: Task, last: Task | undefined): boolean {
  if (last === undefined) {
    return true;
  }
  if (rank(task) < rank(last)) {
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
