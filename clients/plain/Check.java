// Uses kootask with gRPC's own library for Java, and with Java's HTTP client: see plain.go.
//
// KOOTASK_GRPC and KOOTASK_HTTP are the addresses. Prints each check, and fails if one does.

import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.MetadataUtils;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import koodrive.task.v1.GetTaskRequest;
import koodrive.task.v1.TaskServiceGrpc;
import koodrive.task.v1.WatchTaskRequest;
import koodrive.task.v1.WatchTaskResponse;

public class Check {
    private static final String GRPC = System.getenv("KOOTASK_GRPC");
    private static final String HTTP = "http://" + System.getenv("KOOTASK_HTTP");
    private static boolean failed;

    private static void check(String what, boolean good, Object seen) {
        failed |= !good;
        System.out.println((good ? "ok   Java: " : "FAIL Java: ") + what + (good ? "" : " " + seen));
    }

    private static TaskServiceGrpc.TaskServiceBlockingStub stub(Map<String, ?> config, String token) {
        Metadata credential = new Metadata();
        credential.put(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER), "Bearer " + token);
        var channel = ManagedChannelBuilder.forTarget(GRPC).usePlaintext().enableRetry().defaultServiceConfig(config).build();
        return TaskServiceGrpc.newBlockingStub(channel)
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(credential))
                .withDeadlineAfter(Duration.ofMinutes(1));
    }

    private static GetTaskRequest get(String id) {
        return GetTaskRequest.newBuilder().setTaskId(id).build();
    }

    // Returns the failure of a call, and its duration.
    private static Map.Entry<Status, Duration> error(Runnable call) {
        long start = System.nanoTime();
        Status status = Status.OK;
        try {
            call.run();
        } catch (StatusRuntimeException e) {
            status = e.getStatus();
        }
        return Map.entry(status, Duration.ofNanos(System.nanoTime() - start));
    }

    private static void compressed() {
        var tasks = stub(Map.of(), "plain").withCompression("gzip");
        var task = tasks.getTask(get("named")).getTask();
        check("GetTask, compressed", task.getTaskName().startsWith("财务部"), task);
        WatchTaskResponse last = null;
        var events = tasks.watchTask(WatchTaskRequest.newBuilder().setTaskId("named").build());
        while (events.hasNext()) {
            last = events.next();
        }
        check("WatchTask, compressed", last != null && last.getTask().getDone(), last);
        var large = error(() -> tasks.getTask(get("a".repeat(1 << 20))));
        check("a compressed request that holds too much", large.getKey().getCode() == Status.Code.RESOURCE_EXHAUSTED, large);
    }

    private static void retried() {
        var policy =
                Map.of("methodConfig", List.of(Map.of(
                        "name", List.of(Map.of("service", "koodrive.task.v1.TaskService")),
                        "retryPolicy", Map.of(
                                "maxAttempts", 3.0, "initialBackoff", "0.01s", "maxBackoff", "0.01s", "backoffMultiplier", 1.0,
                                "retryableStatusCodes", List.of("UNAVAILABLE", "RESOURCE_EXHAUSTED")))));
        var busy = error(() -> stub(policy, "plain").getTask(get("busy")));
        check("a retry policy waits as long as RetryInfo says, twice", busy.getValue().toMillis() >= 2000, busy);
        var limited = error(() -> stub(policy, "limited").getTask(get("limited")));
        boolean left = limited.getKey().getCode() == Status.Code.RESOURCE_EXHAUSTED && limited.getValue().toSeconds() < 10;
        check("a retry policy leaves a long RetryInfo to its caller", left, limited);
    }

    private static void overHTTP() throws Exception {
        for (var version : HttpClient.Version.values()) {
            if (version.name().equals("HTTP_3")) {
                continue;
            }
            var client = HttpClient.newBuilder().version(version).build();
            var request = HttpRequest.newBuilder(URI.create(HTTP + "/v1/tasks/named:watch")).header("Authorization", "Bearer plain");
            var lines = client.send(request.build(), HttpResponse.BodyHandlers.ofString()).body();
            check("lines over " + version, lines.lines().allMatch(l -> l.startsWith("{") && l.endsWith("}")) && lines.contains("财务部"), lines);
        }
    }

    public static void main(String[] args) throws Exception {
        compressed();
        retried();
        overHTTP();
        System.exit(failed ? 1 : 0);
    }
}
