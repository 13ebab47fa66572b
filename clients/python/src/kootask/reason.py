"""The reasons of failed calls."""

from enum import Enum


class Reason(str, Enum):
    """The reason of a failed call: the contract's ErrorReason, letter for letter. Each is also the string of its name.

    Values may be added. A reason that is newer than this package is only in Error.raw_reason.
    """

    REQUEST_INVALID = "REQUEST_INVALID"  # The request is invalid: see Error.violations.
    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"  # The request has no credential for KooDrive.
    CREDENTIAL_REJECTED = "CREDENTIAL_REJECTED"  # KooDrive rejected the credential: get a new one.
    TASK_NOT_FOUND = "TASK_NOT_FOUND"  # KooDrive has no such task, or no longer.
    CALLER_LIMIT_REACHED = "CALLER_LIMIT_REACHED"  # The credential or the address has reached a limit.
    CALLER_DEADLINE = "CALLER_DEADLINE"  # The call's own deadline has passed.
    WATCH_LIFETIME_REACHED = "WATCH_LIFETIME_REACHED"  # The watch has reached its maximum duration.
    WATCHER_TOO_SLOW = "WATCHER_TOO_SLOW"  # The client does not read the stream.
    SERVER_DRAINING = "SERVER_DRAINING"  # The server is stopping.
    SERVER_OVERLOADED = "SERVER_OVERLOADED"  # The server is overloaded.
    SERVER_MISCONFIGURED = "SERVER_MISCONFIGURED"  # The server's operator has to act.
    SERVER_ERROR = "SERVER_ERROR"  # Internal error: report it with Error.request_id.
    UPSTREAM_PERMISSION_DENIED = "UPSTREAM_PERMISSION_DENIED"  # The credential may not read this task.
    UPSTREAM_RATE_LIMITED = "UPSTREAM_RATE_LIMITED"  # KooDrive limits the rate of requests.
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"  # KooDrive did not answer in time.
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"  # KooDrive cannot be reached.
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"  # KooDrive is unavailable, or a circuit breaker is open.
    UPSTREAM_MALFORMED_BODY = "UPSTREAM_MALFORMED_BODY"  # KooDrive's answer cannot be read.
    UPSTREAM_STALE = "UPSTREAM_STALE"  # KooDrive has not answered the watch for too long.
    UPSTREAM_CONTRACT_VIOLATION = "UPSTREAM_CONTRACT_VIOLATION"  # KooDrive sent an invalid answer.
    UPSTREAM_BUSINESS_ERROR = "UPSTREAM_BUSINESS_ERROR"  # KooDrive refused with an unknown code.
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"  # Over REST only.
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"  # Over REST only.
    TASK_FAILED = "TASK_FAILED"  # The task has failed, and the call asked for that as an error.
    CALLER_UNAUTHENTICATED = "CALLER_UNAUTHENTICATED"  # The caller is not authenticated to kootask.
    USER_NOT_ALLOWED = "USER_NOT_ALLOWED"  # The caller may not act for the KooDrive user that it names.

    def __str__(self) -> str:
        return self.value
