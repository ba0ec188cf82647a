"""How many replicas KEDA is told of: the signal `scale` of a model, or of one variant, over KEDA's own interface.

Law: what is expired or unknown, or cannot be asked for, is an error, so that KEDA falls back to its `fallback`; it is
never 0, and never the smaller sum of those variants that are known. A model of which several variants are told of needs
their sum.
"""

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

import grpc

from pipeline.controls.signal import UNKNOWN
from pipeline.web.asking import NoAnswer
from pipeline.web.doors import REQUEST_S, is_token
from pipeline.web.keda_wire import (
    SERVICE,
    GetMetricSpecResponse,
    GetMetricsRequest,
    GetMetricsResponse,
    IsActiveResponse,
    ScaledObjectRef,
)

METRIC = "burnline-replicas"
TARGET_MOST = 1e9
INT64_MOST = (1 << 63) - 1
EVERY_S = 2.0  #: between looks of who is told of changes

Rows = Sequence[Mapping[str, Any]]  #: of infra/clickhouse/page/replicas.sql
Look = Callable[[str, str], Awaitable[Rows]]  #: of a service and a model


class NotKnown(LookupError):
    """Nobody can say now how many there should be; the message says why."""


class BadTrigger(ValueError):
    """The metadata of a trigger cannot be used; the message says what to write."""


class Wanted(NamedTuple):
    """What a trigger asks for."""

    service: str  # or a pool
    model: str  # "": of a pool
    scope: str | None  # None: every variant, added up
    target: float  # so much of the number is one replica


def wanted(metadata: Mapping[str, str]) -> Wanted:
    """Read the metadata of a trigger.

    Raises: BadTrigger.
    """
    if not metadata.get("service"):
        raise BadTrigger("service is missing: write it, or the name of a pool, into the trigger's metadata")
    try:
        target = float(metadata.get("targetValue", "1"))
    except ValueError:
        target = math.nan
    if not 0 < target <= TARGET_MOST:
        said = metadata["targetValue"]
        raise BadTrigger(f'targetValue is {said!r}: write a number above 0, and at most {TARGET_MOST:.0e}, such as "1"')
    return Wanted(metadata["service"], metadata.get("model", ""), metadata.get("scope"), target)


def replicas(rows: Rows, of: Wanted) -> float:
    """Return how many replicas are asked for, by rows of its model.

    Raises: NotKnown.
    """
    mine = [row for row in rows if of.scope in (None, row["scope"])]
    told = [row for row in mine if not row["is_expired"]]
    which = " ".join(filter(None, (of.service, of.model, of.scope)))
    if not told:
        raise NotKnown(f"what was said of {which} has expired" if mine else f"nothing was ever said of {which}")
    for row in told:
        if row["state"] == UNKNOWN or row["value"] is None:
            raise NotKnown(f"{which}: {row['reason'] or 'nothing is known'}")
    newest = max(row["evaluated_at"] for row in told)
    if lost := [row["scope"] for row in mine if row["is_expired"] and not _is_gone(row, newest)]:
        raise NotKnown(f"what was said of {which} has expired in part: of {lost[0] or 'no variant'}")
    return math.fsum(row["value"] for row in told)


def _is_gone(row: Mapping[str, Any], newest: datetime) -> bool:
    """Whether the control let a variant expire, since it is none any more: it went on, and did not say it again.

    What it says of a model it decides at once, and says again what is half expired.
    """
    half: timedelta = (row["expires_at"] - row["evaluated_at"]) / 2
    return bool(newest >= row["evaluated_at"] + half)


class Scaler:
    """Answers KEDA's questions."""

    def __init__(
        self, look: Look, token: str | None, every_s: float = EVERY_S, within_s: float = REQUEST_S
    ) -> None:  # fmt: skip
        """`look` raises NoAnswer; with a token whoever asks must bear it; `within_s`: a call must say what it asks."""
        self._look, self._token, self._every_s, self._within_s = look, token, every_s, within_s

    async def is_active(self, asked: Any, context: Any) -> Any:
        return IsActiveResponse(result=await self._replicas(asked, context) > 0)

    async def stream_is_active(self, asked: Any, context: Any) -> AsyncIterator[Any]:
        """Say it at once, and then whenever it is otherwise; end with an error when it is not known."""
        last: bool | None = None
        while True:
            if last is not (last := await self._replicas(asked, context) > 0):
                yield IsActiveResponse(result=last)
            await asyncio.sleep(self._every_s)

    async def metric_spec(self, asked: Any, context: Any) -> Any:
        target = (await self._wanted(asked, context)).target
        spec = {"metricName": METRIC, "targetSize": math.ceil(target), "targetSizeFloat": target}
        return GetMetricSpecResponse(metricSpecs=[spec])

    async def metrics(self, asked: Any, context: Any) -> Any:
        value = await self._replicas(asked.scaledObjectRef, context)
        said = {
            "metricName": asked.metricName,
            "metricValue": min(math.ceil(value), INT64_MOST),
            "metricValueFloat": value,
        }
        return GetMetricsResponse(metricValues=[said])

    async def _replicas(self, asked: Any, context: Any) -> float:
        of = await self._wanted(asked, context)
        try:
            return replicas(await self._look(of.service, of.model), of)
        except (NotKnown, NoAnswer) as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
            raise  # `abort` never returns

    async def _wanted(self, asked: Any, context: Any) -> Wanted:
        metadata = dict(asked.scalerMetadata)
        if self._token is not None and not self._is_known(context, metadata):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "a bearer token is needed")
        try:
            return wanted(metadata)
        except BadTrigger as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise

    def _is_known(self, context: Any, metadata: Mapping[str, str]) -> bool:
        """Whether the token is borne as a header, or as KEDA can: `tokenFromEnv` of the trigger's metadata."""
        assert self._token is not None
        said = dict(context.invocation_metadata() or ()).get("authorization", "")
        return is_token(str(said), self._token) or is_token(f"Bearer {metadata.get('tokenFromEnv', '')}", self._token)

    @property
    def handler(self) -> Any:
        """The interface, for a server."""
        unary, stream = grpc.stream_unary_rpc_method_handler, grpc.stream_stream_rpc_method_handler
        table = {
            "IsActive": (unary, self._answered(self.is_active), ScaledObjectRef),
            "StreamIsActive": (stream, self._streamed(self.stream_is_active), ScaledObjectRef),
            "GetMetricSpec": (unary, self._answered(self.metric_spec), ScaledObjectRef),
            "GetMetrics": (unary, self._answered(self.metrics), GetMetricsRequest),
        }
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                name: make(method, taken.FromString, lambda answer: answer.SerializeToString())
                for name, (make, method, taken) in table.items()
            },
        )

    # One message is read as the first of several, which is the same on the wire: so it can be waited for no longer than
    # is decent, and strangers who never send it do not hold all the room there is.
    def _answered(self, method: Callable[[Any, Any], Awaitable[Any]]) -> Any:
        async def answer(several: Any, context: Any) -> Any:
            return await method(await self._first(several, context), context)

        return answer

    def _streamed(self, method: Callable[[Any, Any], AsyncIterator[Any]]) -> Any:
        async def answer(several: Any, context: Any) -> AsyncIterator[Any]:
            async for each in method(await self._first(several, context), context):
                yield each

        return answer

    async def _first(self, several: Any, context: Any) -> Any:
        try:
            async with asyncio.timeout(self._within_s):
                return await anext(aiter(several))
        except (TimeoutError, StopAsyncIteration):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "nothing was asked")
            raise
