"""Receivers: one table of all kinds, with how each is written, judged and joined.

Pure. Machines get every alert by itself and join for themselves; people get one message for a service.
"""

from collections.abc import Callable
from dataclasses import dataclass

from pipeline.delivery import alertmanager, otel, pagerduty, requests, slack, webhook
from pipeline.delivery.incidents import GroupingSpec
from pipeline.delivery.notification import Notification
from pipeline.delivery.requests import Answer, Request, Sheet, Verdict

Form = Callable[[Notification, Sheet, int], Request]

EACH = GroupingSpec()
#: a page at once; what is no worse within a minute is told together
BY_SERVICE = GroupingSpec(("service",), 0, 60_000_000)
#: where receivers live that belong to the site itself; link-local, where clouds keep credentials, is not among them
INSIDE = ("127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")


@dataclass(frozen=True)
class ReceiverType:
    """One kind of receiver."""

    form: Form
    grouping: GroupingSpec
    verdict: Callable[[Answer], Verdict] = requests.verdict
    url: str = ""  # where it is unless told otherwise
    allow: tuple[str, ...] = ()
    forgets: bool = False  # what is open must be sent again and again
    is_http: bool = True
    acknowledges: bool = False  # is told who takes care
    is_record: bool = False  # of all there is, whoever is to be left alone


TYPES: dict[str, ReceiverType] = {
    "alertmanager": ReceiverType(alertmanager.form, EACH, allow=INSIDE, forgets=True),
    "pagerduty": ReceiverType(pagerduty.form, BY_SERVICE, pagerduty.verdict, pagerduty.URL, acknowledges=True),
    "webhook": ReceiverType(webhook.form, EACH),
    "slack": ReceiverType(slack.form, BY_SERVICE, acknowledges=True),
    "otel": ReceiverType(otel.form, EACH, otel.verdict, allow=INSIDE, is_record=True),
    "topic": ReceiverType(webhook.mirror, EACH, is_http=False, is_record=True),
}
#: kinds whose alerts may be joined; the others tell of each alert as slo.alerts does
JOINING = ("pagerduty", "slack", "webhook")
