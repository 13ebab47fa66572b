import datetime

from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TaskStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_STATUS_UNSPECIFIED: _ClassVar[TaskStatus]
    TASK_STATUS_NEW: _ClassVar[TaskStatus]
    TASK_STATUS_EXECUTING: _ClassVar[TaskStatus]
    TASK_STATUS_SUCCESS: _ClassVar[TaskStatus]
    TASK_STATUS_FAILED: _ClassVar[TaskStatus]

class TaskType(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TASK_TYPE_UNSPECIFIED: _ClassVar[TaskType]
    TASK_TYPE_TRANSFER_AND_DELETION: _ClassVar[TaskType]
    TASK_TYPE_BATCH_IMPORT: _ClassVar[TaskType]

class ResultCode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESULT_CODE_UNSPECIFIED: _ClassVar[ResultCode]
    RESULT_CODE_KOODRIVE_18000205: _ClassVar[ResultCode]
TASK_STATUS_UNSPECIFIED: TaskStatus
TASK_STATUS_NEW: TaskStatus
TASK_STATUS_EXECUTING: TaskStatus
TASK_STATUS_SUCCESS: TaskStatus
TASK_STATUS_FAILED: TaskStatus
TASK_TYPE_UNSPECIFIED: TaskType
TASK_TYPE_TRANSFER_AND_DELETION: TaskType
TASK_TYPE_BATCH_IMPORT: TaskType
RESULT_CODE_UNSPECIFIED: ResultCode
RESULT_CODE_KOODRIVE_18000205: ResultCode

class Task(_message.Message):
    __slots__ = ("task_id", "task_name", "task_type", "tenant_id", "user_id", "status", "result_code", "observe_time", "koodrive_status", "koodrive_task_type", "koodrive_result_code", "done")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TASK_NAME_FIELD_NUMBER: _ClassVar[int]
    TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    RESULT_CODE_FIELD_NUMBER: _ClassVar[int]
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    KOODRIVE_STATUS_FIELD_NUMBER: _ClassVar[int]
    KOODRIVE_TASK_TYPE_FIELD_NUMBER: _ClassVar[int]
    KOODRIVE_RESULT_CODE_FIELD_NUMBER: _ClassVar[int]
    DONE_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    task_name: str
    task_type: TaskType
    tenant_id: str
    user_id: str
    status: TaskStatus
    result_code: ResultCode
    observe_time: _timestamp_pb2.Timestamp
    koodrive_status: int
    koodrive_task_type: int
    koodrive_result_code: str
    done: bool
    def __init__(self, task_id: _Optional[str] = ..., task_name: _Optional[str] = ..., task_type: _Optional[_Union[TaskType, str]] = ..., tenant_id: _Optional[str] = ..., user_id: _Optional[str] = ..., status: _Optional[_Union[TaskStatus, str]] = ..., result_code: _Optional[_Union[ResultCode, str]] = ..., observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., koodrive_status: _Optional[int] = ..., koodrive_task_type: _Optional[int] = ..., koodrive_result_code: _Optional[str] = ..., done: bool = ...) -> None: ...

class GetTaskRequest(_message.Message):
    __slots__ = ("task_id", "max_age", "failed_task_as_error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    MAX_AGE_FIELD_NUMBER: _ClassVar[int]
    FAILED_TASK_AS_ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    max_age: _duration_pb2.Duration
    failed_task_as_error: bool
    def __init__(self, task_id: _Optional[str] = ..., max_age: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failed_task_as_error: bool = ...) -> None: ...

class GetTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class WatchTaskRequest(_message.Message):
    __slots__ = ("task_id", "failed_task_as_error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    FAILED_TASK_AS_ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    failed_task_as_error: bool
    def __init__(self, task_id: _Optional[str] = ..., failed_task_as_error: bool = ...) -> None: ...

class WatchTaskResponse(_message.Message):
    __slots__ = ("task", "heartbeat")
    TASK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    task: Task
    heartbeat: Heartbeat
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("observe_time", "failure_count", "failure_reason", "failing_task_ids")
    OBSERVE_TIME_FIELD_NUMBER: _ClassVar[int]
    FAILURE_COUNT_FIELD_NUMBER: _ClassVar[int]
    FAILURE_REASON_FIELD_NUMBER: _ClassVar[int]
    FAILING_TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    observe_time: _timestamp_pb2.Timestamp
    failure_count: int
    failure_reason: str
    failing_task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, observe_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., failure_count: _Optional[int] = ..., failure_reason: _Optional[str] = ..., failing_task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class WaitTaskRequest(_message.Message):
    __slots__ = ("task_id", "timeout", "failed_task_as_error")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    FAILED_TASK_AS_ERROR_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    timeout: _duration_pb2.Duration
    failed_task_as_error: bool
    def __init__(self, task_id: _Optional[str] = ..., timeout: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., failed_task_as_error: bool = ...) -> None: ...

class WaitTaskResponse(_message.Message):
    __slots__ = ("task",)
    TASK_FIELD_NUMBER: _ClassVar[int]
    task: Task
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ...) -> None: ...

class WatchTasksRequest(_message.Message):
    __slots__ = ("task_ids",)
    TASK_IDS_FIELD_NUMBER: _ClassVar[int]
    task_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, task_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class WatchTasksResponse(_message.Message):
    __slots__ = ("task", "heartbeat", "dropped")
    TASK_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    task: Task
    heartbeat: Heartbeat
    dropped: DroppedTask
    def __init__(self, task: _Optional[_Union[Task, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ..., dropped: _Optional[_Union[DroppedTask, _Mapping]] = ...) -> None: ...

class DroppedTask(_message.Message):
    __slots__ = ("task_id", "code", "reason", "metadata", "message", "localized_message", "retry_delay")
    class MetadataEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    METADATA_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    LOCALIZED_MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRY_DELAY_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    code: int
    reason: str
    metadata: _containers.ScalarMap[str, str]
    message: str
    localized_message: str
    retry_delay: _duration_pb2.Duration
    def __init__(self, task_id: _Optional[str] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., metadata: _Optional[_Mapping[str, str]] = ..., message: _Optional[str] = ..., localized_message: _Optional[str] = ..., retry_delay: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ...) -> None: ...
