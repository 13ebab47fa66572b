"""The reasons of failed calls, generated from the contract by `make generate`."""

from enum import Enum


class Reason(str, Enum):
    """The reason of a failed call: the contract's ErrorReason, letter for letter. Each is also the string of its name.

    Values may be added. A reason that is newer than this package is only in Error.raw_reason.
    """

    # A part of the request is missing, malformed, repeated, unknown or out of range. BadRequest names each field, header
    # or query parameter. INVALID_ARGUMENT, 400.
    REQUEST_INVALID = "REQUEST_INVALID"
    # The request has no credential for KooDrive. UNAUTHENTICATED, 401.
    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"
    # KooDrive rejected the credential: get a new one. UNAUTHENTICATED, 401.
    CREDENTIAL_REJECTED = "CREDENTIAL_REJECTED"
    # KooDrive has no such task, or no longer. NOT_FOUND, 404.
    TASK_NOT_FOUND = "TASK_NOT_FOUND"
    # The credential or the address has reached a limit, for example on calls or watches. RESOURCE_EXHAUSTED, 429, retry.
    CALLER_LIMIT_REACHED = "CALLER_LIMIT_REACHED"
    # The caller's own deadline has passed. DEADLINE_EXCEEDED, 504.
    CALLER_DEADLINE = "CALLER_DEADLINE"
    # The watch has reached its maximum duration. UNAVAILABLE, 503, retry.
    WATCH_LIFETIME_REACHED = "WATCH_LIFETIME_REACHED"
    # The client does not read the stream. RESOURCE_EXHAUSTED, 429, retry.
    WATCHER_TOO_SLOW = "WATCHER_TOO_SLOW"
    # The server is stopping. Another server answers, or will. UNAVAILABLE, 503, retry.
    SERVER_DRAINING = "SERVER_DRAINING"
    # The server is overloaded. UNAVAILABLE, 503, retry.
    SERVER_OVERLOADED = "SERVER_OVERLOADED"
    # The server's operator has to act: KooDrive's address, its certificate or the server's own credential is wrong.
    # INTERNAL, 500.
    SERVER_MISCONFIGURED = "SERVER_MISCONFIGURED"
    # Internal error: report it with the request id. INTERNAL, 500.
    SERVER_ERROR = "SERVER_ERROR"
    # The credential is valid, but may not read this task. PERMISSION_DENIED, 403.
    UPSTREAM_PERMISSION_DENIED = "UPSTREAM_PERMISSION_DENIED"
    # KooDrive limits the rate of requests. RESOURCE_EXHAUSTED, 429, retry.
    UPSTREAM_RATE_LIMITED = "UPSTREAM_RATE_LIMITED"
    # KooDrive did not answer in time. UNAVAILABLE, 503, retry.
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"
    # KooDrive cannot be reached. UNAVAILABLE, 503, retry.
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"
    # KooDrive reports that it is unavailable, or a circuit breaker is open because too many requests have failed.
    # UNAVAILABLE, 503, retry.
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"
    # KooDrive's answer cannot be read: it is cut off or is not JSON. UNAVAILABLE, 503, retry.
    UPSTREAM_MALFORMED_BODY = "UPSTREAM_MALFORMED_BODY"
    # KooDrive has sent the watch no usable answer for too long. UNAVAILABLE, 503, retry.
    UPSTREAM_STALE = "UPSTREAM_STALE"
    # KooDrive's answer can be read but is invalid, for example another task, a missing status or a redirect.
    # INTERNAL, 500.
    UPSTREAM_CONTRACT_VIOLATION = "UPSTREAM_CONTRACT_VIOLATION"
    # KooDrive refused the request with an unknown code. UNKNOWN, 500.
    UPSTREAM_BUSINESS_ERROR = "UPSTREAM_BUSINESS_ERROR"
    # REST only: the path does not exist. NOT_FOUND, 404.
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"
    # Over REST, the path does not support the method. Over gRPC, google.longrunning.Operations does not list, cancel or
    # delete. UNIMPLEMENTED, 405.
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    # The task has failed, and the request asked for that as an error. ErrorInfo.metadata has taskId and resultCode (the
    # code as KooDrive sent it). ABORTED, 409.
    TASK_FAILED = "TASK_FAILED"
    # The caller is not authenticated: the token, certificate or ticket for kootask is missing, invalid or expired. The
    # credential for KooDrive is not at fault. UNAUTHENTICATED, 401.
    CALLER_UNAUTHENTICATED = "CALLER_UNAUTHENTICATED"
    # The caller is authenticated, but may not act for the KooDrive user that it names. KooDrive was not asked.
    # PERMISSION_DENIED, 403.
    USER_NOT_ALLOWED = "USER_NOT_ALLOWED"

    def __str__(self) -> str:
        return self.value
