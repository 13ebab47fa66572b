package io.github.kootask.conformance;

import com.google.gson.GsonBuilder;
import com.google.gson.JsonElement;
import com.google.gson.JsonNull;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.gson.JsonPrimitive;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.protobuf.util.JsonFormat;

import io.github.kootask.Event;
import io.github.kootask.TaskException;

import koodrive.task.v1.ErrorReason;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;

/** Prints the results, one object per line. */
final class Output {
    private final PrintStream out =
            new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);

    void event(Event event) {
        if (event instanceof Event.Task t) {
            line("task", json(t.task()));
        } else if (event instanceof Event.Heartbeat h) {
            line("heartbeat", json(h.heartbeat()));
        } else if (event instanceof Event.Resume r) {
            line("resume", json(r));
        } else if (event instanceof Event.Dropped d) {
            JsonObject dropped = json(d.cause());
            dropped.addProperty("taskId", d.cause().taskId());
            line("dropped", dropped);
        }
    }

    /** Prints an interruption with the ids of its tasks. */
    void resumeOfList(Event.Resume r) {
        JsonObject resume = json(r);
        resume.add("taskIds", new GsonBuilder().create().toJsonTree(r.taskIds()));
        line("resume", resume);
    }

    private static JsonObject json(Event.Resume r) {
        JsonObject resume = new JsonObject();
        resume.add("cause", json(r.cause()));
        resume.addProperty("afterSeconds", seconds(r.after()));
        return resume;
    }

    void failure(TaskException e) {
        line("failure", json(e));
    }

    void last(String name) {
        line(name, new JsonObject());
    }

    private void line(String name, JsonElement value) {
        JsonObject object = new JsonObject();
        object.add(name, value);
        out.println(
                new GsonBuilder().serializeNulls().disableHtmlEscaping().create().toJson(object));
    }

    private static JsonElement json(Message message) {
        try {
            return JsonParser.parseString(JsonFormat.printer().print(message));
        } catch (InvalidProtocolBufferException e) {
            throw new IllegalStateException(e); // Only with an Any.
        }
    }

    private static JsonObject json(TaskException e) {
        ErrorReason reason = e.reason();
        JsonObject object = new JsonObject();
        object.addProperty("code", e.code().name());
        object.addProperty("reason", e.rawReason());
        object.addProperty(
                "known", reason == ErrorReason.ERROR_REASON_UNSPECIFIED ? "" : reason.name());
        object.addProperty("message", e.description());
        object.add(
                "retryAfterSeconds",
                e.retryAfter()
                        .<JsonElement>map(d -> new JsonPrimitive(seconds(d)))
                        .orElse(JsonNull.INSTANCE));
        object.addProperty("requestId", e.requestId());
        object.add("metadata", new GsonBuilder().create().toJsonTree(e.metadata()));
        object.add("violations", new GsonBuilder().create().toJsonTree(e.violations()));
        object.addProperty("localizedMessage", e.localizedDescription());
        return object;
    }

    private static double seconds(Duration d) {
        return d.getSeconds() + d.getNano() / 1e9;
    }
}
