package io.github.kootask;

import java.io.Serializable;

/**
 * One field of a request that is wrong.
 *
 * @param field the field's name, or the header's
 * @param reason why, for programs
 * @param description why, for people
 */
public record Violation(String field, String reason, String description) implements Serializable {}
