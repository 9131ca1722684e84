from benchwire.events.streams import Origin

LOG = Origin("second", {"first": 100})


def test_what_follows_from_a_log_is_true_of_it_however_far_that_goes() -> None:
    assert LOG.holds("second", 10**9)


def test_what_follows_from_an_earlier_log_is_true_up_to_where_both_are_the_same() -> None:
    assert LOG.holds("first", 100)
    assert not LOG.holds("first", 101)
    assert not LOG.holds("another", 0)


def test_a_log_that_is_restored_again_remembers_all_that_it_goes_on_from() -> None:
    third = Origin("third", LOG.restored(150))
    assert third.holds("second", 150)
    assert not third.holds("second", 151)
    assert third.holds("first", 100)


def test_a_backup_from_before_the_last_restore_goes_on_from_less_of_it() -> None:
    again = Origin("third", Origin("first").restored(40))
    assert again.holds("first", 40)
    assert not again.holds("first", 41)
