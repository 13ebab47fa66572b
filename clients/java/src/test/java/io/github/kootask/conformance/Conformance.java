package io.github.kootask.conformance;

import com.google.gson.JsonParseException;

import io.github.kootask.Client;
import io.github.kootask.Event;
import io.github.kootask.Options;
import io.github.kootask.TaskException;
import io.github.kootask.Watch;

import koodrive.task.v1.Task;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;

/** Reads a command from stdin, prints the results, and stays until stdin ends. */
final class Conformance {
    private Conformance() {}

    public static void main(String[] args) throws IOException {
        var in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        try {
            follow(Command.parse(in.readLine()), in);
        } catch (IllegalArgumentException | IllegalStateException | JsonParseException e) {
            System.err.println("the command: " + e.getMessage());
            System.exit(2);
        }
    }

    private static void follow(Command command, BufferedReader in) throws IOException {
        var out = new Output();
        if (command.hasDeadline()) {
            WarmUp.run();
        }
        try (Client client = command.client()) {
            try {
                out.last(run(command, client, out));
            } catch (TaskException e) {
                System.err.println(e.getMessage());
                out.failure(e);
            }
            while (in.readLine() != null) {
                // There should be only one line.
            }
        }
    }

    /** Returns the name of the last line. */
    private static String run(Command command, Client client, Output out) {
        Options options = command.options();
        return switch (command.text("call")) {
            case "get" -> print(client.get(command.text("taskId"), options), out);
            case "wait" -> print(client.waitFor(command.text("taskId"), options), out);
            case "watch" -> print(client.events(command.text("taskId"), options), command, out);
            case "watchAll" ->
                    print(client.watchAll(command.texts("taskIds"), options), command, out);
            default -> throw new IllegalArgumentException("no such call: " + command.text("call"));
        };
    }

    private static String print(Task task, Output out) {
        out.event(new Event.Task(task));
        return "end";
    }

    private static String print(Watch<Event> events, Command command, Output out) {
        boolean isList = command.text("call").equals("watchAll");
        int tasks = 0;
        try (events) {
            for (Event event : events) {
                if (isList && event instanceof Event.Resume r) {
                    out.resumeOfList(r);
                } else {
                    out.event(event);
                }
                if (event instanceof Event.Task && ++tasks == command.cancelAfterTasks()) {
                    return "cancelled"; // Leaving the block closes the watch.
                }
            }
        }
        return "end";
    }
}
