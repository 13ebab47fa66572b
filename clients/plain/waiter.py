"""Waits for tasks with the waiter for long-running operations of Google's library for Python: see plain.go.

KOOTASK_GRPC is the address. Prints each check, and fails if one does.
"""

import os
import sys

import grpc
from google.api_core import exceptions, operation, operations_v1
from google.longrunning import operations_pb2
from google.rpc import error_details_pb2
from kootask._gen import task_pb2

TOKEN = [("authorization", "Bearer plain")]
client = operations_v1.OperationsClient(grpc.insecure_channel(os.environ["KOOTASK_GRPC"]))
failed = False


def check(name, good, *seen):
    global failed
    failed = failed or not good
    print("ok  " if good else "FAIL", "Python:", name, "" if good else repr(seen))


def waiter(task_id):
    asked = operations_pb2.Operation(name="operations/" + task_id)
    return operation.from_gapic(asked, client, task_pb2.Task, metadata_type=task_pb2.Task, grpc_metadata=TOKEN)


def error(call):
    try:
        call()
    except exceptions.GoogleAPICallError as e:
        return e
    return None


def refused(name, call):
    e = error(call)
    good = isinstance(e, exceptions.MethodNotImplemented) and (e.domain, e.reason) == ("koodrive.task.v1", "METHOD_NOT_ALLOWED")
    check(name, good, e)


waits = waiter("python-waits")
check("a task on its way is not done", not waits.done(), waits.operation)
check("it is in the metadata", waits.metadata.task_id == "python-waits" and not waits.metadata.done, waits.operation)
task = waits.result(timeout=60)
check("a waiter gets the finished task", task.status == task_pb2.TASK_STATUS_SUCCESS and task.done, task)

fails = waiter("fails")
e = error(lambda: fails.result(timeout=60))
info = error_details_pb2.ErrorInfo()
reasons = [(info.reason, info.metadata["resultCode"]) for detail in fails.operation.error.details if detail.Unpack(info)]
check("a failed task is an error", isinstance(e, exceptions.Aborted) and reasons == [("TASK_FAILED", "18000205")], e, reasons)
e = error(lambda: waiter("unknown").result(timeout=60))
check("a missing task is not found", isinstance(e, exceptions.NotFound) and e.reason == "TASK_NOT_FOUND", e)

refused("cancel is not supported", waiter("running").cancel)
refused("delete is not supported", lambda: client.delete_operation("operations/running", metadata=TOKEN))
refused("list is not supported", lambda: list(client.list_operations("operations", "", metadata=TOKEN)))
sys.exit(failed)
