package io.github.kootask.conformance;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;

import io.github.kootask.Client;
import io.github.kootask.ClientBuilder;
import io.github.kootask.Options;
import io.grpc.TlsChannelCredentials;

import java.io.File;
import java.io.IOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;

/** The command of one run: a line of JSON. */
record Command(JsonObject values) {
    private static final Set<String> KEYS =
            Set.of(
                    "call",
                    "addr",
                    "caFile",
                    "taskId",
                    "taskIds",
                    "token",
                    "userId",
                    "language",
                    "maxAge",
                    "failedTaskAsError",
                    "deadline",
                    "cancelAfterTasks",
                    "callerTokens");

    static Command parse(String line) {
        JsonObject values = JsonParser.parseString(line).getAsJsonObject();
        for (String key : values.keySet()) {
            if (!KEYS.contains(key)) {
                throw new IllegalArgumentException("unknown key " + key);
            }
        }
        return new Command(values);
    }

    String text(String key) {
        if (!values.has(key)) {
            throw new IllegalArgumentException("no " + key);
        }
        return values.get(key).getAsString();
    }

    List<String> texts(String key) {
        if (!values.has(key)) {
            throw new IllegalArgumentException("no " + key);
        }
        List<String> all = new ArrayList<>();
        values.getAsJsonArray(key).forEach(element -> all.add(element.getAsString()));
        return all;
    }

    /** The number of tasks after which to cancel; 0: never. */
    int cancelAfterTasks() {
        return values.has("cancelAfterTasks") ? values.get("cancelAfterTasks").getAsInt() : 0;
    }

    boolean hasDeadline() {
        return values.has("deadline");
    }

    Client client() throws IOException {
        ClientBuilder builder = Client.to(text("addr"));
        if (values.has("caFile")) {
            File authorities = new File(text("caFile"));
            builder.tls(TlsChannelCredentials.newBuilder().trustManager(authorities).build());
        } else {
            builder.plaintext();
        }
        if (values.has("callerTokens")) {
            JsonArray tokens = values.getAsJsonArray("callerTokens");
            AtomicInteger asked = new AtomicInteger();
            builder.callerToken(
                    () ->
                            tokens.get(Math.min(asked.getAndIncrement(), tokens.size() - 1))
                                    .getAsString());
        }
        return builder.build();
    }

    Options options() {
        Options options = Options.none();
        if (values.has("token")) {
            options = options.token(text("token"));
        }
        if (values.has("userId")) {
            options = options.userId(text("userId"));
        }
        if (values.has("language")) {
            options = options.language(text("language"));
        }
        if (values.has("maxAge")) {
            options = options.maxAge(seconds("maxAge"));
        }
        if (hasDeadline()) {
            options = options.timeout(seconds("deadline"));
        }
        if (values.has("failedTaskAsError") && values.get("failedTaskAsError").getAsBoolean()) {
            options = options.failedTaskAsError();
        }
        return options;
    }

    private Duration seconds(String key) {
        return Duration.ofNanos(Math.round(values.get(key).getAsDouble() * 1e9));
    }
}
