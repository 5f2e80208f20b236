use proptest::prelude::*;

use super::*;

fn build(routes: &[(&str, &[Method], u8)]) -> Result<Table<u8>, PolicyError> {
    let owned =
        |(pattern, methods, value): &(&str, &[Method], u8)| ((*pattern).to_owned(), methods.to_vec(), *value);
    Table::build(routes.iter().map(owned).collect(), None)
}

#[test]
fn paths_and_methods_lead_to_their_value() {
    let table = build(&[
        ("/", &[Method::GET], 0),
        ("/items/{id}", &[Method::GET, Method::HEAD], 1),
        ("/items/top", &[Method::GET], 2),
        ("/items/{id}", &[Method::POST], 3),
        ("/files/{*rest}", &[Method::GET], 4),
    ])
    .unwrap();
    for (path, method, expected) in [
        ("/", Method::GET, Ok(&0)),
        ("/items/7", Method::GET, Ok(&1)),
        ("/items/7", Method::HEAD, Ok(&1)),
        ("/items/7", Method::POST, Ok(&3)),
        ("/items/7", Method::PUT, Err(Bypass::Method)),
        ("/items/top", Method::GET, Ok(&2)),
        ("/items/top", Method::HEAD, Err(Bypass::Method)),
        ("/items/7/", Method::GET, Err(Bypass::NoRoute)),
        ("/items", Method::GET, Err(Bypass::NoRoute)),
        ("/files/a/b", Method::GET, Ok(&4)),
        ("*", Method::OPTIONS, Err(Bypass::NoRoute)),
        ("", Method::GET, Err(Bypass::NoRoute)),
    ] {
        assert_eq!(table.find(path, &method), expected, "{method} {path}");
    }
}

#[test]
fn a_pattern_that_cannot_be_matched_is_named() {
    let get = &[Method::GET][..];
    for (routes, named) in [
        (&[][..], "policy field `routes`"),
        (&[("items", get, 0)], "route `items`"),
        (&[("", get, 0)], "route ``"),
        (&[("/{a", get, 0)], "route `/{a`"),
        (&[("/{a}", get, 0), ("/{b}", get, 1)], "route `/{b}`"),
        (&[("/a", get, 0), ("/a", &[Method::POST, Method::GET], 1)], "route `/a`: has two policies for GET"),
    ] {
        let error = build(routes).map(|_| ()).unwrap_err().to_string();
        assert!(error.starts_with(named), "{error}");
    }
}

proptest! {
    #[test]
    fn any_patterns_and_paths_are_a_table_or_an_error(
        patterns in prop::collection::vec("/[a{}*/é]{0,8}", 1..6), path in ".{0,12}",
    ) {
        let routes = patterns.iter().map(|pattern| (pattern.clone(), vec![Method::GET], ()));
        if let Ok(table) = Table::build(routes.collect(), None) {
            let _ = table.find(&path, &Method::GET);
            for pattern in patterns.iter().filter(|pattern| !pattern.contains(['{', '}'])) {
                prop_assert!(table.find(pattern, &Method::GET).is_ok());
            }
        }
    }
}
