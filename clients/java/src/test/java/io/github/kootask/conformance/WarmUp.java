package io.github.kootask.conformance;

import io.github.kootask.Client;
import io.github.kootask.TaskException;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Server;

import java.io.IOException;
import java.util.List;

/**
 * A watch of nothing, which loads the classes of a watch. It calls a server of its own, and the
 * server under test sees none of it.
 *
 * <p>A busy machine loads them for seconds, which a deadline would otherwise count.
 */
final class WarmUp {
    private WarmUp() {}

    static void run() throws IOException {
        Server server =
                Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create()).build().start();
        String address = "127.0.0.1:" + server.getPort();
        try (var client = Client.to(address).plaintext().build();
                var watch = client.watchAll(List.of("1"))) {
            watch.forEach(event -> {});
        } catch (TaskException e) {
            // UNIMPLEMENTED: the server has no services.
        } finally {
            server.shutdownNow();
        }
    }
}
