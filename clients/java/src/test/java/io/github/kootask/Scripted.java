package io.github.kootask;

import io.grpc.ManagedChannel;
import io.grpc.Server;
import io.grpc.ServerCallHandler;
import io.grpc.ServerServiceDefinition;
import io.grpc.inprocess.InProcessChannelBuilder;
import io.grpc.inprocess.InProcessServerBuilder;
import io.grpc.stub.ServerCallStreamObserver;
import io.grpc.stub.ServerCalls;

import koodrive.task.v1.Task;
import koodrive.task.v1.TaskServiceGrpc;
import koodrive.task.v1.TaskStatus;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;

import java.io.IOException;
import java.time.Duration;
import java.util.UUID;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.function.Consumer;

/** A kootask whose streams all follow the same script, and a client of it. */
final class Scripted implements AutoCloseable {
    /** Counted down when a client has cancelled a stream. */
    final CountDownLatch cancelled = new CountDownLatch(1);

    final Client client;
    private final Server server;

    Scripted(
            Consumer<ServerCallStreamObserver<WatchTaskResponse>> stream,
            Callable<String> token,
            Duration silence)
            throws IOException {
        String name = UUID.randomUUID().toString();
        ServerCallHandler<WatchTaskRequest, WatchTaskResponse> watch =
                ServerCalls.asyncServerStreamingCall(
                        (request, answer) -> {
                            var observer = (ServerCallStreamObserver<WatchTaskResponse>) answer;
                            observer.setOnCancelHandler(cancelled::countDown);
                            stream.accept(observer);
                        });
        server =
                InProcessServerBuilder.forName(name)
                        .addService(
                                ServerServiceDefinition.builder("koodrive.task.v1.TaskService")
                                        .addMethod(TaskServiceGrpc.getWatchTaskMethod(), watch)
                                        .build())
                        .build()
                        .start();
        ManagedChannel channel = InProcessChannelBuilder.forName(name).build();
        client = new Client(channel, Options.none(), new CallerToken(token), silence);
    }

    static WatchTaskResponse task(TaskStatus status) {
        boolean done = status == TaskStatus.TASK_STATUS_SUCCESS;
        var task = Task.newBuilder().setTaskId("9").setStatus(status).setDone(done);
        return WatchTaskResponse.newBuilder().setTask(task).build();
    }

    @Override
    public void close() {
        client.close();
        server.shutdownNow();
    }
}
