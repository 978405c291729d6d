import contextlib

import jsonschema_rs
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from randsvc.model.features import (
    FEATURES,
    SCHEMA,
    SEGMENTS,
    FeatureError,
    Features,
    parse_features,
)


def test_given_features_are_read() -> None:
    assert parse_features({}) == Features()
    assert parse_features({"segment": ["premium"], "amount": ["12.5"]}) == Features(
        segment="premium", amount=12.5
    )


@pytest.mark.parametrize(
    ("given", "reason", "message"),
    [
        ({"colour": ["red"]}, "unknown_feature", "'colour', expected segment or amount"),
        ({"segment": ["gold"]}, "unknown_segment", "'gold', expected one of new, regular, premium"),
        ({"segment": [""]}, "unknown_segment", "segment='', expected one of"),
        ({"amount": ["much"]}, "not_a_number", "'much', expected a number from 0 to 10000"),
        ({"amount": ["nan"]}, "not_a_number", "'nan'"),
        ({"amount": ["-1"]}, "out_of_range", "'-1', expected a number from 0 to 10000"),
        ({"amount": ["inf"]}, "out_of_range", "'inf'"),
        ({"segment": ["new", "new"]}, "repeated", "segment is given 2 times, expected once"),
    ],
)
def test_a_feature_that_cannot_be_used_is_named_with_what_was_expected(
    given: dict[str, list[str]], reason: str, message: str
) -> None:
    with pytest.raises(FeatureError) as error:
        parse_features(given)
    assert message in str(error.value)
    assert error.value.reason == reason


@given(st.dictionaries(st.text(), st.lists(st.text(), min_size=1), min_size=1))
def test_whatever_is_given_is_refused_in_one_short_line(given: dict[str, list[str]]) -> None:
    assume(not given.keys() <= set(FEATURES))
    with pytest.raises(FeatureError) as error:
        parse_features(given)
    assert len(str(error.value).splitlines()) == 1
    assert len(str(error.value)) < 1000


def by_the_schema(given: dict[str, str]) -> bool:
    """Whether the published schema, in the hands of a validator, takes what is given."""
    query: dict[str, object] = dict(given)
    with contextlib.suppress(KeyError, ValueError):
        query["amount"] = float(given["amount"])
    return bool(jsonschema_rs.is_valid(dict(SCHEMA), query))


def taken(given: dict[str, str]) -> bool:
    try:
        parse_features({name: [text] for name, text in given.items()})
    except FeatureError:
        return False
    return True


@given(
    st.dictionaries(
        st.sampled_from(["segment", "amount", "colour"]),
        st.one_of(
            st.sampled_from([*SEGMENTS, "gold", ""]),
            st.floats(-20_000, 20_000).map(repr),
            st.text(),
        ),
    )
)
@example({"segment": "premium", "amount": "10000"})
@example({"amount": "10000.000001"})
@example({"amount": "-0.0"})
def test_the_schema_takes_what_the_service_takes(given: dict[str, str]) -> None:
    assert taken(given) == by_the_schema(given)


def test_the_schema_names_every_segment_and_the_shares_are_of_all() -> None:
    assert SCHEMA["properties"]["segment"]["enum"] == list(SEGMENTS)
    assert sum(SEGMENTS.values()) == pytest.approx(1)
