"""Users and teams are read from tags."""

from cognition_blocks.tags import free_labels, value_of


def test_the_nearest_group_with_the_key_counts() -> None:
    """A task's own tag wins over its context's."""
    assert "alice" == value_of("user", ["team:a"], ["user:alice"], ["user:bob"])


def test_a_key_that_no_tag_has_is_unset() -> None:
    """A tag that only resembles the key does not count."""
    assert value_of("user", ["users:alice", "user"], []) is None


def test_a_value_may_hold_colons() -> None:
    """Only the first colon separates."""
    assert "urn:7" == value_of("user", ["user:urn:7"])


def test_two_values_in_one_group_give_the_same_answer_everywhere() -> None:
    """Prefect keeps tags in sets, whose order differs between processes."""
    assert value_of("user", {"user:bob", "user:alice"}) == value_of("user", ["user:alice", "user:bob"]) == "alice"


def test_free_labels_leave_out_what_has_a_column() -> None:
    """Users and teams are not repeated among the labels, and each label stands once."""
    assert ("a", "project:x") == free_labels(["project:x", "user:alice"], ["a", "team:t", "project:x"])
