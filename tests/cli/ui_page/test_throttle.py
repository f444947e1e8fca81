"""Wrong passwords cost time, by address."""

from __future__ import annotations

from tuning.cli.ui_page.throttle import Throttle


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


def guesses(throttle, clock, seconds, address):
    """Return how many wrong passwords an address gets tried within a time, as fast as it can."""
    end = clock.now + seconds
    tried = 0
    while clock.now < end:
        wait = throttle.seconds_left(address)
        if wait:
            clock.now += wait
        else:
            tried += 1
            throttle.count_wrong(address)
    return tried


def test_three_wrong_ones_are_free_and_each_further_one_doubles_the_wait():
    clock = Clock()
    throttle = Throttle(clock)
    waits = []
    for _ in range(10):
        throttle.count_wrong("192.168.1.5")
        waits.append(throttle.seconds_left("192.168.1.5"))
        clock.now += waits[-1]
    assert waits == [0, 0, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_day_of_guessing_is_less_than_three_thousand_guesses():
    clock = Clock()
    assert guesses(Throttle(clock), clock, 86400, "192.168.1.5") < 3000


def test_another_address_does_not_wait():
    throttle = Throttle(Clock())
    for _ in range(9):
        throttle.count_wrong("192.168.1.5")
    assert throttle.seconds_left("192.168.1.6") == 0


def test_addresses_of_one_network_of_ipv6_and_of_one_machine_wait_together():
    throttle = Throttle(Clock())
    for number in range(9):
        throttle.count_wrong(f"2001:db8::{number}")
        throttle.count_wrong("::ffff:192.168.1.5")
    assert throttle.seconds_left("2001:db8::ffff") == 30
    assert throttle.seconds_left("2001:db8:0:1::1") == 0
    assert throttle.seconds_left("192.168.1.5") == 30


def test_it_is_forgotten_after_ten_quiet_minutes_and_not_before():
    clock = Clock()
    throttle = Throttle(clock)
    for _ in range(9):
        throttle.count_wrong("192.168.1.5")
    clock.now += 599
    throttle.count_wrong("192.168.1.5")
    assert throttle.seconds_left("192.168.1.5") == 30
    clock.now += 601
    throttle.count_wrong("192.168.1.5")
    assert throttle.seconds_left("192.168.1.5") == 0


def test_what_is_remembered_does_not_grow_without_end():
    throttle = Throttle(Clock())
    for number in range(10_100):
        throttle.count_wrong(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(throttle._records) == 10_000
