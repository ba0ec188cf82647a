"""In closed loop: the critical class keeps its SLO through a surge with the advice, and loses it without."""

from functools import cache

from jobs.loop.shedder import Shedder
from tests.bench.shedding import FOR_S, FROM_S, PLANT, Alike, Fared, fared, rehearsed

SEED = 1


@cache
def off() -> dict[str, Fared]:
    return {each.name: each for each in fared(rehearsed((), SEED))}


def test_the_critical_class_keeps_its_slo_through_a_surge_with_advice_on_and_loses_it_with_advice_off() -> None:
    shedder = Shedder(PLANT)
    came = rehearsed((shedder,), SEED)
    on = {each.name: each for each in fared(came)}
    assert not off()["CRITICAL"].is_kept and off()["CRITICAL"].compliance_ratio < 0.75
    assert on["CRITICAL"].is_kept and on["CRITICAL"].shed_ratio == 0
    assert on["CRITICAL"].minutes_lost <= off()["CRITICAL"].minutes_lost / 3
    # who pays for it is told: the least worth first, and what was shed of them is bad
    shares = [on[each.name].shed_ratio for each in PLANT.classes]
    assert shares[1] < shares[2] < shares[3]
    assert on["LOW"].compliance_ratio <= 1 - on["LOW"].shed_ratio + 0.01
    # nobody is shed before the surge, nor for long behind it; and the advice does not flap
    shed_at = came.history.shed.sum(axis=1).nonzero()[0]
    assert FROM_S < shed_at[0] < FROM_S + 60 and shed_at[-1] < FROM_S + FOR_S + 60
    states = [signals[""].state for _, signals in shedder.told if "" in signals]
    changes = [state for before, state in zip(["ok", *states], states, strict=False) if state != before]
    assert changes == ["shed", "warn", "ok"]


def test_who_sheds_all_classes_alike_loses_the_critical_one_though_he_knows_the_true_capacity() -> None:
    critical = fared(rehearsed((Alike(),), SEED))[0]
    assert not critical.is_kept


def test_while_telemetry_is_away_advice_expires_and_nobody_is_shed() -> None:
    away = (FROM_S + 300, FROM_S + FOR_S)
    came = rehearsed((Shedder(PLANT),), SEED, [away])
    blind = came.history.shed[away[0] + 100 : away[1]]
    assert came.history.shed[away[0] : away[0] + 30].sum() > 0
    assert blind.sum() == 0
