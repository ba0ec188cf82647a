"""`kblock://`: Kafka record batches as columns through Faust, and steps that write exactly once.

All that leans on the internals of faust and aiokafka is in here; `upstream` checks it at import.
"""

from pipeline.transport.app import GroupSpec, run_step, step_app
from pipeline.transport.consumer import FetchSpec, Transport, block_topic
from pipeline.transport.counters import StepCounters
from pipeline.transport.ledger import KafkaLedger, Ledger
from pipeline.transport.memberships import Memberships, leave_for_the_dead
from pipeline.transport.owned import Fold
from pipeline.transport.step_spec import StepSpec
from pipeline.transport.steps import OffsetsGone, Position, Source, Step, StepFailed

__all__ = [
    "FetchSpec", "Fold", "GroupSpec", "KafkaLedger", "Ledger", "Memberships", "OffsetsGone", "Position",
    "Source", "Step", "StepCounters", "StepFailed", "StepSpec", "Transport", "block_topic", "leave_for_the_dead",
    "run_step", "step_app",
]  # fmt: skip
