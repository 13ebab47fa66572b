package io.github.kootask;

import io.grpc.Metadata;
import io.grpc.MethodDescriptor;

import koodrive.task.v1.TaskServiceGrpc;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;
import koodrive.task.v1.WatchTasksRequest;
import koodrive.task.v1.WatchTasksResponse;

import java.util.List;

/** The call that a watch opens its streams with. */
sealed interface Source<Q, R> {
    /** The contract's limit on the tasks of a stream. */
    int PER_STREAM = 100;

    MethodDescriptor<Q, R> method();

    Q request(List<String> ids);

    /** Reads a message of a stream that began with the headers. */
    Message read(R message, Metadata headers);

    /** Reports whether an error follows a failed task. */
    boolean failedTaskAsError();

    /** Watches one task. It calls WatchTask, which servers without WatchTasks have too. */
    record One(WatchTaskRequest request) implements Source<WatchTaskRequest, WatchTaskResponse> {
        @Override
        public MethodDescriptor<WatchTaskRequest, WatchTaskResponse> method() {
            return TaskServiceGrpc.getWatchTaskMethod();
        }

        @Override
        public WatchTaskRequest request(List<String> ids) {
            return request;
        }

        @Override
        public Message read(WatchTaskResponse m, Metadata headers) {
            return new Message(
                    request.getTaskId(),
                    m.hasTask() ? m.getTask() : null,
                    m.hasHeartbeat() ? m.getHeartbeat() : null,
                    null);
        }

        @Override
        public boolean failedTaskAsError() {
            return request.getFailedTaskAsError();
        }
    }

    /** Watches up to {@link #PER_STREAM} tasks on a stream. */
    record Several() implements Source<WatchTasksRequest, WatchTasksResponse> {
        @Override
        public MethodDescriptor<WatchTasksRequest, WatchTasksResponse> method() {
            return TaskServiceGrpc.getWatchTasksMethod();
        }

        @Override
        public WatchTasksRequest request(List<String> ids) {
            return WatchTasksRequest.newBuilder().addAllTaskIds(ids).build();
        }

        @Override
        public Message read(WatchTasksResponse m, Metadata headers) {
            return new Message(
                    m.hasDropped() ? m.getDropped().getTaskId() : m.getTask().getTaskId(),
                    m.hasTask() ? m.getTask() : null,
                    m.hasHeartbeat() ? m.getHeartbeat() : null,
                    m.hasDropped() ? TaskException.dropped(m.getDropped(), headers) : null);
        }

        @Override
        public boolean failedTaskAsError() {
            return false;
        }
    }
}
