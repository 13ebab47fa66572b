package io.github.kootask;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Metadata;
import io.grpc.Status;

import koodrive.task.v1.TaskServiceGrpc;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;

import java.time.Duration;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** One stream of a watch. It requests the next message from gRPC when one has been taken. */
final class Stream extends ClientCall.Listener<WatchTaskResponse> {
    private static final Status SILENT =
            Status.UNAVAILABLE.withDescription("kootask has been silent for too long");
    private static final Status NO_END =
            Status.UNAVAILABLE.withDescription("the stream ended before the task was finished");

    private final ClientCall<WatchTaskRequest, WatchTaskResponse> call;
    private final Duration silence;
    private final BlockingQueue<Object> arrived =
            new LinkedBlockingQueue<>(); // At most a message and the End.

    private record End(Status status, Metadata trailers) {}

    /** Opens a stream, which ends with the Context of the thread. */
    Stream(
            Channel channel,
            CallOptions options,
            Metadata headers,
            WatchTaskRequest request,
            Duration silence) {
        this.silence = silence;
        call =
                channel.newCall(
                        TaskServiceGrpc.getWatchTaskMethod(),
                        options.withExecutor(Runnable::run)); // No callback below blocks.
        call.start(this, headers);
        call.request(1);
        call.sendMessage(request);
        call.halfClose();
    }

    @Override
    public void onMessage(WatchTaskResponse message) {
        arrived.add(message);
    }

    @Override
    public void onClose(Status status, Metadata trailers) {
        arrived.add(new End(status, trailers));
    }

    /**
     * Waits for a message, at most for the silence from now on, because the consumer may take any
     * time between messages. The end of the stream and too long a silence are exceptions.
     */
    WatchTaskResponse read() throws InterruptedException {
        Object next = arrived.poll(silence.toNanos(), TimeUnit.NANOSECONDS);
        if (next == null) {
            call.cancel(SILENT.getDescription(), null);
            throw TaskException.of(SILENT, null);
        }
        if (next instanceof End end) {
            throw end.status.isOk()
                    ? TaskException.of(NO_END, null)
                    : TaskException.of(end.status, end.trailers);
        }
        call.request(1);
        return (WatchTaskResponse) next;
    }
}
