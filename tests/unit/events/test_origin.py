from benchwire.events.streams import End, Origin

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


def test_the_end_of_a_log_with_copies_is_what_was_told_before_anybody_could_be_cut_off() -> None:
    """Two servers that both answered let a host count what it had not read as read, and its rows lacked that after a restart."""
    end = End(iter((0.0, 5.0, 30.0, 40.0, 60.0)).__next__)
    assert [end.known(last) for last in (10, 20, 30, 40, 50)] == [0, 0, 10, 0, 30]
