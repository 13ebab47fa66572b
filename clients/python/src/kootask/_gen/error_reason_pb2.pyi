from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from typing import ClassVar as _ClassVar

DESCRIPTOR: _descriptor.FileDescriptor

class ErrorReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ERROR_REASON_UNSPECIFIED: _ClassVar[ErrorReason]
    REQUEST_INVALID: _ClassVar[ErrorReason]
    CREDENTIAL_MISSING: _ClassVar[ErrorReason]
    CREDENTIAL_REJECTED: _ClassVar[ErrorReason]
    TASK_NOT_FOUND: _ClassVar[ErrorReason]
    CALLER_LIMIT_REACHED: _ClassVar[ErrorReason]
    CALLER_DEADLINE: _ClassVar[ErrorReason]
    WATCH_LIFETIME_REACHED: _ClassVar[ErrorReason]
    WATCHER_TOO_SLOW: _ClassVar[ErrorReason]
    SERVER_DRAINING: _ClassVar[ErrorReason]
    SERVER_OVERLOADED: _ClassVar[ErrorReason]
    SERVER_MISCONFIGURED: _ClassVar[ErrorReason]
    SERVER_ERROR: _ClassVar[ErrorReason]
    UPSTREAM_PERMISSION_DENIED: _ClassVar[ErrorReason]
    UPSTREAM_RATE_LIMITED: _ClassVar[ErrorReason]
    UPSTREAM_TIMEOUT: _ClassVar[ErrorReason]
    UPSTREAM_UNREACHABLE: _ClassVar[ErrorReason]
    UPSTREAM_UNAVAILABLE: _ClassVar[ErrorReason]
    UPSTREAM_MALFORMED_BODY: _ClassVar[ErrorReason]
    UPSTREAM_STALE: _ClassVar[ErrorReason]
    UPSTREAM_CONTRACT_VIOLATION: _ClassVar[ErrorReason]
    UPSTREAM_BUSINESS_ERROR: _ClassVar[ErrorReason]
    ROUTE_NOT_FOUND: _ClassVar[ErrorReason]
    METHOD_NOT_ALLOWED: _ClassVar[ErrorReason]
    TASK_FAILED: _ClassVar[ErrorReason]
    CALLER_UNAUTHENTICATED: _ClassVar[ErrorReason]
    USER_NOT_ALLOWED: _ClassVar[ErrorReason]
ERROR_REASON_UNSPECIFIED: ErrorReason
REQUEST_INVALID: ErrorReason
CREDENTIAL_MISSING: ErrorReason
CREDENTIAL_REJECTED: ErrorReason
TASK_NOT_FOUND: ErrorReason
CALLER_LIMIT_REACHED: ErrorReason
CALLER_DEADLINE: ErrorReason
WATCH_LIFETIME_REACHED: ErrorReason
WATCHER_TOO_SLOW: ErrorReason
SERVER_DRAINING: ErrorReason
SERVER_OVERLOADED: ErrorReason
SERVER_MISCONFIGURED: ErrorReason
SERVER_ERROR: ErrorReason
UPSTREAM_PERMISSION_DENIED: ErrorReason
UPSTREAM_RATE_LIMITED: ErrorReason
UPSTREAM_TIMEOUT: ErrorReason
UPSTREAM_UNREACHABLE: ErrorReason
UPSTREAM_UNAVAILABLE: ErrorReason
UPSTREAM_MALFORMED_BODY: ErrorReason
UPSTREAM_STALE: ErrorReason
UPSTREAM_CONTRACT_VIOLATION: ErrorReason
UPSTREAM_BUSINESS_ERROR: ErrorReason
ROUTE_NOT_FOUND: ErrorReason
METHOD_NOT_ALLOWED: ErrorReason
TASK_FAILED: ErrorReason
CALLER_UNAUTHENTICATED: ErrorReason
USER_NOT_ALLOWED: ErrorReason
