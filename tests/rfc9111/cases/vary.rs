//! Selection by request fields: RFC 9111 §4.1.

use crate::answer::{Answer, fresh, not_modified};
use crate::case::{Case, Step, case, get};

pub(crate) fn cases() -> Vec<Case> {
    [matches(), stars(), variants()].concat()
}

fn varies(on: &str) -> Answer {
    fresh().with("Vary", on)
}

/// A request with these field lines.
fn with(lines: &[(&str, &str)]) -> Step {
    lines.iter().fold(get(), |step, (name, value)| step.with(name, value))
}

type Lines<'a> = &'a [(&'a str, &'a str)];

fn matches() -> Vec<Case> {
    // What the response varies on, the first request's fields, the second's, and whether they match.
    let rows: [(&str, &str, Lines<'_>, Lines<'_>, bool); 34] = [
        ("the_same_value", "Foo", &[("Foo", "1")], &[("Foo", "1")], true),
        ("another_value", "Foo", &[("Foo", "1")], &[("Foo", "2")], false),
        ("a_prefix", "Foo", &[("Foo", "12")], &[("Foo", "1")], false),
        ("absent_and_absent", "Foo", &[], &[], true),
        ("absent_and_present", "Foo", &[], &[("Foo", "1")], false),
        ("present_and_absent", "Foo", &[("Foo", "1")], &[], false),
        ("absent_and_empty", "Foo", &[], &[("Foo", "")], false),
        ("empty_and_absent", "Foo", &[("Foo", "")], &[], false),
        ("empty_and_empty", "Foo", &[("Foo", "")], &[("Foo", "")], true),
        (
            "other_fields_do_not_matter",
            "Foo",
            &[("Foo", "1"), ("Bar", "1")],
            &[("Foo", "1"), ("Bar", "2")],
            true,
        ),
        (
            "the_second_of_two_differs",
            "Foo, Bar",
            &[("Foo", "1"), ("Bar", "1")],
            &[("Foo", "1"), ("Bar", "2")],
            false,
        ),
        (
            "the_first_of_two_differs",
            "Foo, Bar",
            &[("Foo", "1"), ("Bar", "1")],
            &[("Foo", "2"), ("Bar", "1")],
            false,
        ),
        (
            "two_in_another_order",
            "Foo, Bar",
            &[("Foo", "1"), ("Bar", "2")],
            &[("Bar", "2"), ("Foo", "1")],
            true,
        ),
        (
            "values_that_change_places",
            "Foo, Bar",
            &[("Foo", "1"), ("Bar", "2")],
            &[("Foo", "2"), ("Bar", "1")],
            false,
        ),
        ("no_whitespace_in_the_list", "Foo,Bar", &[("Bar", "1")], &[("Bar", "2")], false),
        ("much_whitespace_in_the_list", "Foo \t,\t  Bar", &[("Bar", "1")], &[("Bar", "2")], false),
        ("empty_members_in_the_list", ",Foo,, Bar,", &[("Bar", "1")], &[("Bar", "1")], true),
        ("the_case_of_field_names", "FOO", &[("foo", "1")], &[("fOO", "1")], true),
        ("the_case_of_field_names_that_differ", "fOO", &[("Foo", "1")], &[("foo", "2")], false),
        ("the_case_of_values", "Foo", &[("Foo", "a")], &[("Foo", "A")], false),
        ("the_order_of_values", "Foo", &[("Foo", "a, b")], &[("Foo", "b, a")], false),
        ("whitespace_around_commas", "Foo", &[("Foo", "a,b")], &[("Foo", "a \t, b")], true),
        ("whitespace_elsewhere", "Foo", &[("Foo", "a b")], &[("Foo", "a  b")], false),
        ("whitespace_inside_quotes", "Foo", &[("Foo", "\"a,b\"")], &[("Foo", "\"a, b\"")], false),
        ("lines_joined", "Foo", &[("Foo", "a"), ("Foo", "b")], &[("Foo", "a, b")], true),
        (
            "lines_in_another_order",
            "Foo",
            &[("Foo", "a"), ("Foo", "b")],
            &[("Foo", "b"), ("Foo", "a")],
            false,
        ),
        ("surrounding_whitespace", "Foo", &[("Foo", "a")], &[("Foo", "  a \t")], true),
        (
            "accept_language_case",
            "Accept-Language",
            &[("Accept-Language", "en-GB")],
            &[("Accept-Language", "EN-gb")],
            true,
        ),
        (
            "accept_language_order",
            "Accept-Language",
            &[("Accept-Language", "en, de")],
            &[("Accept-Language", "de,en")],
            true,
        ),
        (
            "accept_language_others",
            "Accept-Language",
            &[("Accept-Language", "en, de")],
            &[("Accept-Language", "en")],
            false,
        ),
        (
            "accept_encoding_order",
            "Accept-Encoding",
            &[("Accept-Encoding", "gzip, br")],
            &[("Accept-Encoding", "br, GZIP")],
            true,
        ),
        (
            "accept_order",
            "Accept",
            &[("Accept", "text/html, text/plain;q=0.5")],
            &[("Accept", "text/plain;q=0.5,text/html")],
            true,
        ),
        (
            "accept_charset_order",
            "Accept-Charset",
            &[("Accept-Charset", "utf-8, latin1")],
            &[("Accept-Charset", "latin1, utf-8")],
            true,
        ),
        ("accept_weights_differ", "Accept", &[("Accept", "a/b;q=0.5")], &[("Accept", "a/b;q=0.6")], false),
    ];
    rows.into_iter()
        .map(|(name, on, first, second, same)| {
            let second = with(second);
            let second = if same { second.hit() } else { second.answer(varies(on)) };
            case(format!("s4_1_{name}"), [with(first).answer(varies(on)), second])
        })
        .collect()
}

fn stars() -> Vec<Case> {
    [
        ("a_star", varies("*")),
        ("a_star_among_members", varies("Foo, *")),
        ("a_star_before_members", varies("*, Foo")),
        ("a_star_on_a_second_line", varies("Foo").with("Vary", "*")),
    ]
    .map(|(name, answer)| {
        case(
            format!("s4_1_{name}_never_matches"),
            [with(&[("Foo", "1")]).answer(answer.clone()), with(&[("Foo", "1")]).answer(answer)],
        )
    })
    .into()
}

fn variants() -> Vec<Case> {
    let lang = |value: &str| with(&[("Accept-Language", value)]);
    let on_lang = || varies("Accept-Language");
    vec![
        case("s4_1_an_empty_vary_selects_nothing", [with(&[("Foo", "1")]).answer(varies("")), get().hit()]),
        case(
            "s4_1_variants_are_kept_side_by_side",
            [
                lang("en").answer(on_lang()),
                lang("de").answer(on_lang()),
                get().answer(on_lang()),
                lang("en").hit_of(1),
                lang("de").hit_of(2),
                get().hit_of(3),
            ],
        ),
        case(
            "s4_1_two_lines_of_vary_are_one_list",
            [
                with(&[("Foo", "1"), ("Bar", "1")]).answer(varies("Foo").with("Vary", "Bar")),
                with(&[("Foo", "1"), ("Bar", "2")]).answer(varies("Foo").with("Vary", "Bar")),
                with(&[("Foo", "1"), ("Bar", "1")]).hit_of(1),
                with(&[("Foo", "2"), ("Bar", "1")]).answer(varies("Foo").with("Vary", "Bar")),
            ],
        ),
        case(
            "s4_1_vary_is_passed_on",
            [
                lang("en").answer(on_lang()).is("Vary", "Accept-Language"),
                lang("en").hit().is("Vary", "Accept-Language"),
            ],
        ),
        case(
            "s4_1_a_cookie_selects",
            [
                get().with("Cookie", "a=1").answer(varies("Cookie")),
                get().with("Cookie", "a=2").answer(varies("Cookie")),
                get().with("Cookie", "a=1").hit_of(1),
            ],
        ),
        case(
            "s4_1_credentials_select_where_they_may_be_shared",
            [
                get().with("Authorization", "Basic YTpi").answer(varies("Authorization").cc("public")),
                get().with("Authorization", "Basic Yzpk").answer(varies("Authorization").cc("public")),
                get().with("Authorization", "Basic YTpi").hit_of(1),
            ],
        ),
        case(
            "s4_1_head_selects_as_get_does",
            [
                lang("en").answer(on_lang().with("X-Lang", "en")),
                lang("de").answer(on_lang().with("X-Lang", "de")),
                crate::case::head().with("Accept-Language", "en").hit_of(1).is("X-Lang", "en"),
            ],
        ),
        case(
            "s4_1_a_variant_is_validated_by_its_own_tag",
            [
                lang("en").answer(crate::answer::stale("").with("Vary", "Accept-Language")),
                lang("de").answer(on_lang().tag("\"b\"")),
                lang("en")
                    .answer(not_modified().tag("\"a\"").cc("max-age=60"))
                    .sees_part("If-None-Match", "\"a\"")
                    .body("s4_1_a_variant_is_validated_by_its_own_tag answer 1"),
                lang("de").hit_of(2),
            ],
        ),
        case(
            "s4_3_4_the_origin_may_select_among_variants",
            [
                lang("en").answer(on_lang().tag("\"a\"").body("english")),
                lang("eo")
                    .answer(on_lang().tag("\"a\"").body("english").or_with(
                        "If-None-Match",
                        not_modified().tag("\"a\"").cc("max-age=60").with("Vary", "Accept-Language"),
                    ))
                    .status(200)
                    .body("english"),
                lang("en").hit_of(1),
            ],
        ),
        case("s4_1_no_more_than_16_variants", limit()),
    ]
}

/// The seventeenth variant isn't stored and pushes out no other.
fn limit() -> Vec<Step> {
    let request = |number: usize| get().with("Foo", &number.to_string());
    let mut steps: Vec<_> = (1..=17).map(|number| request(number).answer(varies("Foo"))).collect();
    steps.extend([request(1).hit_of(1), request(16).hit_of(16), request(17).answer(varies("Foo"))]);
    steps
}
