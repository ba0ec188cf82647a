"""Topics of few partitions: each costs a worker and its broker a transaction a second, whatever comes."""

from dataclasses import replace

from pipeline.settings import Settings
from pipeline.topics import EVENTS, create_topics, topics

EVENTS_MOST, OTHERS_MOST = 3, 2  #: partitions; enough for none to be alone


def create_narrow_topics(settings: Settings) -> None:
    """Create every topic as infra/topics.yaml wants it, but for the partitions."""
    most = dict.fromkeys(topics(), OTHERS_MOST) | {EVENTS: EVENTS_MOST}
    narrow = {base: replace(spec, partitions=min(spec.partitions, most[base])) for base, spec in topics().items()}
    create_topics(settings, narrow)
