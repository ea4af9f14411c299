"""Tenants' PromQL is read before it stands anywhere: filled in within quotes, and never more than one expression."""

import pytest

from modelmend.observe import promql

NAMES = {"name": "flights", "namespace": "ml", "version": "flights-v3"}


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("sum(refunds)", "sum(refunds)"),
        ('sum(rate(refunds{model="$name"}[1h]))', 'sum(rate(refunds{model="flights"}[1h]))'),
        (
            "up{namespace='$namespace', model=~`$name`, version=\"$version\"}",
            "up{namespace='ml', model=~`flights`, version=\"flights-v3\"}",
        ),
        ('up{job="a-$name-b"}', 'up{job="a-flights-b"}'),
        (
            'up{job="$names", of="$nam", at="x$", also="$1"}',
            'up{job="$names", of="$nam", at="x$", also="$1"}',
        ),
        ('up # of $name (\n + up{a="("}', 'up # of $name (\n + up{a="("}'),
        ("up # $name '", "up # $name '"),
        ("up # (\r+ up", "up # (\r+ up"),
        ('up{job="\\"$name\\\\"}', 'up{job="\\"flights\\\\"}'),
    ],
)
def test_variables_are_filled_in_within_quotes_and_nowhere_else(text: str, filled: str) -> None:
    assert promql.filled(text, NAMES) == filled


@pytest.mark.parametrize(
    ("quote", "value", "written"),
    [
        ('"', 'a"} or up{b="', '"a\\"} or up{b=\\""'),
        ("'", "it's", "'it\\'s'"),
        ('"', "back\\slash", '"back\\\\slash"'),
        ('"', "two\nlines", '"two\\nlines"'),
        ("`", 'a"b\\c', '`a"b\\c`'),
    ],
)
def test_what_is_filled_in_is_escaped_for_the_quotes_it_stands_in(
    quote: str, value: str, written: str
) -> None:
    assert promql.filled(f"{quote}$name{quote}", {"name": value}) == written


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sum($name)", '$name stands outside of quotes: compare a label with it, such as {model="$name"}'),
        ("$namespace", "$namespace stands outside of quotes"),
        ("vector(1)) or (vector(2)", "its ) closes no bracket: correct the query"),
        ("up)", "its ) closes no bracket"),
        ("up}", "its } closes no bracket"),
        ("up{a='b')", "its ) closes no bracket"),
        ("sum(up[5m)", "its ) closes no bracket"),
        ("sum(up", "its ( is never closed: correct the query"),
        ("up{", "its { is never closed"),
        ('up{a="b}', 'its text that begins with "b} is never closed'),
        ("up{a='b\n'}", "its text that begins with 'b"),
        ('up{a="b\\"}', 'its text that begins with "b'),
        ("up{a=`b}", "its text that begins with `b}"),
        ("up{a='\\", "its text that begins with '"),
    ],
)
def test_what_is_no_expression_by_itself_is_never_asked(text: str, sentence: str) -> None:
    with pytest.raises(promql.Unfit) as refused:
        promql.filled(text, NAMES)
    assert str(refused.value).startswith(sentence)


def test_a_value_that_fits_in_no_backticks_is_refused() -> None:
    with pytest.raises(promql.Unfit, match="write it in quotes"):
        promql.filled("`$name`", {"name": "`"})


def test_each_of_several_stands_in_brackets_and_on_lines_of_its_own() -> None:
    assert promql.joined(["up # (", "vector(1)"]) == (
        'label_replace(topk(2, (\nup # (\n)), "modelmend_query", "0", "", "") or '
        'label_replace(topk(2, (\nvector(1)\n)), "modelmend_query", "1", "", "")'
    )
