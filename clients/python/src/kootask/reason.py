"""Why calls fail."""

from enum import Enum


class Reason(str, Enum):
    """Why kootask let a call fail: the contract's ErrorReason, letter for letter. Each is also the string of its name.

    Values may be added: an Error whose reason is newer than this package has its name in raw_reason alone.
    """

    REQUEST_INVALID = "REQUEST_INVALID"  # Something in the request is wrong: Error.violations names it.
    CREDENTIAL_MISSING = "CREDENTIAL_MISSING"  # There is no credential.
    CREDENTIAL_REJECTED = "CREDENTIAL_REJECTED"  # KooDrive refuses the credential: get a new one.
    TASK_NOT_FOUND = "TASK_NOT_FOUND"  # KooDrive has no such task, or no longer.
    CALLER_LIMIT_REACHED = "CALLER_LIMIT_REACHED"  # Too many calls or watches with this credential, or from here.
    CALLER_DEADLINE = "CALLER_DEADLINE"  # The call's own deadline has passed.
    WATCH_LIFETIME_REACHED = "WATCH_LIFETIME_REACHED"  # The watch has lasted as long as a watch may.
    WATCHER_TOO_SLOW = "WATCHER_TOO_SLOW"  # The client does not read what it is sent.
    SERVER_DRAINING = "SERVER_DRAINING"  # kootask is stopping.
    SERVER_OVERLOADED = "SERVER_OVERLOADED"  # kootask has too much to do.
    SERVER_MISCONFIGURED = "SERVER_MISCONFIGURED"  # kootask's operator has to act.
    SERVER_ERROR = "SERVER_ERROR"  # kootask has a fault: please report it, with Error.request_id.
    UPSTREAM_PERMISSION_DENIED = "UPSTREAM_PERMISSION_DENIED"  # The credential may not see this task.
    UPSTREAM_RATE_LIMITED = "UPSTREAM_RATE_LIMITED"  # KooDrive limits the rate.
    UPSTREAM_TIMEOUT = "UPSTREAM_TIMEOUT"  # KooDrive did not answer in time.
    UPSTREAM_UNREACHABLE = "UPSTREAM_UNREACHABLE"  # KooDrive cannot be reached.
    UPSTREAM_UNAVAILABLE = "UPSTREAM_UNAVAILABLE"  # KooDrive is unavailable, or a circuit breaker is open.
    UPSTREAM_MALFORMED_BODY = "UPSTREAM_MALFORMED_BODY"  # KooDrive's answer cannot be read.
    UPSTREAM_STALE = "UPSTREAM_STALE"  # KooDrive has not answered the watch for too long.
    UPSTREAM_CONTRACT_VIOLATION = "UPSTREAM_CONTRACT_VIOLATION"  # KooDrive's answer cannot be right.
    UPSTREAM_BUSINESS_ERROR = "UPSTREAM_BUSINESS_ERROR"  # KooDrive refused with a code that kootask does not know.
    ROUTE_NOT_FOUND = "ROUTE_NOT_FOUND"  # Over REST only.
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"  # Over REST only.
    TASK_FAILED = "TASK_FAILED"  # The task has failed, and the call asked for that as an error.
    CALLER_UNAUTHENTICATED = "CALLER_UNAUTHENTICATED"  # kootask does not know the caller: not KooDrive's credential.
    USER_NOT_ALLOWED = "USER_NOT_ALLOWED"  # The caller may not act for the KooDrive user that it names.

    def __str__(self) -> str:
        return self.value
