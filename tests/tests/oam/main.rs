//! The sample applications of public documents (`tests/oam`) against a real server and a real cluster:
//! what they render to, that the API server takes it in a dry run, and why the others are refused.

mod field;
mod matching;
mod verdict;

use std::fmt::Write as _;

use field::{Field, read};

/// How many in a hundred of the cases whose types are shipped must come out as listed.
const SHIPPED_MIN_PERCENT: usize = 90;

#[test]
fn samples_of_public_documents_come_out_as_listed() {
    let list = read("cases.yaml");
    let cases = list["cases"].as_array().expect("cases");
    assert!(cases.len() > 100, "the list was not read");
    let mut field = Field::prepare();
    let (mut report, mut good, mut shipped, mut others) = (String::new(), 0, 0, String::new());
    // Kinds that only some cases have come last: the others must do without.
    let (plain, with_kinds): (Vec<_>, Vec<_>) = cases.iter().partition(|case| case["crds"].is_null());
    for (kinds, cases) in [(false, plain), (true, with_kinds)] {
        if kinds {
            field.add_kinds();
        }
        for case in cases {
            let name = case["name"].as_str().expect("a name");
            let found = verdict::judge(&mut field, case);
            let is_shipped = case["shipped"] == true;
            shipped += usize::from(is_shipped);
            match found {
                Ok(()) => good += usize::from(is_shipped),
                Err(why) if is_shipped => writeln!(report, "{name}: {why}").expect("text"),
                Err(why) => writeln!(others, "{name}: {why}").expect("text"),
            }
        }
    }
    println!("{good} of {shipped} cases with shipped types come out as listed\n{report}");
    assert!(others.is_empty(), "refused otherwise than listed:\n{others}");
    assert!(good * 100 >= shipped * SHIPPED_MIN_PERCENT, "{good} of {shipped}:\n{report}");
}
