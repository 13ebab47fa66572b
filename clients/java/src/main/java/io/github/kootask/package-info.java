/**
 * The Java client of kootask. It reports the status of KooDrive tasks, once or live until they are
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
 * <p>A watch continues when the server is redeployed or the connection breaks: it resumes after the
 * delay that the server asks for, and returns no state twice. If it cannot resume, it throws a
 * {@link io.github.kootask.TaskException}.
 *
 * <p>A failed task is a value with the status FAILED. {@link
 * io.github.kootask.Options#failedTaskAsError} turns it into an exception. Tasks, heartbeats and
 * {@code ErrorReason} are the contract's own types, from the package {@code koodrive.task.v1}.
 */
package io.github.kootask;
