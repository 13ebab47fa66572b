/**
 * The Java client of kootask: it tells how a KooDrive task stands, and watches one until it is
 * finished.
 *
 * <pre>{@code
 * try (var client = Client.to("kootask.example:9090").token(token).build();
 *         var watch = client.watch("1534087020903704704")) {
 *     for (Task task : watch) {
 *         System.out.println(task.getStatus());
 *     }
 * }
 * }</pre>
 *
 * <p>A watch goes on when the server is redeployed or the connection breaks: it begins anew after
 * the delay that the server asked for, and hands out no task twice. What it cannot go on after it
 * throws as a {@link io.github.kootask.TaskException}.
 *
 * <p>A task that failed is a value: its status says so. {@link
 * io.github.kootask.Options#failedTaskAsError} makes it an exception. Tasks and heartbeats are the
 * contract's own, of the package {@code koodrive.task.v1}, and so is {@code ErrorReason}.
 */
package io.github.kootask;
