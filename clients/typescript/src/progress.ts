import { createRegistry, equals } from "@bufbuild/protobuf";
import { type Task, TaskSchema, TaskStatus } from "./gen/koodrive/task/v1/task_pb.js";

// Fields that are newer than this client are compared too.
const comparison = { unknown: true, registry: createRegistry() };

/**
 * Reports whether a task is newer than the one yielded last. A new stream begins with the task as it is, and may come from a
 * server that has seen less than the one before. A newer observe_time alone is not a change.
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
