import pickle
import unittest

from google.rpc.error_details_pb2 import BadRequest, ErrorInfo, LocalizedMessage
from google.rpc.status_pb2 import Status
from grpc import StatusCode
from grpc.aio import AioRpcError, Metadata
from scripted import end, packed

import kootask
from kootask._gen.error_reason_pb2 import ErrorReason
from kootask.error import from_rpc


def failure(status: Status, code: StatusCode = StatusCode.UNAVAILABLE, message: str = "No.") -> AioRpcError:
    trailer = Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return AioRpcError(code, Metadata(), trailer, message)


class TestError(unittest.TestCase):
    def test_reasons_are_the_contracts(self) -> None:
        contract = [name for name in ErrorReason.keys() if name != "ERROR_REASON_UNSPECIFIED"]  # noqa: SIM118
        self.assertEqual(contract, [reason.name for reason in kootask.Reason])
        self.assertEqual(contract, [str(reason) for reason in kootask.Reason])

    def test_it_has_all_that_kootask_says(self) -> None:
        status = end(StatusCode.UNAVAILABLE, "SERVER_DRAINING", 1.5)
        violation = BadRequest.FieldViolation(field="task_id", reason="RESERVED", description="So it is.")
        status.details.extend(packed(BadRequest(field_violations=[violation]), LocalizedMessage(message="不。")))
        error = from_rpc(failure(status))
        self.assertIs(error.reason, kootask.Reason.SERVER_DRAINING)
        self.assertEqual((error.code, error.retry_after, error.request_id), (StatusCode.UNAVAILABLE, 1.5, "mine"))
        self.assertEqual(error.violations, (kootask.Violation("task_id", "RESERVED", "So it is."),))
        self.assertEqual(error.localized_message, "不。")
        self.assertEqual(str(error), "No. (SERVER_DRAINING) task_id: RESERVED So it is.")
        copy = pickle.loads(pickle.dumps(error))  # noqa: S301
        self.assertEqual(vars(copy), vars(error))

    def test_a_newer_reason_keeps_its_name(self) -> None:
        error = from_rpc(failure(end(StatusCode.UNAVAILABLE, "BAD_WEATHER")))
        self.assertEqual((error.raw_reason, error.reason, error.retry_after), ("BAD_WEATHER", None, None))

    def test_foreign_error_has_no_reason(self) -> None:
        other = Status(code=14, message="No.", details=packed(ErrorInfo(domain="example.com", reason="TASK_NOT_FOUND")))
        changed = end(StatusCode.INTERNAL, "TASK_NOT_FOUND")
        for broken in (
            failure(other),
            failure(changed),
            AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(("grpc-status-details-bin", b"\xff")), "No."),
            AioRpcError(StatusCode.UNAVAILABLE, Metadata(), Metadata(), "No."),
        ):
            self.assertEqual(str(from_rpc(broken)), "No. (UNAVAILABLE)")
