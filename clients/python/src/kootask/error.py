"""Failed calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError, Message
from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, LocalizedMessage, RequestInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError
from grpc_status import rpc_status

from kootask._gen.reason import Reason
from kootask._gen.task_pb2 import DroppedTask

DOMAIN = "koodrive.task.v1"
"""The ErrorInfo.domain of kootask's reasons."""


@dataclass(frozen=True)
class Violation:
    """The fault of one field of a request."""

    field: str
    reason: str
    description: str


class Error(Exception):
    """A failed call. Its text is for people; branch on reason, code and retry_after."""

    code: StatusCode
    """gRPC's code. kootask.StatusCode is the same as grpc.StatusCode."""
    raw_reason: str
    """The name of the reason, also if it is newer than this package. Empty if the error is not from kootask, but from gRPC's
    library, a proxy or the client itself."""
    message: str
    """The text for people, in English. It begins with the cause if the client has found a fault of its address."""
    retry_after: float | None
    """The seconds after which calling again may help, from kootask. None if kootask does not say that it helps, and after a
    broken connection (an error without a reason, whose code is UNAVAILABLE), where calling again may help too."""
    request_id: str
    """The id of the call in kootask's log. Empty if the error is not from kootask."""
    metadata: Mapping[str, str]
    """Further details, under the contract's names. For example, resultCode is the code of a failed task."""
    violations: Sequence[Violation]
    """The faults of the request, if the reason is REQUEST_INVALID."""
    localized_message: str
    """The message in the call's language. Empty without the option language."""
    task_id: str
    """The id of the task, if the error is the event of a dropped task. Empty for other errors."""

    def __init__(self, code: StatusCode, message: str, raw_reason: str = "") -> None:
        super().__init__(code, message, raw_reason)
        self.code = code
        self.message = message
        self.raw_reason = raw_reason
        self.retry_after = None
        self.request_id = ""
        self.metadata = {}
        self.violations = ()
        self.localized_message = ""
        self.task_id = ""

    @property
    def reason(self) -> Reason | None:
        """The cause, for programs. None if the error is not from kootask, or if the reason is newer than this package."""
        return Reason.__members__.get(self.raw_reason)

    def __str__(self) -> str:
        violations = "".join(f" {v.field}: {v.reason} {v.description}" for v in self.violations)
        task = f"task {self.task_id}: " if self.task_id else ""
        return f"{task}{self.message} ({self.raw_reason or self.code.name}){violations}"


def from_rpc(failure: AioRpcError) -> Error:
    """Convert the status with which a call has ended."""
    error = Error(failure.code(), failure.details() or "")
    try:
        status = rpc_status.from_call(failure)  # type: ignore[arg-type] # It has the attributes that are used.
        if status is not None:
            _add_details(error, status)
    except (ValueError, DecodeError):
        pass  # Not from kootask: a proxy has changed it.
    return error


def _add_details(error: Error, status: Status) -> None:
    if (info := _detail(status, ErrorInfo())) and info.domain == DOMAIN:
        error.raw_reason, error.metadata = info.reason, dict(info.metadata)
    if request := _detail(status, RequestInfo()):
        error.request_id = request.request_id
    if retry := _detail(status, RetryInfo()):
        error.retry_after = _seconds(retry.retry_delay)
    if bad := _detail(status, BadRequest()):
        error.violations = tuple(Violation(v.field, v.reason, v.description) for v in bad.field_violations)
    if localized := _detail(status, LocalizedMessage()):
        error.localized_message = localized.message


def from_dropped(dropped: DroppedTask, request_id: str) -> Error:
    """Convert the end of one task of a stream. request_id is that of the stream."""
    code = next((code for code in StatusCode if code.value[0] == dropped.code), StatusCode.UNKNOWN)
    error = Error(code, dropped.message, dropped.reason)
    if dropped.HasField("retry_delay"):
        error.retry_after = _seconds(dropped.retry_delay)
    error.request_id = request_id
    error.metadata = dict(dropped.metadata)
    error.localized_message = dropped.localized_message
    error.task_id = dropped.task_id
    return error


def _seconds(duration: Duration) -> float:
    return duration.seconds + duration.nanos / 1e9


_Detail = TypeVar("_Detail", bound=Message)


def _detail(status: Status, detail: _Detail) -> _Detail | None:
    return next((detail for packed in status.details if packed.Unpack(detail)), None)
