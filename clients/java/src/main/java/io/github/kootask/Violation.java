package io.github.kootask;

import java.io.Serializable;

/**
 * The fault of one field of a request.
 *
 * @param field the field's name, or the header's
 * @param reason the kind of fault, for programs
 * @param description the fault, for people
 */
public record Violation(String field, String reason, String description) implements Serializable {}
