use slipway_oci::builtin::Offered;
use slipway_oci::signature::Unfit;
use slipway_types::environment::{Gates, Signer, Soak};
use slipway_types::id::{DeploymentId, VersionId};

use super::*;

fn facts() -> Facts {
    Facts {
        // A Wednesday.
        now: "2026-03-04T12:00:00Z".parse().unwrap(),
        revision: Digest::of("revision"),
        authors: BTreeSet::from(["ann".to_owned(), "ann-laptop".to_owned()]),
        approvals: Vec::new(),
        labels: Labels::new(),
        channels: BTreeSet::new(),
        checks: Vec::new(),
        signatures: Signatures::default(),
        soaked_minutes: None,
        upstream: Some("staging".to_owned()),
    }
}

fn approval(person: &str, token: &str, revision: &str) -> Approval {
    Approval {
        deployment_id: DeploymentId::new(),
        person: person.to_owned(),
        revision: Digest::of(revision),
        token: token.to_owned(),
        reason: None,
        at: "2026-03-04T11:00:00Z".parse().unwrap(),
    }
}

fn two_of(names: &[&str]) -> EnvironmentSettings {
    let of = names.iter().map(|name| (*name).to_owned()).collect();
    let approvals = Some(Approvals { count: 2, of, author_may: false });
    EnvironmentSettings { gates: Gates { approvals, ..Gates::default() }, ..EnvironmentSettings::default() }
}

fn is_open(settings: &EnvironmentSettings, facts: &Facts) -> bool {
    ask(settings, facts).iter().all(|gate| gate.open)
}

#[test]
fn an_environment_without_gates_is_open() {
    assert!(ask(&EnvironmentSettings::default(), &facts()).is_empty());
}

#[test]
fn approvals_count_people_who_are_not_the_author_and_saw_this_revision() {
    let cases = [
        (vec![approval("bob", "bob", "revision"), approval("cem", "cem", "revision")], true),
        (vec![approval("bob", "bob", "revision"), approval("bob", "bob-phone", "revision")], false),
        (vec![approval("bob", "bob", "revision"), approval("ann", "ann", "revision")], false),
        (vec![approval("bob", "bob", "revision"), approval("dee", "ann-laptop", "revision")], false),
        (vec![approval("bob", "bob", "revision"), approval("cem", "cem", "another")], false),
    ];
    for (approvals, open) in cases {
        let facts = Facts { approvals: approvals.clone(), ..facts() };
        assert_eq!(is_open(&two_of(&[]), &facts), open, "{approvals:?}");
    }
}

#[test]
fn only_those_who_are_named_may_approve() {
    let approvals = vec![approval("bob", "bob", "revision"), approval("cem", "cem", "revision")];
    let facts = Facts { approvals, ..facts() };
    assert!(is_open(&two_of(&["bob", "cem"]), &facts));
    let gates = ask(&two_of(&["bob", "dee"]), &facts);
    assert!(!gates[0].open && gates[0].detail.contains("not counted: cem"), "{gates:?}");
}

#[test]
fn a_check_is_its_owners_to_report() {
    use CheckState::{Failed, Passed, Pending};
    let name: CheckName = "e2e".parse().unwrap();
    let mut settings = EnvironmentSettings::default();
    settings.gates.checks.insert(name.clone());
    settings.checks.insert(name.clone(), CheckOwner { by: "ci".to_owned() });
    let report = |name: &CheckName, by: &str, state| BundleCheck {
        version_id: VersionId::new(),
        name: name.clone(),
        state,
        detail: None,
        url: None,
        reported_by: by.to_owned(),
        reported_at: "2026-03-04T11:00:00Z".parse().unwrap(),
    };
    let source: CheckName = "source/e2e".parse().unwrap();
    for (checks, open, told) in [
        (vec![], false, "check `e2e` was not reported yet; it is ci's to report"),
        (vec![report(&name, "ci", Passed)], true, "check `e2e` is green"),
        (vec![report(&name, "ci", Pending)], false, "check `e2e` is under way"),
        (vec![report(&name, "ci", Failed)], false, "check `e2e` failed"),
        (
            vec![report(&name, "mallory", Passed)],
            false,
            "check `e2e` was not reported yet; it is ci's to report; not counted: mallory (passed)",
        ),
        (
            vec![report(&source, "ci", Passed)],
            false,
            "check `e2e` was not reported yet; it is ci's to report",
        ),
        // Who reported first closes nothing, and opens nothing.
        (vec![report(&name, "ann", Pending), report(&name, "ci", Passed)], true, "check `e2e` is green"),
        (
            vec![report(&name, "ann", Failed), report(&name, "ci", Passed)],
            true,
            "check `e2e` is green; not counted: ann (failed)",
        ),
        (vec![report(&name, "ann", Passed), report(&name, "ci", Failed)], false, "check `e2e` failed"),
        (
            ["a", "b", "c", "d", "e"].map(|by| report(&name, by, Failed)).to_vec(),
            false,
            "check `e2e` was not reported yet; it is ci's to report; \
             not counted: a (failed), b (failed), c (failed) and 2 more",
        ),
    ] {
        let gates = ask(&settings, &Facts { checks: checks.clone(), ..facts() });
        assert_eq!((gates[0].open, gates[0].detail.as_str()), (open, told), "{checks:?}");
    }
    // Settings without an owner are refused; should there be some all the same, nobody opens the gate.
    settings.checks.clear();
    let checks = vec![report(&name, "ci", Passed)];
    assert!(!is_open(&settings, &Facts { checks, ..facts() }));
}

#[test]
fn soak_and_window_say_when_they_open() {
    let mut settings = EnvironmentSettings::default();
    settings.gates.soak = Some(Soak { minutes: 60 });
    let waiting = ask(&settings, &Facts { soaked_minutes: Some(50), ..facts() });
    assert_eq!(next_look(&waiting), Some(Duration::from_secs(600)));
    assert!(!is_open(&settings, &facts()));
    assert!(is_open(&settings, &Facts { soaked_minutes: Some(60), ..facts() }));

    let mut settings = EnvironmentSettings::default();
    settings.gates.windows = vec!["thu 09:00-17:00".parse().unwrap()];
    assert_eq!(next_look(&ask(&settings, &facts())), Some(Duration::from_hours(21)));
    settings.gates.windows.push("wed 11:30-12:30".parse().unwrap());
    assert!(is_open(&settings, &facts()));
}

#[test]
fn a_label_and_a_channel_open_what_asks_for_them() {
    let mut settings = EnvironmentSettings::default();
    settings.gates.labels = Some("qa=passed".parse().unwrap());
    settings.gates.channels.insert("stable".parse().unwrap());
    let mut known = facts();
    known.labels.insert("source/qa".parse().unwrap(), "passed".parse().unwrap());
    assert!(ask(&settings, &known).iter().all(|gate| !gate.open));
    known.labels.insert("qa".parse().unwrap(), "passed".parse().unwrap());
    known.channels.insert("stable".parse().unwrap());
    assert!(is_open(&settings, &known));
}

#[test]
fn a_signature_counts_for_the_key_that_made_it_and_a_closed_gate_names_the_command() {
    let key = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAExBnNbxb08OUNmI2V0efYuL3P5ede\n\
        vLxm1h/2OyfzyTqclRWw0jqM9hEL7WFxZ2A0Rsyix+K1VihBKZnlc6dSfQ==\n\
        -----END PUBLIC KEY-----\n";
    let release = Signer { name: "release".parse().unwrap(), key: key.parse().unwrap() };
    let signatures = vec![release.clone()];
    let settings = EnvironmentSettings {
        gates: Gates { signatures: signatures.clone(), ..Gates::default() },
        ..EnvironmentSettings::default()
    };
    let offered: Vec<Offered> = [Unfit::Encoding, Unfit::Encoding, Unfit::TooLarge]
        .map(|why| Offered { signature: Err(why), key: None })
        .into();
    let judged = Signatures::judge(&offered, &signatures, "slipway bundle sign shop 1.4.2".to_owned());
    let gates = ask(&settings, &Facts { signatures: judged, ..facts() });
    assert!(!gates[0].open && gates[0].gate == "signature", "{gates:?}");
    for words in
        ["no signature by `release`", "2 offered: it is not base64", "slipway bundle sign shop 1.4.2"]
    {
        assert!(gates[0].detail.contains(words), "{gates:?}");
    }
    let by = BTreeMap::from([(release.name, BTreeSet::from([Digest::of("signature")]))]);
    let signed = Signatures { by, ..Signatures::default() };
    assert_eq!(signed.digests(), BTreeSet::from([Digest::of("signature")]));
    assert!(is_open(&settings, &Facts { signatures: signed, ..facts() }));
}
