package io.github.kootask;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;

import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.StreamObserver;

import koodrive.task.v1.DroppedTask;
import koodrive.task.v1.Heartbeat;
import koodrive.task.v1.Task;
import koodrive.task.v1.TaskServiceGrpc;
import koodrive.task.v1.TaskStatus;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;
import koodrive.task.v1.WatchTasksRequest;
import koodrive.task.v1.WatchTasksResponse;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * A kootask that answers each stream with the next step of a script, and repeats the last one. It
 * has watches only.
 */
final class Scripted implements AutoCloseable {
    /** Answers a stream of the ids. */
    interface Step {
        void answer(List<String> ids, Answer answer);
    }

    /** The answers of one stream. */
    final class Answer {
        private final Consumer<WatchTasksResponse> next;
        private final ServerCallStreamObserver<?> stream;

        private Answer(ServerCallStreamObserver<?> stream, Consumer<WatchTasksResponse> next) {
            this.stream = stream;
            this.next = next;
            streams.add(this);
            stream.setOnCancelHandler(
                    () -> {
                        streams.remove(this);
                        cancelled.countDown();
                    });
        }

        void send(WatchTasksResponse event) {
            next.accept(event);
        }

        /** Ends the stream. Null: with OK. */
        void end(StatusRuntimeException error) {
            streams.remove(this);
            if (error == null) {
                stream.onCompleted();
            } else {
                stream.onError(error);
            }
        }
    }

    /** Counted down when a client has cancelled a stream. */
    final CountDownLatch cancelled = new CountDownLatch(1);

    final Client client;
    final List<List<String>> lists = new ArrayList<>(); // The ids of each stream.
    final List<Double> attempts = new ArrayList<>(); // The time of each, in virtual seconds.
    final List<Answer> streams = new ArrayList<>(); // Those that have not ended.

    private final Clock clock;
    private final List<Step> steps;
    private final Server server;

    Scripted(Clock clock, Callable<String> token, Step... steps) throws IOException {
        this(clock, token, new Probe("in this process", false), steps);
    }

    Scripted(Clock clock, Callable<String> token, Probe probe, Step... steps) throws IOException {
        this.clock = clock;
        this.steps = List.of(steps);
        String name = UUID.randomUUID().toString();
        server =
                InProcessServerBuilder.forName(name)
                        .directExecutor()
                        .addService(new Service())
                        .intercept(new RequestId())
                        .build()
                        .start();
        ManagedChannel channel = InProcessChannelBuilder.forName(name).directExecutor().build();
        client = new Client(channel, Options.none(), new CallerToken(token), probe, clock);
    }

    private final class Service extends TaskServiceGrpc.TaskServiceImplBase {
        @Override
        public void watchTask(
                WatchTaskRequest request, StreamObserver<WatchTaskResponse> observer) {
            play(
                    List.of(request.getTaskId()),
                    new Answer(
                            (ServerCallStreamObserver<WatchTaskResponse>) observer,
                            m -> observer.onNext(ofOne(m))));
        }

        @Override
        public void watchTasks(
                WatchTasksRequest request, StreamObserver<WatchTasksResponse> observer) {
            play(
                    request.getTaskIdsList(),
                    new Answer(
                            (ServerCallStreamObserver<WatchTasksResponse>) observer,
                            observer::onNext));
        }

        private void play(List<String> ids, Answer answer) {
            int n = lists.size();
            lists.add(ids);
            attempts.add(clock instanceof VirtualClock v ? v.seconds() : 0.0);
            steps.get(Math.min(n, steps.size() - 1)).answer(ids, answer);
        }
    }

    private static WatchTaskResponse ofOne(WatchTasksResponse m) {
        var event = WatchTaskResponse.newBuilder();
        if (m.hasTask()) {
            event.setTask(m.getTask());
        } else if (m.hasHeartbeat()) {
            event.setHeartbeat(m.getHeartbeat());
        }
        return event.build();
    }

    private static final class RequestId implements ServerInterceptor {
        @Override
        public <Q, R> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, R> call, Metadata headers, ServerCallHandler<Q, R> next) {
            return next.startCall(
                    new SimpleForwardingServerCall<>(call) {
                        @Override
                        public void sendHeaders(Metadata answer) {
                            answer.put(
                                    Metadata.Key.of(
                                            "x-request-id", Metadata.ASCII_STRING_MARSHALLER),
                                    "mine");
                            super.sendHeaders(answer);
                        }
                    },
                    headers);
        }
    }

    /** Sends events, and ends with an error. Null: with OK. */
    static Step tell(StatusRuntimeException end, WatchTasksResponse... events) {
        return (ids, answer) -> {
            Arrays.asList(events).forEach(answer::send);
            answer.end(end);
        };
    }

    /** Sends events, and then nothing until the client leaves. */
    static Step hang(WatchTasksResponse... events) {
        return (ids, answer) -> Arrays.asList(events).forEach(answer::send);
    }

    /** Sends an event for each task, and ends. */
    static Step each(Function<String, WatchTasksResponse> event) {
        return (ids, answer) -> {
            ids.stream().map(event).forEach(answer::send);
            answer.end(null);
        };
    }

    static WatchTasksResponse task(String id, String status) {
        boolean done = status.equals("SUCCESS") || status.equals("FAILED");
        var task = Task.newBuilder().setTaskId(id).setDone(done);
        task.setStatus(TaskStatus.valueOf("TASK_STATUS_" + status));
        task.getObserveTimeBuilder().setNanos((int) (System.nanoTime() % 1_000_000_000));
        return WatchTasksResponse.newBuilder().setTask(task).build();
    }

    static WatchTasksResponse heartbeat(String... failing) {
        var heartbeat = Heartbeat.newBuilder().addAllFailingTaskIds(Arrays.asList(failing));
        return WatchTasksResponse.newBuilder().setHeartbeat(heartbeat).build();
    }

    /** The end of one task, for which a retry does not help. */
    static WatchTasksResponse drop(String id) {
        var dropped = DroppedTask.newBuilder().setTaskId(id).setCode(5);
        dropped.setReason("TASK_NOT_FOUND").setMessage("No such task.").setLocalizedMessage("不行");
        dropped.putMetadata("upstreamCode", "13000309");
        return WatchTasksResponse.newBuilder().setDropped(dropped).build();
    }

    /** The end of one task, for which a retry may help. */
    static WatchTasksResponse drop(String id, long seconds) {
        var dropped = DroppedTask.newBuilder().setTaskId(id).setCode(14);
        dropped.setReason("UPSTREAM_STALE").setMessage("Stale.");
        dropped.getRetryDelayBuilder().setSeconds(seconds);
        return WatchTasksResponse.newBuilder().setDropped(dropped).build();
    }

    /** One of kootask's errors. A negative delay means that a retry does not help. */
    static StatusRuntimeException error(Status.Code code, String reason, long retrySeconds) {
        var status = com.google.rpc.Status.newBuilder().setCode(code.value()).setMessage("No.");
        status.addDetails(
                Any.pack(
                        ErrorInfo.newBuilder()
                                .setDomain("koodrive.task.v1")
                                .setReason(reason)
                                .build()));
        status.addDetails(Any.pack(RequestInfo.newBuilder().setRequestId("mine").build()));
        if (retrySeconds >= 0) {
            var retry = RetryInfo.newBuilder();
            retry.getRetryDelayBuilder().setSeconds(retrySeconds);
            status.addDetails(Any.pack(retry.build()));
        }
        return StatusProto.toStatusRuntimeException(status.build());
    }

    /** Returns n ids. */
    static List<String> numbered(int n) {
        var ids = new ArrayList<String>();
        for (int i = 0; i < n; i++) {
            ids.add(String.valueOf(1000 + i));
        }
        return ids;
    }

    /** Returns the numbers of ids of the streams, the largest first. */
    List<Integer> sizes() {
        return lists.stream().map(List::size).sorted(Comparator.reverseOrder()).toList();
    }

    /** Returns an event as text. */
    static String text(Event event) {
        if (event instanceof Event.Task t) {
            String status = t.task().getStatus().name().replace("TASK_STATUS_", "");
            return t.task().getTaskId() + " " + status;
        } else if (event instanceof Event.Dropped d) {
            String retry = d.cause().retryAfter().isPresent() ? ", retry" : "";
            return d.cause().taskId() + " dropped" + retry;
        } else if (event instanceof Event.Resume r) {
            return "resume of " + r.taskIds();
        }
        var h = (Event.Heartbeat) event;
        var failing = new ArrayList<>(h.heartbeat().getFailingTaskIdsList());
        return "heartbeat of " + h.taskIds() + ", failing " + failing;
    }

    /** Returns the events of a watch to its end, as text. Its error is the last one. */
    static List<String> read(Watch<Event> watch) {
        var all = new ArrayList<String>();
        try (watch) {
            watch.forEach(event -> all.add(text(event)));
        } catch (TaskException e) {
            all.add("error " + e.code() + " " + e.rawReason());
        }
        return all;
    }

    @Override
    public void close() {
        client.close();
        server.shutdownNow();
    }
}
