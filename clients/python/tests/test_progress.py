import unittest

from google.protobuf.timestamp_pb2 import Timestamp
from scripted import EXECUTING, FAILED, NEW, SUCCESS, task

from kootask.progress import Progress


class TestProgress(unittest.TestCase):
    def test_nothing_is_handed_out_twice_or_goes_back(self) -> None:
        progress = Progress("9")
        first = task(EXECUTING)
        self.assertTrue(progress.is_news(first))
        first.task_name = "the caller's own"
        self.assertFalse(progress.is_news(task(EXECUTING, observe_time=Timestamp(seconds=1))))
        self.assertFalse(progress.is_news(task(NEW)))
        self.assertTrue(progress.is_news(task(EXECUTING, task_name="another")))
        self.assertTrue(progress.is_news(task(EXECUTING, koodrive_task_type=0)))
        self.assertFalse(progress.finished)
        self.assertTrue(progress.is_news(task(SUCCESS)))
        self.assertFalse(progress.is_news(task(EXECUTING)))
        self.assertFalse(progress.is_news(task(FAILED)))
        self.assertTrue(progress.finished)

    def test_an_error_follows_a_failed_task_if_asked_for(self) -> None:
        for asked in (False, True):
            progress = Progress("9", asked)
            progress.is_news(task(FAILED))
            self.assertEqual(progress.finished, not asked)
            self.assertIsNotNone(progress.done)
