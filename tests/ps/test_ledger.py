"""The ledger of one epoch: leases that are given back, and such that several hold."""

from distrib.base.ranges import Range
from distrib.data.schedule import Positions
from distrib.ps.policy.admission.ledger import Ledger


def test_ledger_joins_what_is_given_back():
    ledger = Ledger([Positions(0, Range(0, 10)), Positions(1, Range(0, 4))])
    leases = [ledger.lease(ledger.take(3)) for _ in range(4)]
    assert [lease.span.range for lease in leases] == [(0, 3), (3, 6), (6, 9), (9, 10)]
    for index in (1, 0, 2):
        ledger.give_back(leases[index].number)
    assert ledger.take(20) == Positions(0, Range(0, 9))
    assert ledger.finish(leases[3].number)
    assert not ledger.finish(leases[3].number)
    assert ledger.num_done == 1


def test_the_first_of_two_holders_wins():
    ledger = Ledger([Positions(0, Range(0, 4))])
    first = ledger.lease(ledger.take(4))
    second = ledger.lease_again()
    assert second.span == first.span
    ledger.give_back(first.number)
    assert not ledger.num_free_of_pass, "the second holder has it still"
    assert ledger.finish(second.number)
    assert ledger.is_done
