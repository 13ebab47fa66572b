package io.github.kootask;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.LocalizedMessage;
import com.google.rpc.RequestInfo;
import com.google.rpc.RetryInfo;

import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;

import koodrive.task.v1.DroppedTask;

import java.io.Serializable;
import java.time.Duration;
import java.util.List;
import java.util.Map;

/** The details of a status beside its code and message. retryAfter is null without RetryInfo. */
@SuppressWarnings("serial") // The copies of List.copyOf and Map.copyOf are serializable.
record Details(
        String reason,
        Map<String, String> metadata,
        String requestId,
        Duration retryAfter,
        List<Violation> violations,
        String localized)
        implements Serializable {
    /** The ErrorInfo.domain of kootask's reasons. */
    private static final String DOMAIN = "koodrive.task.v1";

    private static final Metadata.Key<String> REQUEST_ID =
            Metadata.Key.of("x-request-id", Metadata.ASCII_STRING_MARSHALLER);

    static final Details NONE = new Details("", Map.of(), "", null, List.of(), "");

    /**
     * Returns the details of a status. Unreadable details are left out: the code is still valid.
     */
    static Details of(Status status, Metadata trailers) {
        if (trailers == null) {
            return NONE;
        }
        Details details = NONE;
        try {
            for (Any detail :
                    StatusProto.fromStatusAndTrailers(status, trailers).getDetailsList()) {
                details = details.with(detail);
            }
        } catch (IllegalArgumentException | InvalidProtocolBufferException e) {
            return details;
        }
        return details;
    }

    private Details with(Any detail) throws InvalidProtocolBufferException {
        if (detail.is(ErrorInfo.class)) {
            ErrorInfo info = detail.unpack(ErrorInfo.class);
            return info.getDomain().equals(DOMAIN)
                    ? withReason(info.getReason(), Map.copyOf(info.getMetadataMap()))
                    : this;
        }
        if (detail.is(RequestInfo.class)) {
            String id = detail.unpack(RequestInfo.class).getRequestId();
            return new Details(reason, metadata, id, retryAfter, violations, localized);
        }
        if (detail.is(RetryInfo.class)) {
            Duration after = duration(detail.unpack(RetryInfo.class).getRetryDelay());
            return new Details(reason, metadata, requestId, after, violations, localized);
        }
        if (detail.is(BadRequest.class)) {
            List<Violation> all =
                    detail.unpack(BadRequest.class).getFieldViolationsList().stream()
                            .map(
                                    v ->
                                            new Violation(
                                                    v.getField(),
                                                    v.getReason(),
                                                    v.getDescription()))
                            .toList();
            return new Details(reason, metadata, requestId, retryAfter, all, localized);
        }
        if (detail.is(LocalizedMessage.class)) {
            String message = detail.unpack(LocalizedMessage.class).getMessage();
            return new Details(reason, metadata, requestId, retryAfter, violations, message);
        }
        return this;
    }

    /** Returns the details of a dropped task, whose stream began with the headers. */
    static Details of(DroppedTask task, Metadata headers) {
        String id = headers.get(REQUEST_ID);
        return new Details(
                task.getReason(),
                Map.copyOf(task.getMetadataMap()),
                id == null ? "" : id,
                task.hasRetryDelay() ? duration(task.getRetryDelay()) : null,
                List.of(),
                task.getLocalizedMessage());
    }

    private static Duration duration(com.google.protobuf.Duration d) {
        return Duration.ofSeconds(d.getSeconds(), d.getNanos());
    }

    Details withReason(String reason, Map<String, String> metadata) {
        return new Details(reason, metadata, requestId, retryAfter, violations, localized);
    }
}
