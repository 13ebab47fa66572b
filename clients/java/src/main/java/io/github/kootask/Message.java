package io.github.kootask;

import koodrive.task.v1.Heartbeat;
import koodrive.task.v1.Task;

/**
 * A message of a stream. At most one of the last three is set, and none if the message is newer
 * than the contract.
 *
 * @param id the id of the task that the message is about, if it is about one
 */
record Message(String id, Task task, Heartbeat heartbeat, TaskException dropped) {}
